#include "sync/names.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace stsync::sync {

std::string tenant_key(std::string_view app, std::int64_t tenant) { return fmt::format("{}:{}", app, tenant); }

std::string job_journal_key(std::string_view app, std::int64_t tenant, std::string_view id) {
  return fmt::format("job/{}/{}/{}", app, tenant, id);
}
std::string stream_journal_key(std::string_view app, std::int64_t tenant, std::string_view resource) {
  return fmt::format("stream/{}/{}/{}", app, tenant, resource);
}
std::string stream_name(const v1::Sync& sync) {
  return sync.mode() == v1::report ? sync.resource() + "/" + report_name(sync.report()) : sync.resource();
}
std::string report_name(const v1::Report& report) {
  std::string out;
  servicetitan::append_key_part(out, report.category());
  return out + "/" + std::to_string(report.id());
}
std::string stream_journal_key(const v1::Command& command) {
  return stream_journal_key(command.app(), command.tenant(), stream_name(command.sync()));
}
std::string tenant_journal_key(std::string_view app, std::int64_t tenant) { return fmt::format("tenant/{}/{}", app, tenant); }
std::string asked_journal_key(std::string_view job_journal_key) {
  return fmt::format("asked{}", job_journal_key.substr(job_journal_key.find('/')));
}
std::string lane_journal_key(std::int32_t partition) { return fmt::format("lane/{}", partition); }

std::string records_topic(const config::Topics& topics, const servicetitan::Resource& resource, std::string_view environment) {
  auto out = resource.topic.empty() ? topics.records : resource.topic;
  const auto fill = [&out](std::string_view place, std::string_view value) {
    for (auto at = out.find(place); at != std::string::npos; at = out.find(place, at + value.size()))
      out.replace(at, place.size(), value);
  };
  fill("{api}", resource.api);
  fill("{resource}", std::string_view(resource.name).substr(resource.api.size() + 1));
  fill("{environment}", environment);
  return out;
}

bool shares_topic(const config::Config& config, const servicetitan::Catalogue& catalogue, const servicetitan::Resource& resource) {
  const auto& topics = config.kafka.topics;
  if (resource.topic.empty() && topics.records.find("{resource}") == std::string::npos) return true;
  const auto& all = catalogue.all();
  if (std::none_of(all.begin(), all.end(), [](const auto& r) { return !r.second.topic.empty(); })) return false;
  for (const auto& [environment, hosts] : config.environments) {
    const auto topic = records_topic(topics, resource, environment);
    for (const auto& [name, other] : all)
      if (name != resource.name && records_topic(topics, other, environment) == topic) return true;
  }
  return false;
}

std::string record_key_prefix(const config::Config& config, const servicetitan::Catalogue& catalogue,
                              const servicetitan::Resource& resource, std::int64_t tenant) {
  return shares_topic(config, catalogue, resource) ? fmt::format("{}:{}:", tenant, resource.name) : fmt::format("{}:", tenant);
}

bool valid_id(std::string_view id) noexcept {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

}  // namespace stsync::sync
