#include "simulation/checker.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "core/text.hpp"
#include "simulation/controls.hpp"
#include "stsync/v1/journal.pb.h"
#include "sync/names.hpp"

namespace stsync::simulation {

namespace {

using Type = v1::StatusEvent::Type;

enum class Stage { unknown, waiting, running, paused, ended };

/// Where an event leads a job to; nothing: it must not come there.
std::optional<Stage> next(Stage stage, Type type) {
  switch (stage) {
    case Stage::unknown:
      if (type == v1::StatusEvent::accepted) return Stage::waiting;
      if (type == v1::StatusEvent::rejected || type == v1::StatusEvent::coalesced || type == v1::StatusEvent::completed)
        return Stage::ended;
      return std::nullopt;
    case Stage::waiting:
      if (type == v1::StatusEvent::started) return Stage::running;
      if (type == v1::StatusEvent::paused) return Stage::paused;
      if (type == v1::StatusEvent::cancelled || type == v1::StatusEvent::failed) return Stage::ended;
      return std::nullopt;
    case Stage::running:
      if (type == v1::StatusEvent::progress || type == v1::StatusEvent::throttled || type == v1::StatusEvent::retrying ||
          type == v1::StatusEvent::restarted || type == v1::StatusEvent::auth_failed)
        return Stage::running;
      if (type == v1::StatusEvent::paused) return Stage::paused;
      if (type == v1::StatusEvent::completed || type == v1::StatusEvent::cancelled || type == v1::StatusEvent::failed)
        return Stage::ended;
      return std::nullopt;
    case Stage::paused:
      if (type == v1::StatusEvent::resumed) return Stage::waiting;
      if (type == v1::StatusEvent::cancelled) return Stage::ended;
      return std::nullopt;
    case Stage::ended:
      return std::nullopt;
  }
  return std::nullopt;
}

/// Another command with the id of a known one: told under that id, and nothing of its job's.
bool conflict(const v1::StatusEvent& e) { return e.type() == v1::StatusEvent::rejected && e.failure().code() == "conflict"; }

std::int64_t number_in(const std::string& row) {
  const auto at = row.find("\"n\":");
  if (at == std::string::npos) return -1;
  const auto end = row.find_first_not_of("0123456789", at + 4);
  return core::parse_int(row.substr(at + 4, end - at - 4)).value_or(-1);
}

std::string feed_of(const std::string& resource) {
  auto out = resource;
  std::replace(out.begin(), out.end(), '.', '/');
  return out;
}

}  // namespace

std::vector<std::string> Checker::check() {
  check_transactions();
  check_statuses();
  const auto& topics = config_.kafka.topics;
  for (const auto& topic : cluster_.broker.topics())
    if (topic != topics.commands && topic != topics.journal && topic != topics.status && topic != topics.usage &&
        topic != topics.dlq)
      read_records(topic, topic.substr(topic.find('.') + 1));
  std::map<std::string, std::set<std::uint64_t>> pages;
  for (const auto& [job, records] : jobs_) {
    check_job(job, records);
    for (const auto& [seq, r] : records) pages[job].insert(r.ended);
  }
  for (auto& problem : check_controls(Controls(statuses_, sent_), statuses_, pages)) wrong(std::move(problem));
  check_cursors();
  check_offsets();
  return std::move(problems_);
}

/// Whole or not at all, and as it was told.
void Checker::check_transactions() {
  if (const auto open = cluster_.broker.open_transactions(); open > 0) wrong(fmt::format("{} transactions are open", open));
  std::map<std::uint64_t, std::pair<std::size_t, std::set<std::uint64_t>>> visible;  ///< messages, in which transactions
  for (const auto& topic : cluster_.broker.topics())
    for (int p = 0; p < cluster_.broker.partitions(topic); ++p)
      for (const auto& e : cluster_.broker.log(topic, p).entries())
        if (e.batch > 0 && e.fate == Entry::Fate::committed) {
          auto& [count, ends] = visible[e.batch];
          ++count;
          ends.insert(e.ended);
        }
  for (const auto& [number, batch] : cluster_.batches) {
    const auto [count, ends] = visible[number];
    if (count != 0 && count != batch.messages)
      wrong(fmt::format("transaction {} is torn: {} of {} messages are visible", number, count, batch.messages));
    if (ends.size() > 1) wrong(fmt::format("transaction {} became visible in {} pieces", number, ends.size()));
    if (batch.told == kafka::Outcome::committed && count != batch.messages)
      wrong(fmt::format("transaction {} was told to be committed and is not", number));
    // Of one that was fenced nothing is known: its end may have been carried out before somebody else came.
    if (batch.told == kafka::Outcome::aborted && count > 0)
      wrong(fmt::format("transaction {} was told to be aborted and is visible", number));
  }
}

void Checker::check_statuses() {
  for (const auto& [name, events] : statuses_.jobs())
    for (const auto& t : events)
      if (t.event.type() == v1::StatusEvent::duplicate) answers_.insert(t.batch);
  for (const auto& [job, told] : statuses_.jobs()) check_history(job, told);
  for (const auto& command : sent_)
    if (!statuses_.ended(job_name(command))) wrong(fmt::format("command {} has no end", job_name(command)));
}

void Checker::check_history(const std::string& job, const std::vector<StatusReader::Told>& told) {
  auto stage = Stage::unknown;
  Type end = v1::StatusEvent::unspecified;
  for (const auto& t : told) {
    const auto type = t.event.type();
    if (conflict(t.event)) continue;
    if (type == v1::StatusEvent::duplicate) {
      if (stage == Stage::unknown) wrong(fmt::format("job {}: duplicate of nothing", job));
      continue;
    }
    if (stage == Stage::ended && type == end && answers_.contains(t.batch)) continue;
    const auto to = next(stage, type);
    if (!to) {
      wrong(fmt::format("job {}: {} in stage {}", job, v1::StatusEvent::Type_Name(type), static_cast<int>(stage)));
      return;
    }
    stage = *to;
    if (stage == Stage::ended) end = type;
  }
}

void Checker::read_records(const std::string& topic, const std::string& resource) {
  for (int p = 0; p < cluster_.broker.partitions(topic); ++p)
    for (const auto& [offset, entry] : cluster_.broker.log(topic, p).read(0, Isolation::read_committed).seen) {
      ++records_;
      std::string job, source;
      for (const auto& [name, value] : entry->headers) (name == "st-job" ? job : source) = value;
      const auto colon = job.rfind(':');
      const auto tenant = source.substr(0, source.rfind('/', source.rfind('/') - 1));  // "acme/1001"
      if (colon == std::string::npos || !source.ends_with(resource)) {
        wrong(fmt::format("{}-{}@{}: headers {} {}", topic, p, offset, job, source));
        continue;
      }
      jobs_[tenant + "/" + job.substr(0, colon)].emplace(core::parse_int(job.substr(colon + 1)).value_or(-1),
                                                         Published{p, offset, entry->ended, entry->key, entry->value.value_or("")});
    }
}

void Checker::check_job(const std::string& job, const Sequence& records) {
  std::int64_t expected = 0;
  std::map<std::int32_t, std::int64_t> last;
  std::uint64_t newest = 0;
  for (const auto& [seq, r] : records) {
    if (seq < expected)
      wrong(fmt::format("job {}: record {} is there twice", job, seq));
    else if (seq > expected)
      wrong(fmt::format("job {}: records {} to {} are missing", job, expected, seq - 1));
    expected = seq + 1;
    const auto [at, fresh] = last.try_emplace(r.partition, r.offset);
    if (!fresh && at->second > r.offset) wrong(fmt::format("job {}: record {} is out of order", job, seq));
    at->second = r.offset;
    newest = std::max(newest, r.ended);
  }
  const auto told = statuses_.jobs().find(job);
  const auto command = std::find_if(sent_.begin(), sent_.end(), [&](const auto& c) { return job_name(c) == job; });
  if (told == statuses_.jobs().end() || command == sent_.end()) return wrong(fmt::format("job {}: nobody asked for it", job));
  bool completed = false;
  for (const auto& t : told->second) {
    if (!is_end(t.event.type()) || conflict(t.event)) continue;
    if (newest > t.ended) wrong(fmt::format("job {}: records after its end", job));
    completed = t.event.type() == v1::StatusEvent::completed;
    if (completed && t.event.counts().records() != static_cast<std::int64_t>(records.size()))
      wrong(fmt::format("job {}: says {} records, there are {}", job, t.event.counts().records(), records.size()));
  }
  check_rows(job, *command, records, completed);
}

/// The rows of a feed are numbered: a job has a stretch of them, in order.
void Checker::check_rows(const std::string& job, const v1::Command& command, const Sequence& records, bool completed) {
  const auto& resource = command.sync().resource();
  const auto feed = feed_of(resource);
  auto& covered = covered_[fmt::format("{}/{}", command.tenant(), resource)];
  covered.resize(static_cast<std::size_t>(vendor_.size(command.tenant(), feed)));
  const bool by_id = command.sync().mode() == v1::ids;
  std::int64_t before = command.sync().mode() == v1::full ? -1 : -2;
  for (const auto& [seq, r] : records) {
    const auto n = number_in(r.value);
    if (n < 0 || n >= static_cast<std::int64_t>(covered.size()) || r.value != vendor_.row(command.tenant(), feed, n))
      return wrong(fmt::format("job {}: record {} is no row of the vendor's", job, seq));
    if (r.key != fmt::format("{}:{}", command.tenant(), VendorModel::id_of(n)))
      wrong(fmt::format("job {}: record {} has the key {}", job, seq, r.key));
    if (!by_id && before != -2 && n != before + 1) wrong(fmt::format("job {}: row {} follows row {}", job, n, before));
    before = n;
    if (!by_id) covered[static_cast<std::size_t>(n)] = true;
  }
  if (const auto ids = wanted_ids(command); by_id && completed && records.size() != ids.size())
    wrong(fmt::format("job {}: {} ids, {} records", job, ids.size(), records.size()));
}

/// Of a job: those of its command, and of the commands that were merged into it while it waited.
std::set<std::string> Checker::wanted_ids(const v1::Command& command) const {
  std::set<std::string> out(command.sync().ids().begin(), command.sync().ids().end());
  for (const auto& other : sent_) {
    const auto told = statuses_.jobs().find(job_name(other));
    if (other.tenant() != command.tenant() || told == statuses_.jobs().end()) continue;
    const bool merged = std::any_of(told->second.begin(), told->second.end(), [&](const auto& t) {
      return t.event.type() == v1::StatusEvent::coalesced && t.event.target() == command.id();
    });
    if (merged) out.insert(other.sync().ids().begin(), other.sync().ids().end());
  }
  return out;
}

/// What lies before a cursor was published, by whomever.
void Checker::check_cursors() {
  const auto& topic = config_.kafka.topics.journal;
  std::map<std::string, std::string> tokens;
  for (int p = 0; p < cluster_.broker.partitions(topic); ++p)
    for (const auto& [offset, entry] : cluster_.broker.log(topic, p).read(0, Isolation::read_committed).seen) {
      if (!entry->key.starts_with("stream/")) continue;
      v1::StreamState stream;
      if (!entry->value || !stream.ParseFromString(*entry->value)) wrong(fmt::format("journal: {} cannot be read", entry->key));
      tokens[entry->key.substr(entry->key.find('/', 7) + 1)] = stream.token();
    }
  for (auto& [stream, token] : tokens) {
    const auto& covered = covered_[stream];
    const auto end = token.empty() ? 0 : core::parse_int(token.substr(token.find('-') + 1)).value_or(-1);
    for (std::int64_t n = 0; n < end; ++n)
      if (n >= static_cast<std::int64_t>(covered.size()) || !covered[static_cast<std::size_t>(n)]) {
        wrong(fmt::format("stream {}: the cursor is at {} and row {} was never published", stream, end, n));
        break;
      }
  }
}

/// The group's offset never runs ahead of the journal's, and at the end every command is read.
void Checker::check_offsets() {
  const auto& topics = config_.kafka.topics;
  for (int p = 0; p < cluster_.broker.partitions(topics.commands); ++p) {
    std::int64_t journal = 0;
    for (const auto& [offset, entry] : cluster_.broker.log(topics.journal, p).read(0, Isolation::read_committed).seen)
      if (v1::LaneState lane; entry->key == sync::lane_journal_key(p) && entry->value && lane.ParseFromString(*entry->value))
        journal = lane.offset();
    const auto committed = cluster_.broker.committed(p).offset.value_or(0);
    if (committed > journal) wrong(fmt::format("partition {}: offset {} is committed, the journal says {}", p, committed, journal));
    const auto left =
        cluster_.broker.log(topics.commands, p).read(std::max(committed, journal), Isolation::read_committed).seen.size();
    if (left > 0) wrong(fmt::format("partition {}: {} commands are not read", p, left));
  }
}

}  // namespace stsync::simulation
