#pragma once
#include <algorithm>

#include "core/clock.hpp"

namespace stsync::limits {

/// Even pacing (generic cell rate algorithm with a burst of one): the pure part of a limit. It aims a little below the quota,
/// because calls that leave evenly arrive with jitter: at 98 % sixty-one calls span 1.0204 s, so a call may arrive 20 ms later than
/// the others and no second holds more than sixty. (At 99 %, 10 ms, a busy machine met one refusal in 3,500 calls.)
class Gcra {
 public:
  static constexpr double kUse = 0.98;
  /// A timer that fires late may be made up for by this much, a quarter of what the jitter leaves.
  static constexpr core::Duration kCatchUp = std::chrono::milliseconds(5);

  explicit Gcra(double per_second) : limit_(per_second) {}

  /// When the next call may leave.
  core::TimePoint next(core::TimePoint now) const { return std::max({now, due_, frozen_until_}); }
  /// A call leaves now (not before next()).
  void take(core::TimePoint now) { due_ = std::max(due_, now - kCatchUp) + interval(); }
  /// Nothing leaves before `until`.
  void freeze(core::TimePoint until) { frozen_until_ = std::max(frozen_until_, until); }
  /// The vendor refused a call: slower, at most to a fifth.
  void refused() { factor_ = std::max(0.2, factor_ * 0.85); }
  /// The vendor answered a call: back up in about ten seconds of full use.
  void answered() { factor_ = std::min(1.0, factor_ + 0.0005); }
  double rate() const { return limit_ * kUse * factor_; }

 private:
  core::Duration interval() const {
    return std::chrono::duration_cast<core::Duration>(std::chrono::duration<double>(1.0 / rate()));
  }

  double limit_;
  double factor_ = 1;
  core::TimePoint due_{};
  core::TimePoint frozen_until_{};
};

}  // namespace stsync::limits
