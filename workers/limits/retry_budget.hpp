#pragma once
#include <algorithm>

#include "core/clock.hpp"

namespace stsync::limits {

/// Keeps retries of a tenant a small share of its calls, so that a vendor in trouble is not asked for everything twice and more.
/// Each answered call earns a tenth of a retry. For who makes few calls, and while nothing is answered, there are ten retries a
/// minute besides; the minute's are used first, so what was earned in good times is left for bad ones. Pure.
class RetryBudget {
 public:
  static constexpr int kCallsForOne = 10;
  static constexpr int kFloor = 10;  ///< at once, and in each minute
  static constexpr int kMostEarned = 100;

  /// A call was answered.
  void called() { tenths_ = std::min(tenths_ + 1, kMostEarned * kCallsForOne); }
  /// When a retry may leave if no more is earned until then.
  core::TimePoint next(core::TimePoint now) const {
    return tenths_ >= kCallsForOne ? now : std::max(now, due_ - (kFloor - 1) * kInterval);
  }
  /// Whether a retry may leave now; takes it if so.
  bool may_retry(core::TimePoint now) {
    if (now >= due_ - (kFloor - 1) * kInterval)
      due_ = std::max(due_, now) + kInterval;
    else if (tenths_ >= kCallsForOne)
      tenths_ -= kCallsForOne;
    else
      return false;
    return true;
  }

 private:
  static constexpr core::Duration kInterval = core::Duration(std::chrono::minutes(1)) / kFloor;
  int tenths_ = 0;
  core::TimePoint due_{};  ///< when the floor is full again
};

}  // namespace stsync::limits
