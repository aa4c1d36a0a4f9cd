#pragma once
#include <cstdint>
#include <cstdlib>

namespace stsync::test {

/// How many seeds a property is tried with: `few` in every run, STSYNC_SEEDS times as many in a long one.
inline std::uint64_t seeds(std::uint64_t few) {
  const auto* times = std::getenv("STSYNC_SEEDS");
  return times == nullptr ? few : few * std::strtoull(times, nullptr, 10);
}

}  // namespace stsync::test
