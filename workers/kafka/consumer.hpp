#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/stop.hpp"
#include "kafka/client.hpp"
#include "kafka/lane_client.hpp"
#include "kafka/message.hpp"

namespace stsync::kafka {

struct GroupOptions {
  std::string group;
  std::string instance_id;  ///< static membership; empty: a dynamic member
  std::string topic;
  std::chrono::milliseconds session_timeout{45'000};
};

/// What the group tells its member. Called on the loop, from run().
class GroupListener {
 public:
  virtual ~GroupListener() = default;
  /// These partitions are ours; nothing of them is handed out before poll() is called.
  virtual void assigned(const std::vector<std::int32_t>& partitions) = 0;
  /// Give everything back: stop the work, then call complete_revoke(). `lost`: somebody else may have them already.
  virtual void revoked(bool lost) = 0;
  /// There may be messages to poll().
  virtual void messages() = 0;
  /// `fatal`: this member cannot go on (fenced by a twin).
  virtual void error(const core::Error& error, bool fatal) = 0;
};

/// Member of a consumer group over one topic, range assignor, offsets committed only inside transactions. librdkafka's queues
/// wake the loop through an eventfd; each partition has its own queue, which is the back-pressure: what is not polled is not
/// fetched. Loop thread only, except where said.
class GroupConsumer {
 public:
  virtual ~GroupConsumer() = default;
  /// Joins and serves events until `stop`; then leaves the partitions (revoked() is called) and closes, at most `close_timeout`.
  /// Once; what is asked of it afterwards is answered with errors.
  virtual boost::asio::awaitable<void> run(core::StopToken stop, core::Duration close_timeout) = 0;
  /// The next message of an assigned partition, nothing when there is none now.
  virtual std::optional<Message> poll(std::int32_t partition) = 0;
  virtual void complete_revoke() = 0;
  /// The next offset of a partition as of the last fetch; -1 when not known yet. Never blocks.
  virtual std::int64_t end_offset(std::int32_t partition) const = 0;
  /// When the coordinator last confirmed our membership.
  virtual core::TimePoint last_heartbeat() const noexcept = 0;

  /// For the owner of an assigned partition. This member outlives it.
  virtual std::unique_ptr<LaneClient> lane_client(TransactionalOptions options) = 0;
};

core::Result<std::unique_ptr<GroupConsumer>> make_group_consumer(boost::asio::any_io_executor loop, core::Clock& clock,
                                                                 const Cluster& cluster, GroupOptions options,
                                                                 GroupListener& listener);

}  // namespace stsync::kafka
