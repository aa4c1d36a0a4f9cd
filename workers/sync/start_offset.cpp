#include "sync/start_offset.hpp"

#include <algorithm>

namespace stsync::sync {

StartOffset start_offset(std::optional<std::int64_t> committed, std::int64_t journalled, std::int64_t low, std::int64_t high) {
  const auto known = std::max(committed.value_or(-1), journalled);
  if (known > high) return {.offset = low, .made_anew = true};
  return {.offset = std::max(known, low), .expired = known < 0 ? 0 : std::max<std::int64_t>(low - known, 0)};
}

}  // namespace stsync::sync
