#include "webhook/peer.hpp"

#include <gtest/gtest.h>

namespace stsync::webhook {
namespace {

const auto kTrusted = config::Networks::parse({"10.0.0.0/8", "2001:db8::/32"}).value();

std::string peer(const std::string& connection, http::Headers headers) { return peer_of(connection, headers, kTrusted); }

TEST(Peer, IsTheConnectionsUnlessAProxyIsTrusted) {
  EXPECT_EQ(peer("192.0.2.1:4711", {{"X-Forwarded-For", "198.51.100.1"}}), "192.0.2.1") << "anybody can write that";
  EXPECT_EQ(peer_of("10.0.0.1:1", {{"X-Forwarded-For", "198.51.100.1"}}, {}), "10.0.0.1");
  EXPECT_EQ(peer("10.0.0.1:1", {}), "10.0.0.1");
  EXPECT_EQ(peer("2001:db8::1:443", {{"x-forwarded-for", "198.51.100.1"}}), "198.51.100.1");
}

TEST(Peer, IsTheLastBehindProxiesThatAreTrusted) {
  EXPECT_EQ(peer("10.0.0.1:1", {{"X-Forwarded-For", "203.0.113.9, 198.51.100.1 , 10.1.1.1"}}), "198.51.100.1")
      << "what stands before it is its own claim";
  EXPECT_EQ(
      peer("10.0.0.1:1", {{"X-Forwarded-For", "203.0.113.9"}, {"Via", "x"}, {"X-Forwarded-For", "198.51.100.1:99, 10.1.1.1"}}),
      "198.51.100.1");
  EXPECT_EQ(peer("10.0.0.1:1", {{"X-Forwarded-For", "[2001:470::7]:443"}}), "2001:470::7");
  EXPECT_EQ(peer("10.0.0.1:1", {{"X-Forwarded-For", "10.2.2.2,10.1.1.1"}}), "10.2.2.2") << "a caller from inside";
}

TEST(Peer, WhatIsNoAddressEndsTheChain) {
  for (const auto* odd : {"unknown", "", " ", "_hidden", "198.51.100.1, x", ",", "[", "1.2.3.4.5"})
    EXPECT_EQ(peer("10.0.0.1:1", {{"X-Forwarded-For", odd}}), "10.0.0.1") << odd;
  std::string many = "198.51.100.1";
  for (int i = 0; i < 10'000; ++i) many += ",10.0.0.2";
  EXPECT_EQ(peer("10.0.0.1:1", {{"X-Forwarded-For", many}}), "10.0.0.2") << "it is not read to its end";
}

}  // namespace
}  // namespace stsync::webhook
