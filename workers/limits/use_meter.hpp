#pragma once
#include <chrono>
#include <cmath>

#include "core/clock.hpp"

namespace stsync::limits {

/// How many calls a second left lately: the last ten seconds or so count most. Pure.
class UseMeter {
 public:
  void took(core::TimePoint now) {
    rate_ = rate(now) + 1 / kSeconds;
    at_ = now;
  }
  double rate(core::TimePoint now) const { return rate_ * std::exp(-std::chrono::duration<double>(now - at_).count() / kSeconds); }

 private:
  static constexpr double kSeconds = 10;
  double rate_ = 0;
  core::TimePoint at_{};
};

}  // namespace stsync::limits
