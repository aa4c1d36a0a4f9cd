#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "kafka/client.hpp"
#include "kafka/message.hpp"

namespace stsync::kafka {

class GroupOffsets;

/// Takes the messages of a batch one by one; false stops the batch.
class MessageSink {
 public:
  virtual ~MessageSink() = default;
  virtual bool add(const MessageView& message) = 0;
};

/// Many messages that can be made one after the other without holding them all (the records of a page).
class MessageRun {
 public:
  virtual ~MessageRun() = default;
  /// Calls sink.add() for each message, stops when it says false. Called on the producer's thread.
  virtual void write(MessageSink& sink) const = 0;
};

/// What one transaction carries.
struct Batch {
  std::vector<std::shared_ptr<const MessageRun>> runs;
  std::vector<OwnedMessage> messages;  ///< after the runs
  std::int64_t offset = -1;            ///< of the commands partition, the next one to read; -1: none
};

enum class Outcome {
  committed,  ///< everything is visible
  aborted,    ///< nothing is, and the producer can go on (but see producer_ended)
  doubt,      ///< unknown: destroy this producer, make a new one, read the journal
  fenced,     ///< the partition is somebody else's; whether anything is visible is for him to learn from the journal
};

struct CommitReport {
  Outcome outcome = Outcome::doubt;
  core::Error error{core::ErrorKind::internal, ""};  ///< why, unless committed
  bool producer_ended = false;  ///< with `aborted`: it can not go on; a new one can, without a look at the journal
  std::chrono::microseconds took{};
};

/// How much a producer's queue holds before a batch waits for the broker.
inline constexpr std::size_t kQueueBytes = 32u << 20;
/// The largest message that is sent to any topic. Whoever makes messages keeps to it, and to the topic's own limit.
inline constexpr std::size_t kMaxMessageBytes = 16u << 20;

struct TransactionalOptions {
  std::string transactional_id;
  std::string commands_topic;
  std::int32_t partition = 0;
  std::chrono::milliseconds transaction_timeout{120'000};
  std::size_t queue_bytes = kQueueBytes;
  /// How many partitions topics must have: warm_up() says bad_config where they have others.
  std::map<std::string, int> partition_counts{};
};

/// The transactional producer of one lane. Every call blocks: use it on the lane's own thread, one call at a time.
class TransactionalProducer {
 public:
  virtual ~TransactionalProducer() = default;
  /// Fences the predecessor and aborts what it left open. broker: not now, ask again; fenced, bad_config, forbidden: do not.
  virtual core::Result<void> init(std::chrono::milliseconds timeout) = 0;
  /// Fetches the metadata of every topic that it will write to, so that the first transaction does not wait for it. A topic that
  /// is not as it must be is the answer once all have been looked at.
  virtual core::Result<void> warm_up(const std::vector<std::string>& topics) = 0;
  /// One transaction, from begin to commit. `group` gives fresh metadata for the offset.
  virtual CommitReport commit(const Batch& batch, const GroupOffsets& group) = 0;
  /// One without an offset.
  virtual CommitReport commit(const std::vector<OwnedMessage>& messages) = 0;
};

core::Result<std::unique_ptr<TransactionalProducer>> make_transactional_producer(const Cluster& cluster,
                                                                                 TransactionalOptions options);

/// A plain idempotent producer for tools. Calls block.
class Producer {
 public:
  virtual ~Producer() = default;
  /// Sends and waits for the broker's answer.
  virtual core::Result<void> send(const std::vector<OwnedMessage>& messages, std::chrono::milliseconds timeout) = 0;
};
core::Result<std::unique_ptr<Producer>> make_producer(const Cluster& cluster);

}  // namespace stsync::kafka
