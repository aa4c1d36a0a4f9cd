#include "sync/committer.hpp"

#include <algorithm>
#include <map>

#include "sync/names.hpp"

namespace stsync::sync {
namespace {

using core::ErrorKind;
using namespace std::chrono_literals;

/// An aborted transaction that will be aborted again: not the broker's mood but what is in it.
bool permanent(const core::Error& e) {
  return e.kind() == ErrorKind::not_found || e.kind() == ErrorKind::forbidden || e.kind() == ErrorKind::too_large;
}

constexpr core::Duration kFirstPause = 100ms;
constexpr core::Duration kLongestPause = 5s;

}  // namespace

boost::asio::awaitable<core::Result<void>> Ticket::wait() {
  while (!ended_) co_await signal_->wait();
  co_return result_;
}

void Ticket::end(core::Result<void> result) {
  ended_ = true;
  result_ = std::move(result);
  signal_->notify();
}

Committer::Committer(core::Clock& clock, TransactionRunner& runner, Memory& memory, Place place, std::function<int()> busy_lanes,
                     Observer observer)
    : clock_(clock),
      runner_(runner),
      memory_(memory),
      place_(std::move(place)),
      busy_lanes_(std::move(busy_lanes)),
      observer_(std::move(observer)),
      wake_(clock.make_signal()) {}

std::shared_ptr<Ticket> Committer::submit(Contribution c) {
  auto ticket = std::make_shared<Ticket>(clock_);
  if (broken_) {
    ticket->end(core::fail(*broken_));
    return ticket;
  }
  std::vector<JournalEntry> undo;
  for (const auto& entry : c.journal) {
    undo.push_back(memory_.entry(entry.key));
    memory_.apply(entry);
  }
  queue_.push_back({std::move(c), ticket, clock_.now(), std::move(undo)});
  wake_->notify();
  return ticket;
}

void Committer::close() {
  closed_ = true;
  wake_->notify();
}

Backlog Committer::backlog() const {
  Backlog b;
  for (const auto& w : queue_) {
    b.bytes += w.c.bytes;
    b.pages += w.c.pages;
    if (!b.oldest) b.oldest = w.since;
    if (w.c.urgent && !b.urgent) b.urgent = w.since;
  }
  return b;
}

boost::asio::awaitable<core::Result<void>> Committer::run(core::StopToken give_up) {
  const auto on_stop = give_up.on_stop([this] { wake_->notify(); });
  while (!give_up.stop_requested()) {
    auto due = pacer_.due(backlog(), busy_lanes_());
    if (!due && closed_) co_return core::Result<void>();
    if (due && closed_) due = clock_.now();
    if (!due || *due > clock_.now()) {
      co_await wake_->wait_until(due.value_or(core::TimePoint::max()));
      continue;
    }
    pacer_.began(clock_.now());
    committing_ = true;
    auto result = co_await commit_group(take_group(), give_up);
    committing_ = false;
    if (!result) {
      fail_all(result.error());
      co_return result;
    }
  }
  const core::Error stopped(ErrorKind::cancelled, "the lane gives up what is not committed");
  fail_all(stopped);
  co_return core::fail(stopped);
}

Committer::Group Committer::take_group() {
  Group group;
  std::size_t bytes = 0;
  while (!queue_.empty()) {
    if (!group.empty() && bytes + queue_.front().c.bytes > 2 * CommitPacer::kBytes) break;
    bytes += queue_.front().c.bytes;
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return group;
}

/// One entry a journal key: the last one stands for all.
kafka::Batch Committer::make_batch(const Group& group) const {
  kafka::Batch batch;
  std::map<std::string, const JournalEntry*> journal;
  for (const auto& w : group) {
    batch.runs.insert(batch.runs.end(), w.c.runs.begin(), w.c.runs.end());
    batch.messages.insert(batch.messages.end(), w.c.messages.begin(), w.c.messages.end());
    for (const auto& entry : w.c.journal) journal[entry.key] = &entry;
    batch.offset = std::max(batch.offset, w.c.settled);
  }
  for (const auto& [key, entry] : journal) batch.messages.push_back({place_.journal_topic, place_.partition, key, entry->bytes()});
  if (batch.offset >= 0) {
    v1::LaneState lane;
    lane.set_offset(batch.offset);
    batch.messages.push_back(
        {place_.journal_topic, place_.partition, lane_journal_key(place_.partition), lane.SerializeAsString()});
  }
  return batch;
}

boost::asio::awaitable<core::Result<void>> Committer::commit_group(Group group, core::StopToken give_up) {
  auto pause = kFirstPause;
  for (;;) {
    const auto report = co_await runner_.commit(make_batch(group));
    observer_(report);
    if (report.outcome == kafka::Outcome::committed) {
      finish(group, {});
      co_return core::Result<void>();
    }
    if (report.outcome != kafka::Outcome::aborted) {
      auto error = report.outcome == kafka::Outcome::fenced ? core::Error(ErrorKind::fenced, report.error.message())
                                                            : core::Error(ErrorKind::doubt, report.error.message());
      finish(group, core::fail(error));
      co_return core::fail(std::move(error));
    }
    if (permanent(report.error)) {
      co_return co_await commit_apart(std::move(group), report.error, give_up);
    }
    if (give_up.stop_requested()) {
      finish(group, core::fail(report.error));
      co_return core::fail(ErrorKind::cancelled, "the lane gives up what is not committed");
    }
    const auto on_stop = give_up.on_stop([this] { wake_->notify(); });
    const auto until = clock_.now() + pause;
    while (clock_.now() < until && !give_up.stop_requested()) co_await wake_->wait_until(until);
    pause = std::min<core::Duration>(pause * 2, kLongestPause);
  }
}

/// One by one, so that only the one to blame fails. The others stand in the queue meanwhile, where refuse() finds what was built on
/// it.
boost::asio::awaitable<core::Result<void>> Committer::commit_apart(Group group, core::Error why, core::StopToken give_up) {
  if (group.size() == 1 && group.front().c.settled >= 0) {
    // Going on would step over the command: the lane reads it again, for as long as it takes somebody to repair what is wrong.
    core::Error stuck(ErrorKind::doubt, "a command cannot be answered: " + why.message());
    finish(group, core::fail(stuck));
    co_return core::fail(std::move(stuck));
  }
  if (group.size() == 1) {
    refuse(group.front(), why);
    co_return core::Result<void>();
  }
  for (; !group.empty(); group.pop_back()) {
    queue_.push_front(std::move(group.back()));
    queue_.front().apart = true;
  }
  while (!queue_.empty() && queue_.front().apart) {
    Group one;
    one.push_back(std::move(queue_.front()));
    queue_.pop_front();
    if (auto result = co_await commit_group(std::move(one), give_up); !result) co_return result;
  }
  co_return core::Result<void>();
}

/// A contribution that can never be published, and with it everything its owner built on it, newest first.
void Committer::refuse(const Waiting& failed, const core::Error& error) {
  for (auto i = failed.c.owner == nullptr ? 0 : queue_.size(); i-- > 0;) {
    if (queue_[i].c.owner != failed.c.owner) continue;
    take_back(queue_[i], i + 1);
    queue_[i].ticket->end(core::fail(error));
    queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  take_back(failed, 0);
  failed.ticket->end(core::fail(error));
}

/// Brings the memory back to what it was before `w`, except where somebody else, from queue_[later] on, has changed an entry since:
/// that one stands, and what it would go back to is what was there before `w`.
void Committer::take_back(const Waiting& w, std::size_t later) {
  for (auto entry = w.undo.rbegin(); entry != w.undo.rend(); ++entry) {
    JournalEntry* since = nullptr;
    for (auto i = later; i < queue_.size() && since == nullptr; ++i)
      for (auto& other : queue_[i].undo)
        if (since == nullptr && other.key == entry->key) since = &other;
    if (since != nullptr)
      *since = *entry;
    else
      memory_.apply(*entry);
  }
}

void Committer::finish(Group& group, const core::Result<void>& result) {
  for (auto& w : group) {
    if (result && w.c.on_committed) w.c.on_committed();
    w.ticket->end(result);
  }
}

void Committer::fail_all(const core::Error& error) {
  broken_ = error;
  for (auto& w : queue_) w.ticket->end(core::fail(error));
  queue_.clear();
}

}  // namespace stsync::sync
