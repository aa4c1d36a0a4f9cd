// stsync topics migrate: more partitions for the commands and the journal, while no worker runs.
//
// The journal grows first and the commands last. In between the two differ, and no worker takes partitions that differ, so none
// can meet a journal that is laid out by halves; a worker that joins before sees the difference when it takes over its lanes, as
// this sees it in the group. Each partition of the journal is moved in one transaction of its lane. Whatever happens in between,
// what is left to do is read from the cluster when this is run again.
#include "app/topics_migrate.hpp"

#include <algorithm>
#include <cstdio>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kafka/admin.hpp"
#include "kafka/group.hpp"
#include "kafka/producer.hpp"
#include "kafka/reader.hpp"
#include "stsync/v1/journal.pb.h"
#include "sync/cluster.hpp"
#include "sync/migration.hpp"
#include "sync/names.hpp"

namespace stsync::app {
namespace {

using core::ErrorKind;
using core::Result;
using namespace std::chrono_literals;

constexpr auto kTimeout = 30s;
constexpr auto kReadTimeout = 300s;
constexpr auto kInitTimeout = 60s;
constexpr auto kSettleEvery = 100ms;
constexpr int kAttempts = 5;

struct Counts {
  int commands = 0, journal = 0;
};

class Migration {
 public:
  Migration(const config::Config& config, kafka::Cluster cluster)
      : k_(config.kafka), cluster_(std::move(cluster)), wanted_(config.kafka.partitions) {}

  Result<void> open();
  Result<void> plan();
  Result<void> run();

 private:
  Result<Counts> counts() const;
  Result<void> check_group() const;
  Result<void> grow(const std::string& topic, int from);
  Result<void> take_lanes(int count);
  Result<sync::Rekeying> read_journal(int partitions) const;
  Result<sync::UnreadCommands> read_unread(const sync::Rekeying& journal, std::int32_t partition) const;
  Result<void> rekey();
  Result<bool> rekey_once();
  Result<void> place_commands();
  Result<bool> place_commands_once();
  /// false: it is not known whether it was committed.
  Result<bool> commit(std::int32_t lane, const std::vector<kafka::OwnedMessage>& messages);

