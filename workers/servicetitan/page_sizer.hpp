#pragma once
#include <algorithm>
#include <cstddef>
#include <optional>

namespace stsync::servicetitan {

/// How many rows a page of one endpoint should have, where that can be asked for: few calls, and bodies that stay small. Pure.
class PageSizer {
 public:
  static constexpr std::size_t kLeast = 4u << 20, kMost = 8u << 20;  ///< bytes of a page as inflated
  static constexpr int kSmallest = 10;
  static constexpr int kPatience = 20;  ///< pages after a timeout before twice as much is tried

  /// `max_rows`: the most that the endpoint gives.
  explicit PageSizer(int max_rows) : max_(std::max(1, max_rows)), limit_(max_) {}

  /// After an answer of `rows` rows and `bytes` to a request for `asked` rows: another size, if it should be another.
  std::optional<int> after_page(int asked, std::size_t rows, std::size_t bytes) {
    if (rows == 0 || (bytes >= kLeast && bytes <= kMost)) return std::nullopt;
    const bool full = rows >= static_cast<std::size_t>(asked);
    if (bytes < kLeast && !full) return std::nullopt;  // the last page tells nothing
    // What was too much in a bad hour need not be for ever.
    if (limit_ < max_ && ++good_ >= kPatience) {
      limit_ = std::min(max_, 2 * limit_);
      good_ = 0;
    }
    const auto fits = static_cast<double>((kLeast + kMost) / 2) / (static_cast<double>(bytes) / static_cast<double>(rows));
    const auto twice = std::min(limit_, 2 * asked);  // rows differ: one page is no promise for ten times as many
    const auto wanted = std::clamp(static_cast<int>(std::min(fits, 1e6)), std::min(kSmallest, twice), twice);
    return wanted == asked ? std::nullopt : std::optional(wanted);
  }

  /// The answer took too long: half as many from now on.
  std::optional<int> after_timeout(int asked) {
    if (!can_shrink(asked)) return std::nullopt;
    limit_ = std::max(kSmallest, asked / 2);
    good_ = 0;
    return limit_;
  }
  static bool can_shrink(int asked) noexcept { return asked > kSmallest; }

 private:
  const int max_;
  int limit_;     ///< since the last timeout
  int good_ = 0;  ///< pages since then
};

}  // namespace stsync::servicetitan
