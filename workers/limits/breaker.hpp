#pragma once
#include <cstdint>

#include "core/clock.hpp"
#include "core/rng.hpp"

namespace stsync::limits {

/// Keeps calls away from a host that fails; one for each app, tenant and host. Closed, calls leave. After ten failures in a row, or
/// more than half of the last twenty calls, it opens for a while, which grows while the host stays bad (at first 1 s to 3 s, at
/// last 30 s to 60 s, decorrelated jitter); then one call at a time is a probe: its success closes the breaker, its failure opens
/// it again.
///
/// What a failure is, the caller decides: network, timeout and 5xx are; 4xx and 429 are answers of a host that is well. For each
/// call: next(), began(), then exactly one of succeeded(), failed(), abandoned(). Pure.
class Breaker {
 public:
  static constexpr int kInARow = 10;
  static constexpr int kLast = 20;
  static constexpr core::Duration kFirst = std::chrono::seconds(1);
  static constexpr core::Duration kLongest = std::chrono::seconds(60);

  enum class State { closed, open, half_open };
  /// Names a call when it ends: one that left before the breaker opened says nothing about the host after that.
  using Ticket = std::uint64_t;

  /// When a call may leave; TimePoint::max() while a probe is under way: ask again when it has ended.
  core::TimePoint next(core::TimePoint now) const;
  /// A call leaves now, not before next().
  [[nodiscard]] Ticket began(core::TimePoint now);
  void succeeded(Ticket call);
  void failed(Ticket call, core::TimePoint now, core::Rng& rng);
  /// The call was cancelled: nothing is known, and if it was the probe, the next one is.
  void abandoned(Ticket call);

  /// half_open: a probe is under way, or the next call is one.
  State state(core::TimePoint now) const;

 private:
  bool too_many_failures() const;
  void note(bool failure);
  void open(core::TimePoint now, core::Rng& rng);

  Ticket present_ = 0;  ///< calls with another ticket do not count any more
  bool open_ = false;
  bool probing_ = false;
  core::TimePoint until_{};
  core::Duration wait_{};
  std::uint32_t last_ = 0;  ///< the last calls, the newest in the lowest bit; 1 is a failure
  int known_ = 0;           ///< how many of them there are
  int row_ = 0;             ///< failures since the last success
};

}  // namespace stsync::limits
