#include "http/public_address.hpp"

#include <gtest/gtest.h>

namespace stsync::http {
namespace {

bool is_public(const char* text) { return http::is_public(boost::asio::ip::make_address(text)); }

TEST(PublicAddress, IsWhatLiesOutside) {
  for (const char* address :
       {"1.1.1.1", "20.60.0.1", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "169.253.0.1", "192.167.255.255",
        "192.169.0.0", "223.255.255.255", "2606:4700::1", "2a00::1", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::1"})
    EXPECT_TRUE(is_public(address)) << address;
}

TEST(PublicAddress, IsNeitherOfThisMachineNorOfItsNetworks) {
  for (const char* address : {"0.0.0.0",
                              "0.1.2.3",
                              "10.0.0.1",
                              "10.255.255.255",
                              "100.64.0.1",
                              "100.127.255.255",
                              "127.0.0.1",
                              "127.255.0.1",
                              "169.254.169.254",
                              "172.16.0.1",
                              "172.31.255.255",
                              "192.0.0.8",
                              "192.0.2.1",
                              "192.168.1.1",
                              "198.18.0.1",
                              "198.19.255.255",
                              "198.51.100.1",
                              "203.0.113.1",
                              "224.0.0.1",
                              "240.0.0.1",
                              "255.255.255.255",
                              "::",
                              "::1",
                              "fe80::1",
                              "fec0::1",
                              "fc00::1",
                              "fd00:ec2::254",
                              "ff02::1",
                              "2001:db8::1",
                              "2001::1",
                              "3fff::1"})
    EXPECT_FALSE(is_public(address)) << address;
}

TEST(PublicAddress, LooksThroughTranslations) {
  for (const char* address : {"::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::a00:1",
                              "2002:7f00:1::", "2002:a9fe:a9fe::1"})
    EXPECT_FALSE(is_public(address)) << address;
}

}  // namespace
}  // namespace stsync::http
