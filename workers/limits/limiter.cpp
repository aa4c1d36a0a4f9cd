#include "limits/limiter.hpp"

namespace stsync::limits {
namespace {
constexpr core::Duration kDefaultFreeze = std::chrono::seconds(1);
constexpr core::Duration kLongestFreeze = std::chrono::minutes(5);
}  // namespace

boost::asio::awaitable<core::Result<core::Duration>> Bucket::acquire(core::StopToken stop) {
  const auto start = clock_.now();
  const auto signal = clock_.make_signal();
  const auto place = line_.insert(line_.end(), signal.get());
  const auto on_stop = stop.on_stop([&signal] { signal->notify(); });
  for (;;) {
    if (stop.stop_requested()) {
      line_.erase(place);
      wake_first();
      co_return core::fail(core::ErrorKind::cancelled, "stopped while waiting for the rate limit");
    }
    if (line_.front() != signal.get()) {
      co_await signal->wait();
      continue;
    }
    const auto now = clock_.now();
    const auto when = gcra_.next(now);
    if (when <= now) break;
    co_await signal->wait_until(when);
  }
  gcra_.take(clock_.now());
  line_.erase(place);
  wake_first();
  co_return clock_.now() - start;
}

void Bucket::refused(std::optional<core::Duration> retry_after) {
  const auto wait = std::clamp(retry_after.value_or(kDefaultFreeze), kDefaultFreeze, kLongestFreeze);
  gcra_.refused();
  hold(clock_.now() + wait);
}

void Bucket::hold(core::TimePoint until) { gcra_.freeze(until); }  // the first in line looks again when it wakes

void Bucket::wake_first() {
  if (!line_.empty()) line_.front()->notify();
}

Bucket& Limiter::bucket(const std::string& app, std::int64_t tenant, double per_second) {
  auto& slot = buckets_[{app, tenant}];
  if (!slot) slot = std::make_unique<Bucket>(clock_, per_second);
  return *slot;
}

}  // namespace stsync::limits
