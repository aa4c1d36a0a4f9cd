#include "app/journal.hpp"

#include <fmt/format.h>

#include "kafka/admin.hpp"
#include "kafka/reader.hpp"
#include "sync/cluster.hpp"

namespace stsync::app {

core::Result<void> read_journal(const config::Config& config,
                                const std::function<void(const std::string& key, const std::optional<std::string>& value)>& each) {
  constexpr std::chrono::seconds kTimeout{30};
  auto cluster = sync::make_cluster(config, "stsync-cli");
  if (!cluster) return core::fail(cluster.error());
  cluster->log = nullptr;
  const auto& journal = config.kafka.topics.journal;
  auto admin = kafka::make_admin(*cluster);
  if (!admin) return core::fail(admin.error());
  const auto topics = (*admin)->describe({journal}, {}, kTimeout);
  if (!topics) return core::fail(topics.error());
  if (!topics->contains(journal))
    return core::fail(core::ErrorKind::not_found, fmt::format("there is no topic {}: stsync topics create", journal));
  for (std::int32_t partition = 0; partition < topics->at(journal).partitions; ++partition) {
    const auto read = kafka::read_to_end(*cluster, journal, partition, kTimeout,
                                         [&each](const kafka::Message& m) { each(m.key.value_or(""), m.value); });
    if (!read) return core::fail(read.error());
  }
  return {};
}

}  // namespace stsync::app
