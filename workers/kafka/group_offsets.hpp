#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

#include "core/error.hpp"

struct rd_kafka_s;
struct rd_kafka_error_s;
struct rd_kafka_topic_partition_list_s;

namespace stsync::kafka {

/// What a member of a group knows and says of offsets. Every call blocks; any thread.
class GroupOffsets {
 public:
  virtual ~GroupOffsets() = default;
  /// The committed, stable offset; nothing when there is none.
  virtual core::Result<std::optional<std::int64_t>> committed(std::int32_t partition, std::chrono::milliseconds timeout) const = 0;
  /// First and next offset of a partition.
  virtual core::Result<std::pair<std::int64_t, std::int64_t>> watermarks(std::int32_t partition,
                                                                         std::chrono::milliseconds timeout) const = 0;
  /// The next poll() starts at `offset`.
  virtual core::Result<void> seek(std::int32_t partition, std::int64_t offset) const = 0;
  /// Adds offsets with this member's present generation to a producer's transaction.
  virtual rd_kafka_error_s* send_offsets(rd_kafka_s* producer, const rd_kafka_topic_partition_list_s* offsets,
                                         std::chrono::milliseconds timeout) const = 0;
};

}  // namespace stsync::kafka
