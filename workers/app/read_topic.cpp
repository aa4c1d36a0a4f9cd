#include "app/read_topic.hpp"

#include <chrono>

#include <fmt/format.h>

#include "kafka/admin.hpp"
#include "kafka/reader.hpp"
#include "sync/cluster.hpp"

namespace stsync::app {

core::Result<void> read_topic(const config::Config& config, const std::string& topic,
                              const std::function<void(const kafka::Message&)>& each) {
  constexpr std::chrono::seconds kTimeout{60};
  auto cluster = sync::make_cluster(config, "stsync-cli");
  if (!cluster) return core::fail(cluster.error());
  cluster->log = nullptr;
  auto admin = kafka::make_admin(*cluster);
  if (!admin) return core::fail(admin.error());
  const auto topics = (*admin)->describe({topic}, {}, kTimeout);
  if (!topics) return core::fail(topics.error());
  if (!topics->contains(topic))
    return core::fail(core::ErrorKind::not_found, fmt::format("there is no topic {}: stsync topics create", topic));
  for (std::int32_t partition = 0; partition < topics->at(topic).partitions; ++partition)
    if (const auto read = kafka::read_to_end(*cluster, topic, partition, kTimeout, each); !read) return core::fail(read.error());
  return {};
}

}  // namespace stsync::app
