#pragma once
#include <chrono>
#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace stsync::core {

namespace asio = boost::asio;

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;                  ///< monotonic
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;  ///< UTC

enum class Wake { notified, expired };

/// A place where one coroutine waits for a time or for somebody to say that something changed. Nothing is remembered: a notify
/// with nobody waiting is lost, so look at the condition before every wait. Loop thread only.
class Signal {
 public:
  virtual ~Signal() = default;
  virtual asio::awaitable<Wake> wait_until(TimePoint when) = 0;
  virtual void notify() = 0;
  asio::awaitable<void> wait();
};

/// Time, injected: the real clock in the program, a virtual one in tests. Loop thread only, except now() and wall_now().
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
  virtual WallTime wall_now() const = 0;
  virtual std::unique_ptr<Signal> make_signal() = 0;
  asio::awaitable<void> sleep_until(TimePoint when);
  asio::awaitable<void> sleep_for(Duration d) { return sleep_until(now() + d); }
};

std::unique_ptr<Clock> make_system_clock(asio::any_io_executor loop);

}  // namespace stsync::core