  const config::Kafka& k_;
  const kafka::Cluster cluster_;
  const int wanted_;
  Counts found_;
  std::unique_ptr<kafka::Admin> admin_;
  std::unique_ptr<kafka::Group> group_;
  /// The lanes' own, by partition: a worker that takes a lane meanwhile fences this, and this a worker that was left over.
  std::vector<std::unique_ptr<kafka::TransactionalProducer>> lanes_;
};

Result<void> Migration::open() {
  auto admin = kafka::make_admin(cluster_);
  if (!admin) return core::fail(admin.error());
  admin_ = std::move(*admin);
  auto group = kafka::make_group(cluster_, k_.group);
  if (!group) return core::fail(group.error());
  group_ = std::move(*group);
  const auto found = counts();
  if (!found) return core::fail(found.error());
  found_ = *found;
  for (const auto& [topic, count] : {std::pair(k_.topics.commands, found_.commands), std::pair(k_.topics.journal, found_.journal)})
    if (count > wanted_)
      return core::fail(ErrorKind::bad_config, fmt::format("topic {} {}", topic, sync::wrong_partitions(count, wanted_)));
  return {};
}

Result<Counts> Migration::counts() const {
  const auto topics = admin_->describe({k_.topics.commands, k_.topics.journal}, {}, kTimeout);
  if (!topics) return core::fail(topics.error());
  for (const auto& topic : {k_.topics.commands, k_.topics.journal})
    if (!topics->contains(topic))
      return core::fail(ErrorKind::not_found, fmt::format("there is no topic {}: stsync topics create", topic));
  return Counts{topics->at(k_.topics.commands).partitions, topics->at(k_.topics.journal).partitions};
}

Result<void> Migration::check_group() const {
  const auto members = group_->members(kTimeout);
  if (!members) return core::fail(members.error());
  if (members->empty()) return {};
  return core::fail(ErrorKind::fenced,
                    fmt::format("group {} has {} members ({}): stop the workers first; one that has stopped is a member until its "
                                "session is over ({} s)",
                                k_.group, members->size(), fmt::join(*members, ", "),
                                std::chrono::duration_cast<std::chrono::seconds>(k_.session_timeout).count()));
}

/// What it would do, without a change.
Result<void> Migration::plan() {
  if (found_.journal < wanted_)
    std::printf("grow %s from %d to %d partitions\n", k_.topics.journal.c_str(), found_.journal, wanted_);
  const auto journal = read_journal(found_.journal);
  if (!journal) return core::fail(journal.error());
  if (journal->misplaced() > 0)
    std::printf("move %zu of %zu entries of %s\n", journal->misplaced(), journal->entries(), k_.topics.journal.c_str());
  if (found_.commands < wanted_)
    std::printf("grow %s from %d to %d partitions\n", k_.topics.commands.c_str(), found_.commands, wanted_);
  std::size_t misplaced = 0;
  for (int p = 0; p < found_.commands; ++p) {
    const auto unread = read_unread(*journal, p);
    if (!unread) return core::fail(unread.error());
    misplaced += unread->misplaced;
  }
  if (misplaced > 0) std::printf("move %zu unread commands\n", misplaced);
  return {};
}

Result<void> Migration::run() {
  if (auto ok = check_group(); !ok) return ok;
  if (auto ok = grow(k_.topics.journal, found_.journal); !ok) return ok;
  if (auto ok = rekey(); !ok) return ok;
  if (auto ok = grow(k_.topics.commands, found_.commands); !ok) return ok;
  return place_commands();
}

/// Growing is asked for until the cluster shows it: an answer may have been lost, and brokers hear of it one after the other.
Result<void> Migration::grow(const std::string& topic, int from) {
  if (from >= wanted_) return {};
  auto grown = admin_->grow(topic, wanted_, kTimeout);
  const auto deadline = std::chrono::steady_clock::now() + kTimeout;
  for (;;) {
    const auto now = counts();
    if (now && (topic == k_.topics.journal ? now->journal : now->commands) == wanted_) break;
    if (!grown) return grown;
    if (std::chrono::steady_clock::now() > deadline)
      return core::fail(ErrorKind::broker, fmt::format("topic {} does not show its {} partitions", topic, wanted_));
    std::this_thread::sleep_for(kSettleEvery);
  }
  std::printf("grew %s from %d to %d partitions\n", topic.c_str(), from, wanted_);
  return {};
}

/// Fences whoever had the lanes and ends what he left open.
Result<void> Migration::take_lanes(int count) {
  lanes_.clear();
  for (std::int32_t p = 0; p < count; ++p) {
    auto producer = kafka::make_transactional_producer(
        cluster_, {.transactional_id = sync::transactional_id(k_.group, p), .commands_topic = k_.topics.commands, .partition = p});
    if (!producer) return core::fail(producer.error());
    if (auto ok = (*producer)->init(kInitTimeout); !ok) return ok;
    if (auto ok = (*producer)->warm_up({k_.topics.journal, k_.topics.commands}); !ok) return ok;
    lanes_.push_back(std::move(*producer));
  }
  return {};
}

Result<sync::Rekeying> Migration::read_journal(int partitions) const {
  sync::Rekeying journal(k_.topics.journal, wanted_);
  for (std::int32_t p = 0; p < partitions; ++p) {
    const auto read = kafka::read_to_end(cluster_, k_.topics.journal, p, kReadTimeout,
                                         [&](const kafka::Message& m) { journal.read(p, m.key.value_or(""), m.value); });
    if (!read) return core::fail(read.error());
  }
  return journal;
}

Result<sync::UnreadCommands> Migration::read_unread(const sync::Rekeying& journal, std::int32_t partition) const {
  const auto committed = group_->committed(k_.topics.commands, partition, kTimeout);
  if (!committed) return core::fail(committed.error());
  std::vector<kafka::Message> unread;
  const auto from = std::max(committed->value_or(0), journal.offset(partition));
  const auto read = kafka::read_to_end(
      cluster_, k_.topics.commands, partition, kReadTimeout, [&](kafka::Message m) { unread.push_back(std::move(m)); }, from);
  if (!read) return core::fail(read.error());
  return sync::place_unread(unread, partition, wanted_);
}

Result<bool> Migration::commit(std::int32_t lane, const std::vector<kafka::OwnedMessage>& messages) {
  const auto report = lanes_[static_cast<std::size_t>(lane)]->commit(messages);
  switch (report.outcome) {
    case kafka::Outcome::committed:
      return true;
    case kafka::Outcome::fenced:
      return core::fail(ErrorKind::fenced,
                        fmt::format("somebody took partition {} meanwhile: stop the workers, then run this again", lane));
    default:
      if (report.error.kind() == ErrorKind::forbidden || report.error.kind() == ErrorKind::not_found)
        return core::fail(report.error);
      complain(fmt::format("partition {} once more: {}", lane, report.error.message()));
      return false;
  }
}

template <class Once>
Result<void> until_done(const Once& once, const char* what) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto done = once();
    if (!done) return core::fail(done.error());
    if (*done) return {};
  }
  return core::fail(ErrorKind::broker, fmt::format("{} could not be committed: run this again when the cluster is well", what));
}

