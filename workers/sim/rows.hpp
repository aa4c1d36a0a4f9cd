#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.hpp"
#include "sim/resources.hpp"

namespace stsync::sim {

/// Time as the vendor stores it: 100 ns steps since 1970 (UTC).
using Ticks = std::int64_t;
constexpr Ticks kTicksPerMs = 10'000;
constexpr Ticks kTicksPerSecond = 1000 * kTicksPerMs;
constexpr Ticks kTicksPerDay = 86'400 * kTicksPerSecond;

inline Ticks to_ticks(core::WallTime t) { return t.time_since_epoch().count() * kTicksPerMs; }

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

/// What decides every byte of a row.
struct RowFacts {
  std::uint64_t seed = 0;  ///< of this version of this row
  std::int64_t id = 0;
  bool active = true;
  Ticks created = 0, modified = 0;
  std::size_t extra = 0;  ///< bytes on top of the usual size
};

/// Writes the rows of one resource as compact JSON objects. Immutable, any thread.
class RowWriter {
 public:
  /// Rows come out at about `bytes` each (a fifth up or down), but not below what their fields need.
  RowWriter(const Resource& resource, std::size_t bytes);
  void append(std::string& out, const RowFacts& row) const;

 private:
  struct Piece {
    std::string prefix;  // ,"name":
    Kind kind;
    std::vector<std::string> choices;  // quoted
  };
  std::vector<Piece> pieces_;
  std::size_t filler_ = 0;  // bytes
};

}  // namespace stsync::sim
