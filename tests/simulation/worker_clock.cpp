#include "simulation/worker_clock.hpp"

namespace stsync::simulation {

class WorkerClock::FreezableSignal final : public core::Signal {
 public:
  FreezableSignal(std::unique_ptr<core::Signal> signal, std::shared_ptr<State> state)
      : signal_(std::move(signal)), state_(std::move(state)) {}

  boost::asio::awaitable<core::Wake> wait_until(core::TimePoint when) override {
    const auto wake = co_await signal_->wait_until(when);
    while (state_->frozen) {
      const auto place = state_->held.emplace(state_->next++, signal_.get()).first;
      co_await signal_->wait_until(core::TimePoint::max());
      state_->held.erase(place);
    }
    co_return wake;
  }
  void notify() override { signal_->notify(); }

 private:
  std::unique_ptr<core::Signal> signal_;
  std::shared_ptr<State> state_;
};

std::unique_ptr<core::Signal> WorkerClock::make_signal() {
  return std::make_unique<FreezableSignal>(world_.make_signal(), state_);
}

void WorkerClock::thaw() {
  state_->frozen = false;
  for (const auto& [order, signal] : state_->held) signal->notify();
}

}  // namespace stsync::simulation
