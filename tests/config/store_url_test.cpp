#include "config/store_url.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stsync::config {
namespace {

TEST(StoreUrl, SaysWhereTheStoreIs) {
  struct Case {
    const char* url;
    const char* text;
    const char* user;
    int database;
    const char* prefix;
  };
  for (const auto& c :
       std::vector<Case>{{"redis://cache", "cache:6379", "", 0, "stsync:"},
                         {"redis://worker@cache.example:7000/2?prefix=a:b:", "cache.example:7000", "worker", 2, "a:b:"},
                         {"redis://[::1]:7000/", "[::1]:7000", "", 0, "stsync:"},
                         {"redis://10.0.0.1?db=3", "10.0.0.1:6379", "", 3, "stsync:"},
                         {"unix:///run/redis.sock?db=1&prefix=x", "/run/redis.sock", "", 1, "x"}}) {
    SCOPED_TRACE(c.url);
    const auto got = parse_store_url(c.url);
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_EQ(got->text(), c.text);
    EXPECT_EQ(got->user, c.user);
    EXPECT_EQ(got->database, c.database);
    EXPECT_EQ(got->prefix, c.prefix);
  }
}

TEST(StoreUrl, RefusesWhatItDoesNotUnderstandWithoutRepeatingIt) {
  for (const char* url : {"",
                          "redis",
                          "rediss://cache",
                          "http://cache",
                          "redis://",
                          "redis://:6379",
                          "redis://cache:0",
                          "redis://cache:65536",
                          "redis://cache:hidden",
                          "redis://user:hidden@cache",
                          "redis://@cache",
                          "redis://us er@cache",
                          "redis://cache/hidden",
                          "redis://cache/-1",
                          "redis://cache?hidden",
                          "redis://cache?db=x",
                          "redis://cache?password=hidden",
                          "redis://[::1",
                          "redis://[]:1",
                          "redis://[::1]x",
                          "redis://ca che",
                          "unix://relative",
                          "unix://",
                          "redis://cache?prefix=\n"}) {
    SCOPED_TRACE(url);
    const auto got = parse_store_url(url);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind(), core::ErrorKind::bad_config);
    EXPECT_THAT(got.error().message(), ::testing::Not(::testing::HasSubstr("hidden")));
  }
  EXPECT_FALSE(parse_store_url("unix:///" + std::string(107, 'x')));
  EXPECT_FALSE(parse_store_url("redis://" + std::string(254, 'x')));
}

}  // namespace
}  // namespace stsync::config
