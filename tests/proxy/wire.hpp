#pragma once
#include <cstdint>
#include <string>

#include "stage/kafka_frame.hpp"

namespace stsync::test {

/// Big endian.
inline std::string integer(std::int64_t value, unsigned bytes) {
  std::string out;
  for (auto i = bytes; i-- > 0;) out += static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}
inline std::string string(const std::string& text) { return integer(static_cast<std::int64_t>(text.size()), 2) + text; }
inline std::string framed(const std::string& body) { return integer(static_cast<std::int64_t>(body.size()), 4) + body; }
inline std::string header(KafkaApi api, std::int16_t version, std::int32_t correlation, const std::string& client) {
  return integer(static_cast<std::int16_t>(api), 2) + integer(version, 2) + integer(correlation, 4) + string(client);
}

}  // namespace stsync::test
