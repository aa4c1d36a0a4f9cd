#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.hpp"

namespace stsync::config {

/// "100ms", "30s", "15m", "24h", "7d": a whole number and one unit. Nothing when it is not that or does not fit.
std::optional<core::Duration> parse_duration(std::string_view text);
/// In the largest unit that holds it whole.
std::string format_duration(core::Duration d);

/// "512B", "64KiB", "16MiB", "2GiB": a whole number and one unit.
std::optional<std::uint64_t> parse_size(std::string_view text);
std::string format_size(std::uint64_t bytes);

/// A decimal number as people write it: no exponent needed, no trailing zeros.
std::string format_number(double value);

}  // namespace stsync::config
