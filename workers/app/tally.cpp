#include "app/tally.hpp"

#include <charconv>

#include <fmt/format.h>

#include "core/text.hpp"

namespace stsync::app {

void Tally::add(std::string_view key, std::string_view value) {
  std::string head(key);
  head += '\0';
  const auto hex = core::sha256_hex(head, value);
  const auto part = [&hex](std::size_t at) {
    std::uint64_t v = 0;
    std::from_chars(hex.data() + at, hex.data() + at + 16, v, 16);
    return v;
  };
  const auto low = part(16);
  low_ += low;
  high_ += part(0) + (low_ < low ? 1 : 0);
  ++count_;
}

std::string Tally::hash() const { return fmt::format("{:016x}{:016x}", high_, low_); }

}  // namespace stsync::app
