#include "tokens/gate.hpp"

#include <algorithm>

namespace stsync::tokens {
namespace {
/// Whose limit was hit, the vendor does not say: others of the app may be fine, so they are not kept away for long.
constexpr core::Duration kLongestHold = std::chrono::minutes(1);
}  // namespace

PacedGate::PacedGate(core::Clock& clock, double per_second)
    : clock_(clock), interval_(std::chrono::ceil<core::Duration>(std::chrono::duration<double>(1 / per_second))) {}

PacedGate::Line& PacedGate::line(const std::string& app) {
  return lines_.try_emplace(app, Line{Pacer(interval_), {}}).first->second;
}

boost::asio::awaitable<core::Result<void>> PacedGate::pass(Account account, core::StopToken stop) {
  auto& line = this->line(account.app);
  const auto signal = clock_.make_signal();
  const auto place = line.waiting.insert(line.waiting.end(), signal.get());
  const auto on_stop = stop.on_stop([&signal] { signal->notify(); });
  const auto leave = [&] {
    line.waiting.erase(place);
    if (!line.waiting.empty()) line.waiting.front()->notify();
  };
  for (;;) {
    if (stop.stop_requested()) {
      leave();
      co_return core::fail(core::ErrorKind::cancelled, "stopped while waiting for the token endpoint's turn");
    }
    const bool first = line.waiting.front() == signal.get();
    const auto now = clock_.now();
    const auto when = line.pacer.next(now);
    if (first && when <= now) break;
    co_await signal->wait_until(first ? when : core::TimePoint::max());
  }
  line.pacer.take(clock_.now());
  leave();
  co_return core::Result<void>();
}

void PacedGate::throttled(const Account& account, core::Duration wait) {
  line(account.app).pacer.hold(clock_.now() + std::min(wait, kLongestHold));  // the first in line looks again when it wakes
}

}  // namespace stsync::tokens
