#include "sim/describe.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

namespace stsync::sim {
namespace {

constexpr double kMostPerSecond = 1000;  // the largest that a config takes

/// A YAML double-quoted scalar: JSON's escapes are YAML's.
std::string quoted(const std::string& text) {
  rapidjson::StringBuffer out;
  rapidjson::Writer<rapidjson::StringBuffer>(out).String(text);
  return {out.GetString(), out.GetSize()};
}

}  // namespace

std::string describe(const Simulator& simulator, const std::string& ca_file) {
  rapidjson::StringBuffer out;
  rapidjson::Writer<rapidjson::StringBuffer> json(out);
  const auto field = [&json](const char* name, const std::string& value) {
    json.Key(name);
    json.String(value);
  };
  json.StartObject();
  field("url", simulator.url());
  field("token_url", simulator.url() + "/connect/token");
  field("ca_file", ca_file);
  json.Key("apps");
  json.StartArray();
  json.StartObject();
  field("name", simulator.app_name());
  field("app_key", simulator.app_key());
  json.Key("tenants");
  json.StartArray();
  for (const auto& tenant : simulator.tenants()) {
    json.StartObject();
    json.Key("id");
    json.Int64(tenant.id);
    field("client_id", tenant.client_id);
    field("client_secret", tenant.client_secret);
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
  json.EndArray();
  json.EndObject();
  return {out.GetString(), out.GetSize()};
}

std::string worker_config(const Simulator& simulator, const ConfigParts& parts) {
  auto yaml = fmt::format("kafka:\n  bootstrap_servers: {}\nenvironments:\n  local:\n    api_url: {}\n    token_url: {}\n",
                          quoted(parts.bootstrap_servers), quoted(simulator.url()), quoted(simulator.url() + "/connect/token"));
  if (!parts.ca_file.empty()) yaml += fmt::format("    ca_file: {}\n", quoted(parts.ca_file));
  const bool webhooks = !parts.webhook_secret_file.empty();
  if (webhooks)
    yaml += fmt::format("webhook:\n  signature:\n    header: {}\n    encoding: {}\n", quoted(parts.webhook_header),
                        quoted(parts.webhook_encoding));
  yaml += fmt::format("apps:\n  - name: {}\n    app_key: {}\n", quoted(simulator.app_name()), quoted(simulator.app_key()));
  if (webhooks) yaml += fmt::format("    webhook_secret_files: [{}]\n", quoted(parts.webhook_secret_file));
  const auto quota = simulator.requests_per_second();
  yaml += fmt::format("    limits:\n      requests_per_second: {}\n", quota > 0 ? std::min(quota, kMostPerSecond) : kMostPerSecond);
  if (simulator.quota_of_app()) yaml += "      scope: app\n";
  yaml += fmt::format("      reports_per_minute: {}\n", simulator.reports_per_minute());
  yaml += "    tenants:\n";
  for (const auto& tenant : simulator.tenants())
    yaml += fmt::format("      - id: {}\n        environment: local\n        client_id: {}\n        client_secret: {}\n", tenant.id,
                        quoted(tenant.client_id), quoted(tenant.client_secret));
  return yaml;
}

}  // namespace stsync::sim
