#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "config/config.hpp"
#include "core/clock.hpp"
#include "core/cron.hpp"

namespace stsync::sync {

/// Between two polls of an export feed that has nothing more (facts 6: 5 to 10 minutes).
inline constexpr std::chrono::minutes kFeedGap{5};

/// When one schedule wants one stream to be read. Runs of a cron line begin up to its jitter later, those of an interval anywhere
/// in it, each stream at its own time, so that thousands do not begin at once. The times follow from the stream's name and the
/// calendar alone: whoever owns the stream finds the same ones. Pure.
class ScheduleTimes {
 public:
  /// `stream`: its journal key. `gap`: the least time between two runs. bad_config: the cron line or its zone is wrong.
  static core::Result<ScheduleTimes> make(const config::Schedule& schedule, const std::string& stream, core::Duration gap);

  /// The first time after another, at least `gap` later.
  core::WallTime next(core::WallTime after) const;

  struct Due {
    core::WallTime newest;
    std::int64_t count = 0;
  };
  /// Which times there are in (after, now]; nothing: none. Of a cron line those of the last month are counted.
  std::optional<Due> due(core::WallTime after, core::WallTime now) const;

 private:
  using Step = core::WallTime::duration;
  ScheduleTimes() = default;

  std::optional<core::Cron> cron_;
  Step every_{};  ///< without a cron line
  Step later_{};  ///< of this stream
  Step gap_{};
};

/// "every 15m", "every 5m (not 1m)" where `gap` is longer, "0 2 * * * America/Chicago"
std::string describe(const config::Schedule& schedule, core::Duration gap);

}  // namespace stsync::sync
