#pragma once
#include "core/clock.hpp"

namespace stsync::limits {

/// One limit of calls over time, as whoever hands out permits sees it. Decides from what it is told and the time; loop thread only.
class Pace {
 public:
  virtual ~Pace() = default;
  /// When the next call may leave; TimePoint::max(): not known yet, look again when told to.
  virtual core::TimePoint next(core::TimePoint now) = 0;
  /// A call leaves now, not before next().
  virtual void take(core::TimePoint now) = 0;
  /// Nothing leaves before `until`.
  virtual void freeze(core::TimePoint until) = 0;
  /// The vendor refused a call with 429.
  virtual void refused(core::TimePoint now) = 0;
  /// The vendor answered a call.
  virtual void answered(core::TimePoint now) = 0;
  /// Calls a second that it aims at now.
  virtual double rate() const = 0;
};

}  // namespace stsync::limits
