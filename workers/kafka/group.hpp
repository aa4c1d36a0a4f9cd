#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "kafka/client.hpp"

namespace stsync::kafka {

/// A consumer group as its coordinator tells of it to a tool that is no member. Every call blocks; one thread at a time.
class Group {
 public:
  virtual ~Group() = default;
  /// Who is in it, "client id at host" each; of a group that nobody knows yet: nobody.
  virtual core::Result<std::vector<std::string>> members(std::chrono::milliseconds timeout) = 0;
  /// The committed, stable offset of a partition; nothing when there is none.
  virtual core::Result<std::optional<std::int64_t>> committed(const std::string& topic, std::int32_t partition,
                                                              std::chrono::milliseconds timeout) = 0;
};
core::Result<std::unique_ptr<Group>> make_group(const Cluster& cluster, std::string name);

}  // namespace stsync::kafka
