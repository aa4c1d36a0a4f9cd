#pragma once
#include <cstdint>
#include <optional>

namespace stsync::sync {

/// Where a lane begins to read its commands.
struct StartOffset {
  std::int64_t offset = 0;
  std::int64_t expired = 0;  ///< at most so many commands were removed from the topic before they were read
  bool made_anew = false;    ///< the topic has not come as far as the lane had: it is another one of the same name
};

/// `committed`: by the group, which forgets the offsets of an idle one; `journalled`: by the lane itself, -1: never; the topic
/// holds offsets from `low` to before `high`. Pure.
StartOffset start_offset(std::optional<std::int64_t> committed, std::int64_t journalled, std::int64_t low, std::int64_t high);

}  // namespace stsync::sync
