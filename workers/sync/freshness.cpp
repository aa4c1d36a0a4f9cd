#include "sync/freshness.hpp"

#include <algorithm>

namespace stsync::sync {

void Freshness::add(std::string_view key, const v1::StreamState& stream) {
  if (stream.newest_ms() == 0) return;
  const auto app_at = key.find('/') + 1, tenant_at = key.find('/', app_at) + 1, resource_at = key.find('/', tenant_at) + 1;
  const std::string app(key.substr(app_at, tenant_at - app_at - 1));
  const std::string tenant(key.substr(tenant_at, resource_at - tenant_at - 1));
  const auto [resource, first] = resources_.try_emplace({app, std::string(key.substr(resource_at))}, stream.newest_ms());
  if (!first) resource->second = std::min(resource->second, stream.newest_ms());
  auto& newest = tenants_[{app, tenant}];
  newest = std::max(newest, stream.newest_ms());
}

void Freshness::add(const Freshness& other) {
  for (const auto& [name, time] : other.resources_) {
    const auto [at, first] = resources_.try_emplace(name, time);
    if (!first) at->second = std::min(at->second, time);
  }
  for (const auto& [name, time] : other.tenants_) tenants_[name] = std::max(tenants_[name], time);
}

telemetry::Metrics::PairValues Freshness::of_resources(core::WallTime now) const { return ages(resources_, now); }
telemetry::Metrics::PairValues Freshness::of_tenants(core::WallTime now) const { return ages(tenants_, now); }

telemetry::Metrics::PairValues Freshness::ages(const Times& times, core::WallTime now) {
  telemetry::Metrics::PairValues out;
  for (const auto& [name, time] : times)
    out[name] = std::max(0.0, static_cast<double>(now.time_since_epoch().count() - time) / 1000);
  return out;
}

}  // namespace stsync::sync
