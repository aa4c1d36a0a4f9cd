#include "sync/names.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.hpp"

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
std::string schedule_journal_key(std::string_view app, std::int64_t tenant, std::string_view resource) {
  return fmt::format("schedule/{}/{}/{}", app, tenant, resource);
}
std::string asked_journal_key(std::string_view job_journal_key) {
  return fmt::format("asked{}", job_journal_key.substr(job_journal_key.find('/')));
}
std::string lane_journal_key(std::int32_t partition) { return fmt::format("lane/{}", partition); }

std::string_view kind_of(std::string_view journal_key) {
  const auto slash = journal_key.find('/');
  const auto kind = journal_key.substr(0, slash == std::string_view::npos ? 0 : slash);
  return std::all_of(kind.begin(), kind.end(), [](char c) { return c >= 'a' && c <= 'z'; }) ? kind : std::string_view();
}

std::optional<std::string> owner_of(std::string_view journal_key) {
  const auto kind = kind_of(journal_key);
  if (kind.empty()) return std::nullopt;
  const auto app_and_more = journal_key.substr(kind.size() + 1);
  const auto app_end = app_and_more.find('/');
  if (app_end == std::string_view::npos || app_end == 0) return std::nullopt;
  const auto tenant_and_more = app_and_more.substr(app_end + 1);
  const auto tenant = core::parse_int(tenant_and_more.substr(0, tenant_and_more.find('/')));
  return tenant ? std::optional(tenant_key(app_and_more.substr(0, app_end), *tenant)) : std::nullopt;
}

std::string transactional_id(std::string_view group, std::int32_t partition) { return fmt::format("{}.{}", group, partition); }

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
