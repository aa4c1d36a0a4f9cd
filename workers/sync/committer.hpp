#pragma once
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/byte_budget.hpp"
#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/stop.hpp"
#include "kafka/message.hpp"
#include "kafka/producer.hpp"
#include "limits/fair_gate.hpp"
#include "sync/commit_pacer.hpp"
#include "sync/memory.hpp"

namespace stsync::sync {

/// Something that becomes visible whole or not at all.
struct Contribution {
  std::vector<std::shared_ptr<const kafka::MessageRun>> runs;
  std::vector<kafka::OwnedMessage> messages;
  std::vector<JournalEntry> journal;
  std::int64_t settled = -1;  ///< the next command to read once this is committed; -1: says nothing
  std::size_t bytes = 0;
  std::size_t pages = 0;
  bool urgent = false;
  const void* owner = nullptr;  ///< contributions of one owner build on each other: when one fails for good, so do those behind it
  std::function<void()> on_committed{};          ///< metrics
  std::optional<limits::FairGate::Turn> turn{};  ///< a page's room among those that wait to be committed
  core::Reservation memory{};                    ///< of a page, until it is committed, whatever its job waits for meanwhile
};

/// Runs one transaction, blocking, on the lane's thread.
class TransactionRunner {
 public:
  virtual ~TransactionRunner() = default;
  virtual boost::asio::awaitable<kafka::CommitReport> commit(kafka::Batch batch) = 0;
};

/// How a contribution ended. Waited for by its owner.
class Ticket {
 public:
  explicit Ticket(core::Clock& clock) : signal_(clock.make_signal()) {}
  bool ended() const noexcept { return ended_; }
  /// One waiter.
  boost::asio::awaitable<core::Result<void>> wait();

 private:
  friend class Committer;
  void end(core::Result<void> result);
  bool ended_ = false;
  core::Result<void> result_;
  std::unique_ptr<core::Signal> signal_;
};

/// Groups contributions into transactions, in the order they came. A transaction that is aborted for a passing reason is repeated
/// until it succeeds or the lane stops; one that fails for good is taken apart, so that only the contribution to blame fails. In
/// doubt, or fenced, or when the one to blame settles a command, everything ends and run() says so: the lane starts anew from its
/// journal. Loop thread only.
class Committer {
 public:
  struct Place {
    std::string journal_topic;
    std::int32_t partition = 0;
  };
  using Observer = std::function<void(const kafka::CommitReport&)>;
  Committer(core::Clock& clock, TransactionRunner& runner, Memory& memory, Place place, std::function<int()> busy_lanes,
            Observer observer);

  /// Takes effect in the lane's memory at once.
  std::shared_ptr<Ticket> submit(Contribution c);
  /// Ends when closed and empty (no error), or with doubt, fenced or cancelled.
  boost::asio::awaitable<core::Result<void>> run(core::StopToken give_up);
  /// No more contributions will come: run() ends once all are committed.
  void close();
  bool idle() const noexcept { return queue_.empty() && !committing_; }

 private:
  struct Waiting {
    Contribution c;
    std::shared_ptr<Ticket> ticket;
    core::TimePoint since;
    std::vector<JournalEntry> undo;  ///< what the memory held before
    bool apart = false;              ///< to be committed alone
  };
  using Group = std::vector<Waiting>;

  Backlog backlog() const;
  Group take_group();
  kafka::Batch make_batch(const Group& group) const;
  boost::asio::awaitable<core::Result<void>> commit_group(Group group, core::StopToken give_up);
  boost::asio::awaitable<core::Result<void>> commit_apart(Group group, core::Error why, core::StopToken give_up);
  void finish(Group& group, const core::Result<void>& result);
  void refuse(const Waiting& failed, const core::Error& error);
  void take_back(const Waiting& w, std::size_t later);
  void fail_all(const core::Error& error);

  core::Clock& clock_;
  TransactionRunner& runner_;
  Memory& memory_;
  const Place place_;
  const std::function<int()> busy_lanes_;
  const Observer observer_;
  CommitPacer pacer_;
  std::deque<Waiting> queue_;
  std::unique_ptr<core::Signal> wake_;
  bool closed_ = false;
  bool committing_ = false;
  std::optional<core::Error> broken_;
};

}  // namespace stsync::sync
