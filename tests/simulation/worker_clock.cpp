#include "simulation/worker_clock.hpp"

#include <utility>

#include "core/error.hpp"

namespace stsync::simulation {

class WorkerClock::FreezableSignal final : public core::Signal {
 public:
  FreezableSignal(std::unique_ptr<core::Signal> signal, std::shared_ptr<State> state)
      : signal_(std::move(signal)), state_(std::move(state)) {}

  boost::asio::awaitable<core::Wake> wait_until(core::TimePoint when) override {
    core::check(!std::exchange(waited_for_, true), "two wait for one signal: each wakes the other, for ever");
    const auto wake = co_await signal_->wait_until(when);
    while (state_->frozen) {
      const auto place = state_->held.emplace(state_->next++, signal_.get()).first;
      co_await signal_->wait_until(core::TimePoint::max());
      state_->held.erase(place);
    }
    waited_for_ = false;
    co_return wake;
  }
  void notify() override { signal_->notify(); }

 private:
  std::unique_ptr<core::Signal> signal_;
  std::shared_ptr<State> state_;
  bool waited_for_ = false;
};

std::unique_ptr<core::Signal> WorkerClock::make_signal() { return std::make_unique<FreezableSignal>(world_.make_signal(), state_); }

void WorkerClock::thaw() {
  state_->frozen = false;
  for (const auto& [order, signal] : state_->held) signal->notify();
}

}  // namespace stsync::simulation
