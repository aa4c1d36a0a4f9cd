#pragma once
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "kafka/client.hpp"
#include "kafka/message.hpp"

namespace stsync::kafka {

/// An idempotent producer without transactions for many senders on the loop, none of which blocks it. Loop thread only.
class AsyncProducer {
 public:
  virtual ~AsyncProducer() = default;
  /// Ends well once every message is acknowledged by all in-sync replicas. timeout: not by then; broker, not_found, forbidden,
  /// too_large: Kafka does not take it. After an error any of them may have been stored or may still be.
  virtual boost::asio::awaitable<core::Result<void>> send(std::vector<OwnedMessage> messages, core::Duration timeout) = 0;
  /// Whether messages could be sent: Kafka knows this producer, the topics are there and every partition has a leader. not_found: a
  /// topic is not there.
  virtual boost::asio::awaitable<core::Result<void>> probe(std::vector<std::string> topics, std::chrono::milliseconds timeout) = 0;
  /// Gives up what is not acknowledged. Before the destructor, with no send() or probe() under way.
  virtual boost::asio::awaitable<void> close() = 0;
};

struct AsyncProducerOptions {
  std::chrono::milliseconds message_timeout{6'500};  ///< then a message is given up; looked at once a second
  std::chrono::milliseconds linger{5};               ///< how long a message waits for others to share its batch
  std::size_t queue_bytes = 64u << 20;               ///< of messages that are not acknowledged; beyond it send() fails at once
};

core::Result<std::unique_ptr<AsyncProducer>> make_async_producer(boost::asio::any_io_executor loop, core::Clock& clock,
                                                                 Cluster cluster, AsyncProducerOptions options);

}  // namespace stsync::kafka
