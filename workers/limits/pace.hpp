#pragma once
#include "core/clock.hpp"

namespace stsync::limits {

/// One limit of calls over time, as whoever hands out permits sees it. Decides from what it is told and the time; loop thread only.
class Pace {
 public:
  virtual ~Pace() = default;
  /// When the next call may leave; TimePoint::max(): not known yet, look again when told to.
  virtual core::TimePoint next(core::TimePoint now) = 0;
  /// A permit is given now, not before next().
  virtual void take(core::TimePoint now) = 0;
  /// The call whose permit was given at `taken` leaves only now.
  virtual void left_late(core::TimePoint taken, core::TimePoint now) = 0;
  /// Nothing leaves before `until`.
  virtual void freeze(core::TimePoint until) = 0;
  /// The vendor refused with 429 a call that left at `sent`.
  virtual void refused(core::TimePoint sent, core::TimePoint now) = 0;
  /// Calls a second that it aims at now.
  virtual double rate() const = 0;
};

}  // namespace stsync::limits
