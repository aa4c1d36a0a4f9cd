// What is known of the library itself.
#include "kafka/client.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stsync::kafka {
namespace {

using ::testing::HasSubstr;

constexpr int k2_0_2 = 0x020002ff, k2_6_0 = 0x020600ff, k2_6_1 = 0x020601ff, k2_8_0 = 0x020800ff;

Cluster by(const std::string& mechanism) {
  Cluster cluster;
  if (!mechanism.empty()) cluster.properties["sasl.mechanism"] = mechanism;
  return cluster;
}

TEST(KnownLimit, OfScramIsKafka4UnlessTheLibraryIsNewEnough) {
  for (const auto* mechanism : {"SCRAM-SHA-256", "SCRAM-SHA-512"})
    for (const auto version : {k2_0_2, k2_6_0}) EXPECT_THAT(known_limit(by(mechanism), version), HasSubstr("Kafka 3.9"));
  EXPECT_THAT(known_limit(by("SCRAM-SHA-512"), k2_0_2), HasSubstr("librdkafka 2.0.2"));
  for (const auto version : {k2_6_1, k2_8_0}) EXPECT_EQ(known_limit(by("SCRAM-SHA-512"), version), "");
  for (const auto* mechanism : {"", "PLAIN", "GSSAPI", "OAUTHBEARER"}) EXPECT_EQ(known_limit(by(mechanism), k2_0_2), "");
}

}  // namespace
}  // namespace stsync::kafka
