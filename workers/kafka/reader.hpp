#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "kafka/client.hpp"
#include "kafka/message.hpp"

namespace stsync::kafka {

/// Where a Reader starts.
enum class From { beginning, end };

/// Reads topics without a group, read_committed. Every call blocks; one thread at a time.
class Reader {
 public:
  virtual ~Reader() = default;
  /// The next message of any partition, nothing within `timeout`.
  virtual core::Result<std::optional<Message>> next(std::chrono::milliseconds timeout) = 0;
};
core::Result<std::unique_ptr<Reader>> make_reader(const Cluster& cluster, const std::vector<std::string>& topics, From from,
                                                  std::chrono::milliseconds timeout);

/// Every committed message of one partition, up to its real end: the end is asked of a read_uncommitted client, because a
/// read_committed one only sees the last stable offset, and the reading goes on until the position is past it. Null values are
/// passed on. `from`: what stands before that offset is left out. Blocks; any thread.
core::Result<void> read_to_end(const Cluster& cluster, const std::string& topic, std::int32_t partition,
                               std::chrono::milliseconds timeout, const std::function<void(Message)>& each, std::int64_t from = 0);

}  // namespace stsync::kafka
