#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stsync::kafka {

/// A record as read. `key` and `value` absent mean null.
struct Message {
  std::string topic;
  std::int32_t partition = -1;
  std::int64_t offset = -1;
  std::int64_t timestamp_ms = 0;
  std::optional<std::string> key, value;
  std::vector<std::pair<std::string, std::string>> headers;

  const std::string* header(std::string_view name) const noexcept {
    for (const auto& [n, v] : headers)
      if (n == name) return &v;
    return nullptr;
  }
};

inline constexpr std::int32_t kAnyPartition = -1;  ///< murmur2 of the key

/// A record to write; views must live through the call they are passed to.
struct MessageView {
  std::string_view topic;
  std::int32_t partition = kAnyPartition;
  std::string_view key;
  std::optional<std::string_view> value;  ///< nothing: a tombstone
  std::span<const std::pair<std::string_view, std::string_view>> headers;
};

/// A record to write that owns its bytes.
struct OwnedMessage {
  std::string topic;
  std::int32_t partition = kAnyPartition;
  std::string key;
  std::optional<std::string> value;
  std::vector<std::pair<std::string, std::string>> headers{};
};

}  // namespace stsync::kafka
