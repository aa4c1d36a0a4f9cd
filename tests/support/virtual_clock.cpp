#include "support/virtual_clock.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace stsync::test {

using core::TimePoint;
using core::Wake;

class VirtualClock::VirtualSignal final : public core::Signal {
 public:
  VirtualSignal(VirtualClock& clock, boost::asio::io_context& loop) : clock_(clock), timer_(loop) {}
  ~VirtualSignal() override { leave(); }

  boost::asio::awaitable<Wake> wait_until(TimePoint when) override {
    expired_ = false;
    if (when <= clock_.now_) {
      expired_ = true;
      timer_.expires_at(std::chrono::steady_clock::time_point::min());  // still a trip through the loop
    } else {
      timer_.expires_at(std::chrono::steady_clock::time_point::max());
      at_ = clock_.waiters_.emplace(when, this);
      inside_ = true;
    }
    boost::system::error_code ec;
    co_await timer_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ec));
    leave();
    co_return expired_ ? Wake::expired : Wake::notified;
  }
  void notify() override {
    if (timer_.cancel() > 0) leave();
  }
  void expire() {
    expired_ = true;
    inside_ = false;
    timer_.cancel();
  }

 private:
  void leave() {
    if (inside_) clock_.waiters_.erase(at_);
    inside_ = false;
  }
  VirtualClock& clock_;
  boost::asio::steady_timer timer_;
  std::multimap<TimePoint, VirtualSignal*>::iterator at_;
  bool inside_ = false;
  bool expired_ = false;
};

VirtualClock::VirtualClock(boost::asio::io_context& loop, core::WallTime start) : loop_(loop), start_(start) {}

core::WallTime VirtualClock::wall_now() const {
  return start_ + std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch());
}

std::unique_ptr<core::Signal> VirtualClock::make_signal() { return std::make_unique<VirtualSignal>(*this, loop_); }

bool VirtualClock::step(TimePoint limit) {
  if (waiters_.empty() || waiters_.begin()->first > limit) return false;
  now_ = waiters_.begin()->first;
  auto* signal = waiters_.begin()->second;
  waiters_.erase(waiters_.begin());
  signal->expire();
  return true;
}

void VirtualClock::run_until(TimePoint when) {
  do {
    loop_.restart();
    loop_.poll();
  } while (step(when));
  now_ = std::max(now_, when);
}

bool VirtualClock::run_until(const std::function<bool()>& done, core::Duration limit) {
  const auto end = now_ + limit;
  do {
    loop_.restart();
    loop_.poll();
    if (done()) return true;
  } while (step(end));
  return done();
}

}  // namespace stsync::test
