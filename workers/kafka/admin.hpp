#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "kafka/client.hpp"

namespace stsync::kafka {

struct NewTopic {
  std::string name;
  int partitions = 1;
  int replication_factor = -1;  ///< -1: the broker's default
  std::map<std::string, std::string> config;
};

struct TopicInfo {
  int partitions = 0;
  std::map<std::string, std::string> config;  ///< only the names asked for
};

/// Talks to the cluster about topics. Every call blocks.
class Admin {
 public:
  virtual ~Admin() = default;
  /// The topics of `names` that exist.
  virtual core::Result<std::map<std::string, TopicInfo>> describe(const std::vector<std::string>& names,
                                                                  const std::vector<std::string>& config_names,
                                                                  std::chrono::milliseconds timeout) = 0;
  /// Creates what does not exist yet.
  virtual core::Result<void> create(const std::vector<NewTopic>& topics, std::chrono::milliseconds timeout) = 0;
  /// Gives a topic that has fewer this many partitions.
  virtual core::Result<void> grow(const std::string& topic, int partitions, std::chrono::milliseconds timeout) = 0;
};
core::Result<std::unique_ptr<Admin>> make_admin(const Cluster& cluster);

}  // namespace stsync::kafka
