#include "support/virtual_clock.hpp"

#include <utility>

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace stsync::test {

using core::TimePoint;
using core::Wake;

/// A coroutine that waits. Asio's timers would do, but every change of them is a system call: that is a third of a simulation.
class VirtualClock::Parked {
 public:
  virtual ~Parked() = default;
  virtual void go_on() = 0;
};

class VirtualClock::VirtualSignal final : public core::Signal {
 public:
  explicit VirtualSignal(VirtualClock& clock) : clock_(clock) {}
  ~VirtualSignal() override { notify(); }

  boost::asio::awaitable<Wake> wait_until(TimePoint when) override {
    const auto begin = [this, when](auto handler) {
      parked_ = std::make_unique<Waiting<decltype(handler)>>(clock_.loop_, std::move(handler));
      expired_ = when <= clock_.now_;
      if (expired_) return go_on();  // still a trip through the loop
      at_ = clock_.waiters_.emplace(when, this);
    };
    co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>&, void()>(begin, boost::asio::use_awaitable);
    co_return expired_ ? Wake::expired : Wake::notified;
  }
  void notify() override {
    if (!parked_) return;
    clock_.waiters_.erase(at_);
    go_on();
  }
  void expire() {
    expired_ = true;
    go_on();
  }
  /// Its coroutine ends here and now, and this signal with it.
  std::unique_ptr<Parked> let_go() { return std::move(parked_); }

 private:
  template <class Handler>
  class Waiting final : public Parked {
   public:
    Waiting(boost::asio::io_context& loop, Handler handler) : loop_(loop), handler_(std::move(handler)) {}
    void go_on() override { boost::asio::post(loop_, std::move(handler_)); }

   private:
    boost::asio::io_context& loop_;
    Handler handler_;
  };

  void go_on() { std::exchange(parked_, nullptr)->go_on(); }

  VirtualClock& clock_;
  std::unique_ptr<Parked> parked_;  ///< null: nobody waits
  std::multimap<TimePoint, VirtualSignal*>::iterator at_;
  bool expired_ = false;
};

VirtualClock::VirtualClock(boost::asio::io_context& loop, core::WallTime start) : loop_(loop), start_(start) {}

/// Those that still wait own what they wait with: nobody else would free them.
VirtualClock::~VirtualClock() {
  while (!waiters_.empty()) {
    const auto parked = waiters_.begin()->second->let_go();
    waiters_.erase(waiters_.begin());
  }
}

core::WallTime VirtualClock::wall_now() const {
  return start_ + std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch());
}

std::unique_ptr<core::Signal> VirtualClock::make_signal() { return std::make_unique<VirtualSignal>(*this); }

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
