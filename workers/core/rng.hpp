#pragma once
#include <cstdint>
#include <random>

namespace stsync::core {

/// Randomness, injected: seeded from the system in the program, from a number in tests. Not for secrets.
class Rng {
 public:
  explicit Rng(std::uint64_t seed) : engine_(seed) {}
  static Rng from_system() { return Rng((std::uint64_t{std::random_device{}()} << 32) | std::random_device{}()); }
  std::uint64_t next() { return engine_(); }
  /// Uniform in [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  /// Uniform in [low, high].
  std::uint64_t between(std::uint64_t low, std::uint64_t high) { return low + next() % (high - low + 1); }

 private:
  std::mt19937_64 engine_;
};

}  // namespace stsync::core
