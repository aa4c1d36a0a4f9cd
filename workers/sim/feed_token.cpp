#include "sim/feed_token.hpp"

#include <charconv>

#include <fmt/format.h>

namespace stsync::sim {
namespace {

constexpr std::size_t kWord = 16;  // hex digits

std::uint64_t key_of(std::uint64_t seed, const Dataset& dataset) {
  auto key = mix(seed, static_cast<std::uint64_t>(dataset.tenant()));
  for (const char c : dataset.resource().name) key = mix(key, static_cast<unsigned char>(c));
  return key;
}

std::uint64_t check_of(std::uint64_t key, std::uint64_t modified, std::uint64_t id) { return mix(mix(key, modified), id); }

std::optional<std::uint64_t> read_word(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return ec == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

}  // namespace

std::string make_feed_token(std::uint64_t seed, const Dataset& dataset, Dataset::Position at) {
  const auto key = key_of(seed, dataset);
  const auto modified = static_cast<std::uint64_t>(at.modified);
  const auto id = static_cast<std::uint64_t>(at.id);
  const auto check = check_of(key, modified, id);
  return fmt::format("{:016x}{:016x}{:016x}", check, modified ^ mix(key, check), id ^ mix(key, check + 1));
}

std::optional<Dataset::Position> read_feed_token(std::uint64_t seed, const Dataset& dataset, std::string_view token) {
  if (token.size() != 3 * kWord) return std::nullopt;
  const auto check = read_word(token.substr(0, kWord));
  const auto a = read_word(token.substr(kWord, kWord));
  const auto b = read_word(token.substr(2 * kWord));
  if (!check || !a || !b) return std::nullopt;
  const auto key = key_of(seed, dataset);
  const auto modified = *a ^ mix(key, *check);
  const auto id = *b ^ mix(key, *check + 1);
  if (check_of(key, modified, id) != *check) return std::nullopt;
  return Dataset::Position{static_cast<Ticks>(modified), static_cast<std::int64_t>(id)};
}

}  // namespace stsync::sim
