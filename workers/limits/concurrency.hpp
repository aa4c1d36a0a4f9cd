#pragma once
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>

#include "core/clock.hpp"

namespace stsync::limits {

/// How many calls of a tenant may be under way: as many as its rate needs at the time that its answers take (Little's law, with
/// the 95th percentile), so a quick tenant holds few connections and a slow one does not hold all of them. Pure.
class Concurrency {
 public:
  static constexpr std::size_t kFirst = 16, kLeast = 4, kMost = 64;

  explicit Concurrency(double per_second) : per_second_(per_second) {}

  std::size_t most() const noexcept { return most_; }
  /// A call was answered after this time.
  void answered(core::Duration took) {
    took_ms_[count_++ % took_ms_.size()] = static_cast<float>(std::chrono::duration<double, std::milli>(took).count());
    if (count_ % kLookEvery == 0) most_ = fitting();
  }

 private:
  static constexpr std::size_t kLookEvery = 16;

  std::size_t fitting() const {
    auto sorted = took_ms_;
    const auto n = std::min(count_, sorted.size());
    const auto at = sorted.begin() + static_cast<std::ptrdiff_t>(n * 95 / 100);
    std::nth_element(sorted.begin(), at, sorted.begin() + static_cast<std::ptrdiff_t>(n));
    // One more, whose permit comes while the others are under way.
    const auto wanted = std::ceil(per_second_ * static_cast<double>(*at) / 1000) + 1;
    return static_cast<std::size_t>(std::clamp(wanted, static_cast<double>(kLeast), static_cast<double>(kMost)));
  }

  double per_second_;
  std::array<float, 64> took_ms_{};
  std::size_t count_ = 0;
  std::size_t most_ = kFirst;
};

}  // namespace stsync::limits
