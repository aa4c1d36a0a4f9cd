#include "kafka/client.hpp"

#include <array>

#include <fmt/format.h>

#include "kafka/handles.hpp"

namespace stsync::kafka {
namespace {

void forward_log(const rd_kafka_t* client, int level, const char* facility, const char* text) {
  const auto* cluster = static_cast<const Cluster*>(rd_kafka_opaque(client));
  if (cluster != nullptr && cluster->log) cluster->log(level, facility, text);
}

core::Result<void> set(rd_kafka_conf_t* conf, const char* name, const std::string& value) {
  std::array<char, 512> why{};
  if (rd_kafka_conf_set(conf, name, value.c_str(), why.data(), why.size()) != RD_KAFKA_CONF_OK)
    return core::fail(core::ErrorKind::bad_config, fmt::format("kafka property {}: {}", name, why.data()));
  return {};
}

}  // namespace

std::string library_version() { return std::string("librdkafka ") + rd_kafka_version_str(); }

std::string known_limit(const Cluster& cluster, int version) {
  // It sent the client's part of the nonce twice, which Kafka up to 3.9 overlooks (librdkafka #4895).
  constexpr int kScramMended = 0x02060100;
  const auto mechanism = cluster.properties.find("sasl.mechanism");
  if (mechanism == cluster.properties.end() || !mechanism->second.starts_with("SCRAM-") || version >= kScramMended) return {};
  return fmt::format(
      "{} with librdkafka {}.{}.{} works up to Kafka 3.9 only: brokers from 4.0 on refuse even the right password; with those it "
      "takes "
      "librdkafka 2.6.1 or another mechanism",
      mechanism->second, version >> 24, version >> 16 & 0xff, version >> 8 & 0xff);
}
std::string known_limit(const Cluster& cluster) { return known_limit(cluster, rd_kafka_version()); }

core::Result<ConfHandle> make_conf(const Cluster& cluster, std::initializer_list<Property> properties) {
  ConfHandle conf(rd_kafka_conf_new());
  const std::initializer_list<Property> common{
      {"bootstrap.servers", cluster.bootstrap_servers},
      {"client.id", cluster.client_id},
      {"socket.nagle.disable", "true"},
      {"socket.keepalive.enable", "true"},
      {"socket.timeout.ms", "15000"},
      {"reconnect.backoff.ms", "100"},
      {"reconnect.backoff.max.ms", "5000"},
      {"log.connection.close", "false"},
      {"allow.auto.create.topics", "false"},
  };
  for (const auto& [name, value] : common)
    if (auto ok = set(conf.get(), name, value); !ok) return core::fail(ok.error());
  for (const auto& [name, value] : properties)
    if (auto ok = set(conf.get(), name, value); !ok) return core::fail(ok.error());
  for (const auto& [name, value] : cluster.properties)
    if (auto ok = set(conf.get(), name.c_str(), value); !ok) return core::fail(ok.error());
  rd_kafka_conf_set_log_cb(conf.get(), forward_log);
  rd_kafka_conf_set_opaque(conf.get(), const_cast<Cluster*>(&cluster));
  return conf;
}

core::Result<ClientHandle> make_client(rd_kafka_type_t type, ConfHandle conf) {
  std::array<char, 512> why{};
  auto* client = rd_kafka_new(type, conf.get(), why.data(), why.size());
  if (client == nullptr) return core::fail(core::ErrorKind::bad_config, fmt::format("kafka client: {}", why.data()));
  static_cast<void>(conf.release());  // the client owns it now
  return ClientHandle(client);
}

core::Result<void> check_settings(const Cluster& cluster) {
  auto conf = make_conf(cluster, {});
  if (!conf) return core::fail(conf.error());
  const auto client = make_client(RD_KAFKA_PRODUCER, std::move(*conf));
  if (!client) return core::fail(client.error());
  return {};
}

std::string describe(rd_kafka_resp_err_t code) { return fmt::format("{} ({})", rd_kafka_err2str(code), rd_kafka_err2name(code)); }

core::Error to_error(rd_kafka_resp_err_t code, const std::string& what) {
  using core::ErrorKind;
  auto kind = ErrorKind::broker;
  switch (code) {
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
      kind = ErrorKind::fenced;
      break;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      kind = ErrorKind::not_found;
      break;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
      kind = ErrorKind::too_large;
      break;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      kind = ErrorKind::forbidden;
      break;
    default:
      break;
  }
  return {kind, what + ": " + describe(code)};
}

std::int32_t partition_for(const std::string& key, std::int32_t partitions) noexcept {
  // murmur2 with Kafka's seed, as org.apache.kafka.common.utils.Utils does it: other producers of commands agree with us.
  constexpr std::uint32_t kMultiplier = 0x5bd1e995;
  const auto size = key.size();
  const auto byte = [&key](std::size_t i) { return std::uint32_t{static_cast<unsigned char>(key[i])}; };
  std::uint32_t h = 0x9747b28cU ^ static_cast<std::uint32_t>(size);
  std::size_t i = 0;
  for (; i + 4 <= size; i += 4) {
    std::uint32_t k = byte(i) | byte(i + 1) << 8 | byte(i + 2) << 16 | byte(i + 3) << 24;
    k *= kMultiplier;
    k ^= k >> 24;
    h = h * kMultiplier ^ k * kMultiplier;
  }
  if (size - i >= 3) h ^= byte(i + 2) << 16;
  if (size - i >= 2) h ^= byte(i + 1) << 8;
  if (size - i >= 1) h = (h ^ byte(i)) * kMultiplier;
  h ^= h >> 13;
  h *= kMultiplier;
  h ^= h >> 15;
  return static_cast<std::int32_t>((h & 0x7fffffffU) % static_cast<std::uint32_t>(partitions));
}

}  // namespace stsync::kafka
