#pragma once
#include <algorithm>
#include <cstddef>
#include <optional>

#include "core/clock.hpp"

namespace stsync::sync {

/// What waits to be committed.
struct Backlog {
  std::size_t bytes = 0;
  std::size_t pages = 0;
  std::optional<core::TimePoint> oldest;  ///< since when anything waits
  std::optional<core::TimePoint> urgent;  ///< since when something waits that somebody is waiting for
};

/// When a lane commits (design 4.4). A transaction costs about 3 ms of CPU whatever is in it, so it is filled: big ones at once,
/// urgent ones 100 ms apart, the rest when this lane's share of 20 transactions a second comes round, after a second at the
/// latest. Pure.
class CommitPacer {
 public:
  static constexpr std::size_t kBytes = 8u << 20;
  static constexpr std::size_t kPages = 20;
  static constexpr core::Duration kUrgent = std::chrono::milliseconds(100);
  static constexpr core::Duration kLatest = std::chrono::seconds(1);
  static constexpr int kPerSecond = 20;

  /// Nothing: there is nothing to commit. `busy_lanes`: how many share the budget.
  std::optional<core::TimePoint> due(const Backlog& b, int busy_lanes) const {
    if (!b.oldest) return std::nullopt;
    if (b.bytes >= kBytes || b.pages >= kPages) return *b.oldest;
    const auto share = std::min(kLatest, core::Duration(std::chrono::seconds(std::max(busy_lanes, 1))) / kPerSecond);
    auto when = std::min(std::max(*b.oldest, last_ + share), *b.oldest + kLatest);
    if (b.urgent) when = std::min(when, std::max(*b.urgent, last_ + kUrgent));
    return when;
  }
  void began(core::TimePoint now) { last_ = now; }

 private:
  core::TimePoint last_{};
};

}  // namespace stsync::sync
