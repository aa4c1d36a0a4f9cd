#include "limits/pacer.hpp"

#include <algorithm>
#include <cmath>

namespace stsync::limits {

using core::Duration;
using core::TimePoint;
using namespace std::chrono_literals;

namespace {

constexpr double kFirstStep = 0.004, kLargestStep = 0.16;
constexpr double kLeastUse = 0.2;
/// Refusals nearer than this have one cause that a small step does not mend: somebody else uses the quota too.
constexpr Duration kSoon = 10s;
/// One refusal in so long costs less than what a slower pace would.
constexpr Duration kAlone = 100s;
constexpr Duration kQuiet = 2min, kLongestQuiet = 1h;

Duration seconds(double s) { return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s)); }

/// Long ago, far enough from the clock's limits to count with.
constexpr TimePoint kNever = TimePoint(-24h * 365);

}  // namespace

Pacer::Pacer(double per_second)
    : limit_(per_second),
      left_(static_cast<std::size_t>(std::max(1.0, std::floor(per_second))), kNever),
      due_(kNever),
      frozen_until_(kNever),
      down_(kFirstStep),
      up_(kFirstStep),
      changed_(kNever),
      refused_(kNever),
      quiet_(kQuiet) {}

/// In which as many calls leave as left_ holds, at this share of the limit.
Duration Pacer::window(double use) const { return seconds(static_cast<double>(left_.size()) / (limit_ * use)); }

Duration Pacer::interval() const { return seconds(1 / rate()); }

/// Even, and whatever was late and made up for: the window before a call holds no more than the quota, with half of the distance
/// that jitter is left.
TimePoint Pacer::next(TimePoint now) {
  rise_again(now);
  const auto apart = (window(1) + window(use_)) / 2;
  return std::max({now, due_, frozen_until_, left_[oldest_] + apart});
}

void Pacer::take(TimePoint now) {
  due_ = (now - due_ <= kCatchUp ? due_ : now) + interval();
  left_[oldest_] = now;
  oldest_ = (oldest_ + 1) % left_.size();
}

void Pacer::left_late(TimePoint taken, TimePoint now) {
  if (const auto at = std::find(left_.begin(), left_.end(), taken); at != left_.end()) {
    *at = now;
    return;
  }
  // So late that its permit is forgotten: it takes the place of one that leaves now.
  left_[oldest_] = now;
  oldest_ = (oldest_ + 1) % left_.size();
  due_ = std::max(due_, now) + interval();
}

void Pacer::freeze(TimePoint until) { frozen_until_ = std::max(frozen_until_, until); }

/// Calls that were under way when the last refusal came tell nothing new.
void Pacer::refused(TimePoint sent, TimePoint now) {
  if (sent <= refused_) return;
  const bool alone = now - refused_ > kAlone;
  const bool soon = now - refused_ < kSoon;
  refused_ = now;
  const bool too_fast = risen_ && now - changed_ < quiet_;
  if (alone && !too_fast) return;
  down_ = soon ? std::min(2 * down_, kLargestStep) : kFirstStep;
  // Whether the faster pace was good shows within the time it was waited for.
  if (risen_) quiet_ = too_fast ? std::min(2 * quiet_, kLongestQuiet) : kQuiet;
  use_ = std::max(kLeastUse, use_ * (1 - down_));
  up_ = kFirstStep;
  risen_ = false;
  changed_ = now;
}

void Pacer::rise_again(TimePoint now) {
  if (use_ >= kUse || now - changed_ < quiet_) return;
  use_ = std::min(kUse, use_ * (1 + up_));
  up_ = std::min(2 * up_, kLargestStep);
  risen_ = true;
  changed_ = now;
}

}  // namespace stsync::limits
