#include "config/networks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stsync::config {
namespace {

TEST(Networks, HoldWhatIsInsideThem) {
  const auto n = Networks::parse({"10.0.0.0/8", "192.0.2.7", "172.16.0.0/12", "2001:db8::/33", "::1"}).value();
  for (const auto* inside :
       {"10.0.0.0", "10.255.255.255", "192.0.2.7", "172.31.255.255", "2001:db8:7fff::1", "::1", "::ffff:10.1.2.3"})
    EXPECT_TRUE(n.contain(inside)) << inside;
  for (const auto* outside :
       {"9.255.255.255", "11.0.0.0", "192.0.2.8", "172.32.0.0", "2001:db8:8000::1", "::2", "", "x", "10.0.0.1:80", "10.1"})
    EXPECT_FALSE(n.contain(outside)) << outside;
  EXPECT_TRUE(Networks::parse({"0.0.0.0/0"})->contain("203.0.113.1"));
  EXPECT_FALSE(Networks::parse({"0.0.0.0/0"})->contain("2001:db8::1"));
  EXPECT_FALSE(Networks().contain("10.0.0.1"));
}

TEST(Networks, WhatIsNoneIsNamed) {
  for (const auto* bad :
       {"", "x", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/8/8", "::/129", "10.0.0.0/0x8", "localhost"}) {
    const auto n = Networks::parse({"10.0.0.0/8", bad});
    ASSERT_FALSE(n) << bad;
    EXPECT_THAT(n.error().message(), ::testing::HasSubstr(bad));
  }
}

}  // namespace
}  // namespace stsync::config
