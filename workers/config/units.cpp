#include "config/units.hpp"

#include <array>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "core/text.hpp"

namespace stsync::config {
namespace {

/// Splits "15m" into its number and the table's factor of "m"; nothing when the product would not fit.
template <class Table>
std::optional<std::int64_t> scaled(std::string_view text, const Table& units) {
  const auto digits = text.find_first_not_of("0123456789");
  if (digits == 0 || digits == std::string_view::npos) return std::nullopt;
  const auto number = core::parse_int(text.substr(0, digits));
  if (!number) return std::nullopt;
  for (const auto& [name, factor] : units)
    if (text.substr(digits) == name) {
      if (*number > std::numeric_limits<std::int64_t>::max() / factor) return std::nullopt;
      return *number * factor;
    }
  return std::nullopt;
}

using Unit = std::pair<std::string_view, std::int64_t>;
constexpr std::array<Unit, 5> kTimes{
    {{"d", 86'400'000'000'000}, {"h", 3'600'000'000'000}, {"m", 60'000'000'000}, {"s", 1'000'000'000}, {"ms", 1'000'000}}};
constexpr std::array<Unit, 4> kSizes{{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}};

template <class Table>
std::string in_largest(std::int64_t value, const Table& units) {
  for (const auto& [name, factor] : units)
    if (value != 0 && value % factor == 0) return fmt::format("{}{}", value / factor, name);
  return fmt::format("{}{}", value / units.back().second, units.back().first);
}

}  // namespace

std::optional<core::Duration> parse_duration(std::string_view text) {
  const auto ns = scaled(text, kTimes);
  return ns ? std::optional(core::Duration(*ns)) : std::nullopt;
}

std::string format_duration(core::Duration d) { return in_largest(d.count(), kTimes); }

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const auto bytes = scaled(text, kSizes);
  return bytes ? std::optional(static_cast<std::uint64_t>(*bytes)) : std::nullopt;
}

std::string format_size(std::uint64_t bytes) { return in_largest(static_cast<std::int64_t>(bytes), kSizes); }

std::string format_number(double value) {
  auto text = fmt::format("{}", value);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text;
}

}  // namespace stsync::config
