#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "core/clock.hpp"
#include "stsync/v1/journal.pb.h"
#include "telemetry/metrics.hpp"

namespace stsync::sync {

/// How new the newest record is that was published of each stream: of a resource, of the tenant that is the furthest behind; of a
/// tenant, of any of its streams. Pure.
class Freshness {
 public:
  /// A stream by its journal key. One that published nothing with a time of change says nothing.
  void add(std::string_view key, const v1::StreamState& stream);
  void add(const Freshness& other);
  /// Ages in seconds; a change of the future has none.
  telemetry::Metrics::PairValues of_resources(core::WallTime now) const;
  telemetry::Metrics::PairValues of_tenants(core::WallTime now) const;

 private:
  using Times = std::map<std::pair<std::string, std::string>, std::int64_t>;  ///< by app and name, ms UTC
  static telemetry::Metrics::PairValues ages(const Times& times, core::WallTime now);
  Times resources_, tenants_;
};

}  // namespace stsync::sync
