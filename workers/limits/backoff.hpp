#pragma once
#include <algorithm>

#include "core/clock.hpp"
#include "core/rng.hpp"

namespace stsync::limits {

/// The next wait of a row, with decorrelated jitter: uniform between `first` and three times the one before, at most `longest`.
/// It tends to grow, and spreads those who failed together better than doubling with a little noise. `previous`: zero before the
/// first wait of a row. Pure; 0 < first <= longest.
inline core::Duration next_backoff(core::Duration previous, core::Duration first, core::Duration longest, core::Rng& rng) {
  const auto from = std::clamp(previous, first, longest);
  const auto most = from > longest / 3 ? longest : from * 3;
  return first + std::chrono::duration_cast<core::Duration>((most - first) * rng.unit());
}

}  // namespace stsync::limits
