#include "tokens/gate.hpp"

#include <algorithm>

#include "limits/pacer.hpp"

namespace stsync::tokens {
namespace {
/// Whose limit was hit, the vendor does not say: others of the app may be fine, so they are not kept away for long.
constexpr core::Duration kLongestHold = std::chrono::minutes(1);
}  // namespace

PacedGate::PacedGate(core::Clock& clock)
    : PacedGate(clock, [](const std::string&) { return std::make_shared<limits::Pacer>(kPerSecond); }) {}

PacedGate::PacedGate(core::Clock& clock, MakePace make_pace) : clock_(clock), make_pace_(std::move(make_pace)) {}

PacedGate::Line& PacedGate::line(const std::string& app) {
  auto& line = lines_[app];
  if (!line.pace) line.pace = make_pace_(app);
  return line;
}

std::size_t PacedGate::waiting(const std::string& app) const {
  const auto at = lines_.find(app);
  return at == lines_.end() ? 0 : at->second.waiting.size();
}

void PacedGate::changed() {
  for (auto& [app, line] : lines_)
    if (!line.waiting.empty()) line.waiting.front()->notify();
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
  look_(*line.pace);
  for (;;) {
    if (stop.stop_requested()) {
      leave();
      co_return core::fail(core::ErrorKind::cancelled, "stopped while waiting for the token endpoint's turn");
    }
    const bool first = line.waiting.front() == signal.get();
    const auto now = clock_.now();
    const auto when = line.pace->next(now);
    if (first && when <= now) break;
    co_await signal->wait_until(first ? when : core::TimePoint::max());
  }
  line.pace->take(clock_.now());
  leave();
  co_return core::Result<void>();
}

void PacedGate::throttled(const Account& account, core::Duration wait) {
  auto& pace = *line(account.app).pace;
  pace.freeze(clock_.now() + std::min(wait, kLongestHold));  // the first in line looks again when it wakes
  look_(pace);
}

}  // namespace stsync::tokens
