#include "core/clock.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace stsync::core {
namespace {

class TimerSignal final : public Signal {
 public:
  explicit TimerSignal(const asio::any_io_executor& loop) : timer_(loop) {}

  asio::awaitable<Wake> wait_until(TimePoint when) override {
    timer_.expires_at(std::chrono::time_point_cast<std::chrono::steady_clock::duration>(when));
    boost::system::error_code ec;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
    co_return ec ? Wake::notified : Wake::expired;
  }
  void notify() override { timer_.cancel(); }

 private:
  asio::steady_timer timer_;
};

class SystemClock final : public Clock {
 public:
  explicit SystemClock(asio::any_io_executor loop) : loop_(std::move(loop)) {}
  TimePoint now() const override { return std::chrono::steady_clock::now(); }
  WallTime wall_now() const override {
    return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  }
  std::unique_ptr<Signal> make_signal() override { return std::make_unique<TimerSignal>(loop_); }

 private:
  asio::any_io_executor loop_;
};

}  // namespace

asio::awaitable<void> Signal::wait() { co_await wait_until(TimePoint::max()); }

asio::awaitable<void> Clock::sleep_until(TimePoint when) {
  const auto signal = make_signal();
  co_await signal->wait_until(when);
}

std::unique_ptr<Clock> make_system_clock(asio::any_io_executor loop) { return std::make_unique<SystemClock>(std::move(loop)); }

}  // namespace stsync::core
