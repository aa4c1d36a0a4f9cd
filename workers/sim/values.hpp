#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.hpp"
#include "sim/row_plan.hpp"

namespace stsync::sim {

/// Time as the vendor stores it: 100 ns steps since 1970 (UTC).
using Ticks = std::int64_t;
constexpr Ticks kTicksPerMs = 10'000;
constexpr Ticks kTicksPerSecond = 1000 * kTicksPerMs;
constexpr Ticks kTicksPerDay = 86'400 * kTicksPerSecond;

inline Ticks to_ticks(core::WallTime t) { return t.time_since_epoch().count() * kTicksPerMs; }
inline Ticks to_ticks(core::Duration d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count() * kTicksPerMs; }

/// .NET's form: up to 7 fraction digits, trailing zeros cut, "Z".
void append_time(std::string& out, Ticks t);
void append_number(std::string& out, std::int64_t n);

/// A good mix of a and b; the source of everything random in a row.
constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t z = a * 0x9e3779b97f4a7c15ULL + b + 0x632be59bd9b4e019ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}
constexpr std::uint64_t mix(std::uint64_t a, std::string_view text) noexcept {
  for (const char c : text) a = mix(a, static_cast<std::uint64_t>(static_cast<unsigned char>(c)));
  return a;
}

/// Random numbers of one value; the same seed gives the same ones.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() noexcept { return mix(0x2545f4914f6cdd1dULL, state_ += 0x9e3779b97f4a7c15ULL); }
  std::uint64_t below(std::uint64_t n) noexcept { return next() % n; }
  bool one_in(std::uint64_t n) noexcept { return below(n) == 0; }
  std::int64_t reference() noexcept { return static_cast<std::int64_t>(1'000'000 + below(90'000'000'000)); }

 private:
  std::uint64_t state_;
};

/// An id as its type has it, without quotes: a number, a guid, or a text that a path has to escape.
std::string id_text(Scalar form, std::int64_t id);
/// The id behind such a text; nothing for any other.
std::optional<std::int64_t> read_id(Scalar form, std::string_view text);
void append_id(std::string& out, Scalar form, std::int64_t id);

/// A value that needs no more than chance. `created`: dates lie some days after it.
void append_value(std::string& out, Kind kind, Draw& draw, Ticks created);
/// Text of about `bytes` bytes, escapes and all.
void append_filler(std::string& out, Draw& draw, std::size_t bytes);

}  // namespace stsync::sim
