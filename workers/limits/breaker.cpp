#include "limits/breaker.hpp"

#include <algorithm>
#include <bit>

#include "core/error.hpp"
#include "limits/backoff.hpp"

namespace stsync::limits {

using core::TimePoint;

TimePoint Breaker::next(TimePoint now) const {
  if (!open_) return now;
  return probing_ ? TimePoint::max() : std::max(now, until_);
}

Breaker::Ticket Breaker::began(TimePoint now) {
  core::check(next(now) <= now, "a call leaves through an open breaker");
  if (!open_) return present_;
  probing_ = true;
  return ++present_;
}

void Breaker::succeeded(Ticket call) {
  if (call != present_) return;
  if (!open_) return note(false);
  *this = Breaker();
  present_ = call + 1;
}

void Breaker::failed(Ticket call, TimePoint now, core::Rng& rng) {
  if (call != present_) return;
  if (!open_) note(true);
  if (open_ || too_many_failures()) open(now, rng);
}

void Breaker::abandoned(Ticket call) {
  if (call == present_) probing_ = false;
}

Breaker::State Breaker::state(TimePoint now) const {
  if (!open_) return State::closed;
  return probing_ || now >= until_ ? State::half_open : State::open;
}

void Breaker::note(bool failure) {
  constexpr std::uint32_t kMask = (1u << kLast) - 1;
  last_ = ((last_ << 1) | (failure ? 1u : 0u)) & kMask;
  known_ = std::min(known_ + 1, kLast);
  row_ = failure ? row_ + 1 : 0;
}

/// Few calls make no share: the first failure of a day is all of them.
bool Breaker::too_many_failures() const { return row_ >= kInARow || (known_ == kLast && 2 * std::popcount(last_) > kLast); }

void Breaker::open(TimePoint now, core::Rng& rng) {
  // Never shorter than the one before, up to half of the longest: beyond that there must be room for chance.
  wait_ = next_backoff(wait_, std::clamp(wait_, kFirst, kLongest / 2), kLongest, rng);
  until_ = now + wait_;
  open_ = true;
  probing_ = false;
  ++present_;
}

}  // namespace stsync::limits
