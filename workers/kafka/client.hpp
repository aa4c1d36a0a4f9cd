#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "core/error.hpp"

namespace stsync::kafka {

/// How to reach the cluster: what every client of ours starts from.
struct Cluster {
  std::string bootstrap_servers;
  std::string client_id = "stsync";
  std::map<std::string, std::string> properties;  ///< librdkafka names: security, SASL, TLS, the user's own
  /// Lines of librdkafka's own log that somebody should see. Called on librdkafka's threads: must not block.
  std::function<void(int syslog_level, const std::string& facility, const std::string& text)> log{};
};

/// "librdkafka 2.0.2"
std::string library_version();

/// What cannot be done with the cluster's settings by a librdkafka of a version, as rd_kafka_version() counts, though that takes
/// them: a sentence. Empty: nothing is known.
std::string known_limit(const Cluster& cluster, int version);
/// By the one that is linked.
std::string known_limit(const Cluster& cluster);

/// Whether librdkafka would take the cluster's settings: builds a client and throws it away. bad_config says why not.
core::Result<void> check_settings(const Cluster& cluster);

/// The partition that Java's default partitioner gives a key: murmur2, positive, modulo.
std::int32_t partition_for(const std::string& key, std::int32_t partitions) noexcept;

}  // namespace stsync::kafka
