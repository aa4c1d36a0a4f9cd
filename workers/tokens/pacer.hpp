#pragma once
#include <algorithm>

#include "core/clock.hpp"

namespace stsync::tokens {

/// Even distances between the requests of one app to its token endpoint. Pure.
class Pacer {
 public:
  explicit Pacer(core::Duration interval) : interval_(interval) {}

  /// When the next request may leave.
  core::TimePoint next(core::TimePoint now) const { return std::max(now, due_); }
  /// One leaves now, not before next().
  void take(core::TimePoint now) { due_ = now + interval_; }
  /// None before `until`.
  void hold(core::TimePoint until) { due_ = std::max(due_, until); }

 private:
  core::Duration interval_;
  core::TimePoint due_{};
};

}  // namespace stsync::tokens
