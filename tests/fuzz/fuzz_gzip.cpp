// Any bytes as a compressed body: an error or at most the allowed size.
#include <cstdint>
#include <string_view>

#include "codec/gzip.hpp"
#include "core/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kMost = 1u << 20;
  const auto body = stsync::codec::gunzip({reinterpret_cast<const char*>(data), size}, kMost);
  if (body) stsync::core::check(body->size() <= kMost, "more than allowed");
  return 0;
}
