// The partition of a key: commands of any producer and the lane that owns them must agree on it.
#include <random>

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include "kafka/client.hpp"

namespace stsync::kafka {
namespace {

constexpr std::int32_t kMost = 0x7fffffff;

TEST(PartitionFor, IsWhatJavaClientsCompute) {
  // From org.apache.kafka.common.utils.UtilsTest; the default partitioner takes the sign away.
  const std::vector<std::pair<std::string, std::int32_t>> cases{
      {"21", -973932308},
      {"foobar", -790332482},
      {"a-little-bit-long-string", -985981536},
      {"a-little-bit-longer-string", -1486304829},
      {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
      {"abc", 479470107},
  };
  for (const auto& [key, murmur2] : cases) {
    const auto positive = murmur2 & kMost;
    EXPECT_EQ(partition_for(key, kMost), positive) << key;
    for (const std::int32_t partitions : {1, 3, 12, 100}) EXPECT_EQ(partition_for(key, partitions), positive % partitions) << key;
  }
}

TEST(PartitionFor, AgreesWithTheProducerForEveryKey) {
  std::mt19937_64 random(17);
  for (int i = 0; i < 20'000; ++i) {
    std::string key(random() % 40, '\0');
    for (auto& c : key) c = static_cast<char>(random());
    const auto partitions = static_cast<std::int32_t>(1 + random() % 200);
    ASSERT_EQ(partition_for(key, partitions),
              rd_kafka_msg_partitioner_murmur2(nullptr, key.data(), key.size(), partitions, nullptr, nullptr))
        << "key " << i << " of " << key.size() << " bytes";
  }
}

}  // namespace
}  // namespace stsync::kafka
