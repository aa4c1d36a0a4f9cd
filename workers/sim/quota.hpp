#pragma once
#include <cstddef>
#include <deque>

#include "core/clock.hpp"

namespace stsync::sim {

/// The vendor's quota for one app and tenant: a sliding log. More than `per_second` calls within any second are refused; a
/// refused call does not count. A rate below one is one call in 1/rate seconds; 0 or less: no quota.
class QuotaLog {
 public:
  explicit QuotaLog(double per_second);

  struct Decision {
    bool allowed = true;
    core::Duration wait{};  ///< until a call would be allowed
  };
  Decision take(core::TimePoint now);
  /// The most calls that came within one second, refused ones included.
  std::size_t max_calls_in_one_second() const noexcept { return max_; }

 private:
  std::size_t limit_ = 0;
  core::Duration window_ = std::chrono::seconds(1);
  std::deque<core::TimePoint> counted_;
  std::deque<core::TimePoint> seen_;
  std::size_t max_ = 0;
};

}  // namespace stsync::sim
