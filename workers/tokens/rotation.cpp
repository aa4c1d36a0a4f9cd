#include "tokens/rotation.hpp"

#include <algorithm>
#include <utility>

namespace stsync::tokens {
namespace {
/// A wrong secret in the files is not shown at each renewal: it would be a dead credential beside one that works.
constexpr std::uint32_t kMostSkips = 15;
}  // namespace

core::Result<Credentials> Rotation::choose(core::Result<Credentials> configured) {
  unreadable_ = !configured;
  const auto next = std::exchange(next_, Next::usual);
  second_ = next != Next::usual;
  if (!configured) {  // the file is just being replaced
    if (!good_) return configured;
    chosen_ = good_;
    return *good_;
  }
  if (configured_ != *configured) {
    configured_ = *configured;
    detours_ = skips_ = 0;
  }
  const bool older = has_older() && (next == Next::last_good || (next == Next::usual && skips_ > 0));
  if (older && next == Next::usual) --skips_;
  chosen_ = older ? good_ : configured_;
  return *chosen_;
}

void Rotation::worked() {
  if (chosen_ == configured_) {
    good_ = chosen_;
    detours_ = skips_ = 0;
  } else if (second_) {
    detours_ = std::min(detours_ + 1, 4u);
    skips_ = std::min((1u << detours_) - 1, kMostSkips);
  }
}

void Rotation::refused() {
  skips_ = 0;
  if (second_ || unreadable_ || !has_older()) return;
  next_ = chosen_ == configured_ ? Next::last_good : Next::configured;
}

}  // namespace stsync::tokens
