#pragma once
#include <functional>
#include <map>
#include <memory>

#include <boost/asio/io_context.hpp>

#include "core/clock.hpp"

namespace stsync::test {

/// A clock that stands still until the test moves it. Waiters sit in a map ordered by time; run_until() lets the loop run dry,
/// jumps to the next waiter and goes on, so a day of waiting takes milliseconds and always in the same order.
class VirtualClock final : public core::Clock {
 public:
  explicit VirtualClock(boost::asio::io_context& loop,
                        core::WallTime start = core::WallTime(std::chrono::milliseconds(1767225600000)));
  ~VirtualClock() override;
  VirtualClock(const VirtualClock&) = delete;
  VirtualClock& operator=(const VirtualClock&) = delete;
  core::TimePoint now() const override { return now_; }
  core::WallTime wall_now() const override;
  std::unique_ptr<core::Signal> make_signal() override;

  /// Sets the wall clock forward or back, as an operator or NTP does; now() does not notice.
  void jump_wall(core::Duration d) { start_ += std::chrono::duration_cast<std::chrono::milliseconds>(d); }

  /// Runs until virtual time `when`.
  void run_until(core::TimePoint when);
  void run_for(core::Duration d) { run_until(now_ + d); }
  /// Runs until `done()` or until virtual time has moved on by `limit`; says whether `done()` holds.
  bool run_until(const std::function<bool()>& done, core::Duration limit);
  std::size_t waiting() const noexcept { return waiters_.size(); }

  class VirtualSignal;
  class Parked;

 private:
  bool step(core::TimePoint limit);

  boost::asio::io_context& loop_;
  core::TimePoint now_{};
  core::WallTime start_;
  std::multimap<core::TimePoint, VirtualSignal*> waiters_;
};

}  // namespace stsync::test
