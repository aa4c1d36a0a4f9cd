#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>

#include "config/checks.hpp"
#include "config/url.hpp"
#include "core/text.hpp"

namespace stsync::config {
namespace {

/// Properties that stsync sets itself, because its guarantees rest on them, and the key to use instead where there is one.
constexpr std::array<std::pair<std::string_view, std::string_view>, 39> kOurs{{
    {"bootstrap.servers", "kafka.bootstrap_servers"},
    {"metadata.broker.list", "kafka.bootstrap_servers"},
    {"security.protocol", "kafka.security_protocol"},
    {"sasl.mechanism", "kafka.sasl.mechanism"},
    {"sasl.mechanisms", "kafka.sasl.mechanism"},
    {"sasl.username", "kafka.sasl.username"},
    {"sasl.password", "kafka.sasl.password_file"},
    {"ssl.ca.location", "kafka.tls.ca_file"},
    {"ssl.certificate.location", "kafka.tls.certificate_file"},
    {"ssl.key.location", "kafka.tls.key_file"},
    {"group.id", "kafka.group"},
    {"group.instance.id", "kafka.instance_id"},
    {"session.timeout.ms", "kafka.session_timeout"},
    {"heartbeat.interval.ms", ""},
    {"max.poll.interval.ms", ""},
    {"partition.assignment.strategy", ""},
    {"group.protocol", ""},
    {"enable.auto.commit", ""},
    {"auto.commit.interval.ms", ""},
    {"enable.auto.offset.store", ""},
    {"auto.offset.reset", ""},
    {"isolation.level", ""},
    {"enable.partition.eof", ""},
    {"allow.auto.create.topics", ""},
    {"transactional.id", "kafka.group"},
    {"transaction.timeout.ms", ""},
    {"message.timeout.ms", ""},
    {"delivery.timeout.ms", ""},
    {"enable.idempotence", ""},
    {"enable.gapless.guarantee", ""},
    {"acks", ""},
    {"request.required.acks", ""},
    {"retries", ""},
    {"message.send.max.retries", ""},
    {"max.in.flight", ""},
    {"max.in.flight.requests.per.connection", ""},
    {"partitioner", ""},
    {"enable.ssl.certificate.verification", ""},
    {"plugin.library.paths", ""},
}};

void check_properties(const Kafka& kafka, Reader& reader) {
  for (const auto& [name, value] : kafka.properties) {
    const auto where = reader.place("kafka.properties." + name);
    const auto* ours = std::find_if(kOurs.begin(), kOurs.end(), [&n = name](const auto& p) { return p.first == n; });
    if (ours == kOurs.end()) {
      reader.report.warn(where, fmt::format("kafka.properties: '{}' goes to librdkafka unchecked", core::printable(name, 80)));
    } else {
      const auto instead = ours->second.empty() ? std::string() : fmt::format("; use {}", ours->second);
      reader.report.error(where,
                          fmt::format("kafka.properties: '{}' is set by stsync, its guarantees rest on it{}", name, instead));
    }
  }
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> out(1);
  for (const char c : list) {
    if (c == ',')
      out.emplace_back();
    else if (c != ' ')
      out.back() += c;
  }
  return out;
}

void check_servers(const Kafka& kafka, Reader& reader) {
  for (const auto& server : split(kafka.bootstrap_servers))
    if (!parse_host_port(server, false, false))
      reader.report.error(
          reader.place("kafka.bootstrap_servers"),
          fmt::format("kafka.bootstrap_servers: found '{}', expected HOST:PORT, separated by commas", core::printable(server, 80)));
}

void check_sign_in(const Kafka& kafka, Reader& reader) {
  const bool wants_sasl = kafka.security_protocol.starts_with("sasl_");
  if (wants_sasl && !kafka.sasl)
    reader.report.error(reader.place("kafka.security_protocol"),
                        fmt::format("kafka.sasl is missing, expected with security_protocol {}", kafka.security_protocol));
  if (!wants_sasl && kafka.sasl)
    reader.report.error(
        reader.place("kafka.sasl"),
        fmt::format("kafka.sasl: found with security_protocol {}, expected sasl_plaintext or sasl_ssl", kafka.security_protocol));
  if (!kafka.sasl) return;
  const auto& password = kafka.sasl->password;
  const auto where = reader.place("kafka.sasl.password_file");
  if (!password.set()) {
    if (!reader.has("kafka.sasl.password") && !reader.has("kafka.sasl.password_file"))
      reader.report.error(where, "kafka.sasl: password_file is missing");
  } else if (!password.file.empty() && !password.value.empty()) {
    reader.report.error(where, "kafka.sasl: found password and password_file, expected one of them");
  } else if (const auto secret = password.read(); !secret) {
    reader.report.error(where, "kafka.sasl: " + secret.error().message());
  }
  const auto servers = split(kafka.bootstrap_servers);
  const bool local = std::all_of(servers.begin(), servers.end(), [](const auto& s) {
    const auto host = parse_host_port(s, false, false);
    return host && is_loopback(host->host);
  });
  if (!password.value.empty() && !local)
    reader.report.warn(reader.place("kafka.sasl.password"),
                       "kafka.sasl.password: a secret in the configuration; use password_file");
}

void check_topics(const Topics& topics, Reader& reader) {
  const std::array<std::pair<std::string_view, const std::string*>, 6> fixed{{{"commands", &topics.commands},
                                                                              {"journal", &topics.journal},
                                                                              {"status", &topics.status},
                                                                              {"usage", &topics.usage},
                                                                              {"webhooks", &topics.webhooks},
                                                                              {"dlq", &topics.dlq}}};
  std::map<std::string, std::string_view> seen;
  for (const auto& [name, topic] : fixed) {
    const auto [at, added] = seen.emplace(*topic, name);
    if (!added)
      reader.report.error(reader.place(fmt::format("kafka.topics.{}", name)),
                          fmt::format("kafka.topics.{}: found '{}', which is also kafka.topics.{}", name, *topic, at->second));
  }
  auto plain = topics.records;
  for (const auto* placeholder : {"{api}", "{resource}", "{environment}"})
    for (auto at = plain.find(placeholder); at != std::string::npos; at = plain.find(placeholder))
      plain.replace(at, std::string_view(placeholder).size(), "x");
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  };
  if (plain.size() > 180 || !std::all_of(plain.begin(), plain.end(), allowed))
    reader.report.error(
        reader.place("kafka.topics.records"),
        fmt::format("kafka.topics.records: found '{}', expected letters, digits, '.', '_', '-' and the placeholders {{api}}, "
                    "{{resource}}, {{environment}}",
                    core::printable(topics.records, 80)));
  if (seen.contains(topics.records))
    reader.report.error(
        reader.place("kafka.topics.records"),
        fmt::format("kafka.topics.records: found '{}', which is also kafka.topics.{}", topics.records, seen.at(topics.records)));
}

}  // namespace

void check_kafka(const Kafka& kafka, Reader& reader) {
  check_servers(kafka, reader);
  check_sign_in(kafka, reader);
  check_file(kafka.tls.ca_file, "kafka.tls.ca_file", reader);
  check_file(kafka.tls.certificate_file, "kafka.tls.certificate_file", reader);
  check_file(kafka.tls.key_file, "kafka.tls.key_file", reader);
  if (kafka.tls.certificate_file.empty() != kafka.tls.key_file.empty())
    reader.report.error(reader.place("kafka.tls"), "kafka.tls: found one of certificate_file and key_file, expected both or none");
  check_topics(kafka.topics, reader);
  check_properties(kafka, reader);
  if (kafka.replication_factor == 0)
    reader.report.error(reader.place("kafka.replication_factor"), "kafka.replication_factor: found 0, expected -1 or at least 1");
}

}  // namespace stsync::config
