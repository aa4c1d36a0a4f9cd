#pragma once
#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace stsync::telemetry {

inline constexpr std::size_t kMostLabels = 3;

enum class Sort { counter, gauge, histogram };

/// One row of the table of metrics: what the exposition, the reference page and the limits follow from.
struct FamilyInfo {
  std::string_view name;
  Sort sort;
  std::array<std::string_view, kMostLabels> labels;  ///< empty: fewer
  std::size_t most;                                  ///< series before the last label becomes "__other__"
  std::string_view help;
  std::span<const double> buckets = {};           ///< histogram: upper bounds in the unit of the name
  std::span<const std::string_view> starts = {};  ///< values of the one label that are there, as zero, from the start

  std::size_t label_count() const noexcept {
    std::size_t n = 0;
    while (n < labels.size() && !labels[n].empty()) ++n;
    return n;
  }
};

/// Places in the table.
enum class Family : std::size_t {
  api_requests,
  tenant_api_requests,
  resource_api_requests,
  api_duration,
  api_throttled,
  throttle_wait,
  token_requests,
  quota_limit,
  quota_utilisation,
  quota_permits,
  quota_freezes,
  limit_store_limits,
  limit_store_failures,
  records,
  record_bytes,
  pages,
  schema_changes,
  commits,
  commit_duration,
  commands,
  command_lag,
  commands_expired,
  jobs,
  jobs_ended,
  scheduled_runs,
  schedule_lag,
  freshness,
  tenant_freshness,
  dead_letters,
  lanes,
  rebalances,
  kafka_errors,
  webhook_events,
  webhook_types,
  webhook_duration,
  webhook_in_flight,
  webhook_connections,
  webhook_refusals,
  webhook_certificate_expiration,
  loop_lag,
  log_lines_dropped,
  ready,
  build_info,
  count
};

std::span<const FamilyInfo> families() noexcept;

}  // namespace stsync::telemetry
