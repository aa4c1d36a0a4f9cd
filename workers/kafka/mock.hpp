#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/error.hpp"

namespace stsync::kafka {

/// librdkafka's cluster inside this process, for the demo and for tests of wiring. It keeps at most 5 MiB a partition, forgets
/// everything at the end, and does not model transactions: no fencing, no isolation, no offsets in a transaction.
class MockCluster {
 public:
  virtual ~MockCluster() = default;
  virtual std::string bootstrap_servers() const = 0;
  /// librdkafka settings (Cluster::properties) with which its clients start and end without needless waits.
  virtual std::map<std::string, std::string> client_properties() const = 0;
  virtual core::Result<void> create_topic(const std::string& name, int partitions) = 0;
};
core::Result<std::unique_ptr<MockCluster>> start_mock_cluster();

}  // namespace stsync::kafka
