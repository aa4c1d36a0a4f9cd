#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace stsync::app {

/// What was read of one tenant's resource, to be compared with the simulator's truth: how many records, and the sum modulo 2^128
/// of the first 16 bytes (big endian) of SHA-256(key, NUL, bytes). Order does not matter; a missing, doubled or changed record
/// does.
class Tally {
 public:
  void add(std::string_view key, std::string_view value);
  std::uint64_t count() const noexcept { return count_; }
  std::string hash() const;

 private:
  std::uint64_t count_ = 0;
  std::uint64_t high_ = 0, low_ = 0;
};

}  // namespace stsync::app
