#include "sim/quota.hpp"

#include <algorithm>
#include <cmath>

namespace stsync::sim {
namespace {

constexpr std::size_t kMaxSeen = 1u << 20;

/// A call exactly one window old is outside.
void forget(std::deque<core::TimePoint>& log, core::TimePoint now, core::Duration window) {
  while (!log.empty() && now - log.front() >= window) log.pop_front();
}

}  // namespace

QuotaLog::QuotaLog(double per_second) {
  if (per_second >= 1) {
    limit_ = static_cast<std::size_t>(std::min(per_second, 1e9));
  } else if (per_second > 0) {
    limit_ = 1;
    window_ = core::Duration(std::llround(1e9 / per_second));
  }
}

QuotaLog::Decision QuotaLog::take(core::TimePoint now) {
  forget(seen_, now, std::chrono::seconds(1));
  if (seen_.size() < kMaxSeen) seen_.push_back(now);
  max_ = std::max(max_, seen_.size());
  if (limit_ == 0) return {};
  forget(counted_, now, window_);
  if (counted_.size() >= limit_) return {false, counted_[counted_.size() - limit_] + window_ - now};
  counted_.push_back(now);
  return {};
}

}  // namespace stsync::sim
