#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "core/error.hpp"
#include "kafka/client.hpp"
#include "kafka/message.hpp"
#include "kafka/producer.hpp"

namespace stsync::kafka {

/// What the owner of a partition of the commands topic does with the cluster: its transactional producer, its journal, its offset.
/// Each call waits for the broker without holding up the loop; one at a time. Loop thread only; close() before it is destroyed.
class LaneClient {
 public:
  virtual ~LaneClient() = default;
  /// Makes the producer, fences the predecessor and aborts what it left open. broker: not now, ask again; fenced, bad_config,
  /// forbidden: do not.
  virtual boost::asio::awaitable<core::Result<void>> init(std::chrono::milliseconds timeout) = 0;
  /// Fetches the metadata of every topic that will be written to, so that the first transaction does not wait for it.
  virtual boost::asio::awaitable<core::Result<void>> warm_up(std::vector<std::string> topics) = 0;
  /// Every committed message of this partition of another topic, up to its real end (kafka::read_to_end). `each` is called on
  /// another thread while this waits.
  virtual boost::asio::awaitable<core::Result<void>> read_to_end(std::string topic, std::chrono::milliseconds timeout,
                                                                 std::function<void(const Message&)> each) = 0;
  /// The committed, stable offset of the commands; nothing when there is none.
  virtual boost::asio::awaitable<core::Result<std::optional<std::int64_t>>> committed(std::chrono::milliseconds timeout) = 0;
  /// First and next offset of the commands.
  virtual boost::asio::awaitable<core::Result<std::pair<std::int64_t, std::int64_t>>> watermarks(
      std::chrono::milliseconds timeout) = 0;
  /// The next GroupConsumer::poll() of this partition starts at `offset`.
  virtual boost::asio::awaitable<core::Result<void>> seek(std::int64_t offset) = 0;
  /// One transaction, from begin to commit, with fresh group metadata for the offset. After init().
  virtual boost::asio::awaitable<CommitReport> commit(Batch batch) = 0;
  /// Ends the producer and its threads.
  virtual boost::asio::awaitable<void> close() = 0;
};

class GroupOffsets;
/// `group`: the member that owns the partition; outlives the client.
std::unique_ptr<LaneClient> make_lane_client(const Cluster& cluster, TransactionalOptions options, const GroupOffsets& group);

}  // namespace stsync::kafka
