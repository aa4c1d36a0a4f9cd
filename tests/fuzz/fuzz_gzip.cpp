// Any bytes as a compressed body: an error, or at most the allowed size and the same in parts.
#include <cstdint>
#include <string>
#include <string_view>

#include "codec/gzip.hpp"
#include "core/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kMost = 1u << 20;
  const std::string_view packed(reinterpret_cast<const char*>(data), size);
  const auto body = stsync::codec::gunzip(packed, kMost);
  if (!body) return 0;
  stsync::core::check(body->size() <= kMost, "more than allowed");
  std::string parts;
  const auto whole = stsync::codec::gunzip_parts(stsync::core::Body(std::string(packed)), kMost, [&parts](std::string_view part) {
    parts += part;
    return stsync::core::Result<void>();
  });
  stsync::core::check(whole && parts == *body, "something else in parts");
  return 0;
}