Result<void> Migration::rekey() {
  return until_done([this] { return rekey_once(); }, "the journal");
}

Result<bool> Migration::rekey_once() {
  if (auto ok = take_lanes(std::max(found_.commands, found_.journal)); !ok) return core::fail(ok.error());
  const auto journal = read_journal(wanted_);
  if (!journal) return core::fail(journal.error());
  for (std::int32_t p = 0; p < static_cast<std::int32_t>(lanes_.size()); ++p) {
    const auto moves = journal->moves(p);
    if (moves.empty()) continue;
    const auto done = commit(p, moves);
    if (!done || !*done) return done;
  }
  if (journal->misplaced() > 0)
    std::printf("moved %zu of %zu entries of %s\n", journal->misplaced(), journal->entries(), k_.topics.journal.c_str());
  // Whoever joined before the journal grew has taken no lane: it would have been told. After that it may have read a part.
  if (auto ok = check_group(); !ok) return core::fail(ok.error());
  return true;
}

Result<void> Migration::place_commands() {
  return until_done([this] { return place_commands_once(); }, "the unread commands");
}

/// Commands that were sent before the topic grew and that nobody has read stand before those that are sent from now on.
Result<bool> Migration::place_commands_once() {
  if (auto ok = take_lanes(found_.commands); !ok) return core::fail(ok.error());
  const auto journal = read_journal(wanted_);
  if (!journal) return core::fail(journal.error());
  std::size_t moved = 0;
  for (std::int32_t p = 0; p < found_.commands; ++p) {
    auto unread = read_unread(*journal, p);
    if (!unread) return core::fail(unread.error());
    if (unread->misplaced == 0) continue;
    v1::LaneState lane;
    lane.set_offset(unread->next);
    unread->again.push_back({k_.topics.journal, p, sync::lane_journal_key(p), lane.SerializeAsString()});
    const auto done = commit(p, unread->again);
    if (!done || !*done) return done;
    moved += unread->misplaced;
  }
  if (moved > 0) std::printf("moved %zu unread commands\n", moved);
  return true;
}

}  // namespace

int migrate_topics(const Setup& setup, const TopicsOptions& options) {
  const auto fail = [](const core::Error& e) {
    complain(e.message());
    return static_cast<int>(exit_code(e));
  };
  auto cluster = sync::make_cluster(setup.config, "stsync-migrate");
  if (!cluster) return fail(cluster.error());
  Migration migration(setup.config, std::move(*cluster));
  if (auto ok = migration.open(); !ok) return fail(ok.error());
  const auto ok = options.dry_run ? migration.plan() : migration.run();
  if (!ok) return fail(ok.error());
  complain(options.dry_run ? "this is what it would do; nothing was changed"
                           : fmt::format("commands and journal have {} partitions; the workers may start with kafka.partitions: {}",
                                         setup.config.kafka.partitions, setup.config.kafka.partitions));
  return Exit::ok;
}

}  // namespace stsync::app
