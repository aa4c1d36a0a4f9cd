#pragma once
#include <cstddef>
#include <vector>

#include "limits/pace.hpp"

namespace stsync::limits {

/// A limit that this worker keeps alone: calls leave evenly (generic cell rate algorithm with a burst of one), which is good with
/// every way to count that a server may have, and learns from refusals how much of the quota it can use. Pure.
///
/// It starts a little below the quota, because calls that leave evenly arrive with jitter: 61 calls of a quota of 60 then span
/// 1.009 s, so one may arrive 9 ms later than the others and no second holds more than sixty. A refusal costs a second of silence
/// (Retry-After), as much as 60 calls; so after one it goes slower by a small step, by twice as much where the next comes soon, and
/// tries the faster pace again after minutes, later and later where that was refused. tests/limits/server_models_test.cpp holds it
/// against five kinds of servers.
class Pacer final : public Pace {
 public:
  static constexpr double kUse = 0.991;
  /// A timer that fires late may be made up for by this much.
  static constexpr core::Duration kCatchUp = std::chrono::milliseconds(10);

  explicit Pacer(double per_second);

  core::TimePoint next(core::TimePoint now) override;
  void take(core::TimePoint now) override;
  void left_late(core::TimePoint taken, core::TimePoint now) override;
  void freeze(core::TimePoint until) override;
  void refused(core::TimePoint sent, core::TimePoint now) override;
  double rate() const override { return limit_ * use_; }

 private:
  core::Duration window(double use) const;
  core::Duration interval() const;
  void rise_again(core::TimePoint now);

  const double limit_;
  std::vector<core::TimePoint> left_;  ///< when the last calls left, as many as a window may hold; a ring
  std::size_t oldest_ = 0;
  core::TimePoint due_, frozen_until_;

  double use_ = kUse;  ///< of the limit
  double down_, up_;   ///< the next steps
  core::TimePoint changed_, refused_;
  core::Duration quiet_;  ///< without a refusal, before it goes faster
  bool risen_ = false;    ///< the last change made it faster
};

}  // namespace stsync::limits
