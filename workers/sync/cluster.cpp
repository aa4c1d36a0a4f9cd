#include "sync/cluster.hpp"

#include "core/text.hpp"
#include "telemetry/log.hpp"

namespace stsync::sync {
namespace {

constexpr int kLogEvery = 60;  // seconds: a broker that is away is said once a minute

void log_kafka(int level, const std::string& facility, const std::string& text) {
  if (level <= 4)
    telemetry::log_rarely(level <= 3 ? telemetry::Level::warn : telemetry::Level::info, "kafka_" + core::printable(facility, 20),
                          kLogEvery, text);
}

}  // namespace

core::Result<kafka::Cluster> make_cluster(const config::Config& config, std::string client_id) {
  kafka::Cluster c;
  c.bootstrap_servers = config.kafka.bootstrap_servers;
  c.client_id = std::move(client_id);
  c.properties = config.kafka.properties;
  c.properties["security.protocol"] = config.kafka.security_protocol;
  const auto set = [&c](const char* name, const std::string& value) {
    if (!value.empty()) c.properties[name] = value;
  };
  set("ssl.ca.location", config.kafka.tls.ca_file);
  set("ssl.certificate.location", config.kafka.tls.certificate_file);
  set("ssl.key.location", config.kafka.tls.key_file);
  if (config.kafka.sasl) {
    const auto password = config.kafka.sasl->password.read();
    if (!password) return core::fail(password.error());
    set("sasl.mechanism", config.kafka.sasl->mechanism);
    set("sasl.username", config.kafka.sasl->username);
    set("sasl.password", password->reveal());
  }
  c.log = log_kafka;
  return c;
}

}  // namespace stsync::sync
