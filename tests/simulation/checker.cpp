#include "simulation/checker.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "core/text.hpp"
#include "simulation/controls.hpp"
#include "simulation/cursor_check.hpp"
#include "simulation/fetch_check.hpp"
#include "simulation/list_check.hpp"
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
      if (type == v1::StatusEvent::progress) return Stage::waiting;
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
      if (type == v1::StatusEvent::progress) return Stage::paused;
      if (type == v1::StatusEvent::cancelled) return Stage::ended;
      return std::nullopt;
    case Stage::ended:
      return std::nullopt;
  }
  return std::nullopt;
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
  for (const auto& [job, records] : jobs_) check_job(job, records);
  cursors_ = read_cursors();
  for (const auto& command : sent_)
    if (command.has_sync() && vendor_.list(command.tenant(), path_of(command.sync().resource())) == nullptr)
      check_feed_job(command, jobs_[job_name(command)]);
  check_tokens();
  check_lists();
  check_controls_had_effect();
  for (auto& problem : check_cursor_orders(statuses_, sent_, first_rows())) wrong(std::move(problem));
  for (auto& problem : check_fetches(vendor_, cluster_, statuses_, sent_, config_.kafka.partitions)) wrong(std::move(problem));
  check_offsets();
  check_memory();
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
    if (!statuses_.ended(job_name(command)) && !open_.contains(job_name(command)))
      wrong(fmt::format("command {} has no end", job_name(command)));
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
    // What was merged into a job may still be cancelled for itself.
    const bool leaves = stage == Stage::ended && end == v1::StatusEvent::coalesced && type == v1::StatusEvent::cancelled;
    const auto to = leaves ? Stage::ended : next(stage, type);
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
      std::map<std::string, std::string> headers(entry->headers.begin(), entry->headers.end());
      const auto& job = headers["st-job"];
      const auto& source = headers["st-source"];
      const auto colon = job.rfind(':');
      const auto tenant = source.substr(0, source.rfind('/', source.rfind('/') - 1));  // "acme/1001"
      if (colon == std::string::npos || !source.ends_with(resource)) {
        wrong(fmt::format("{}-{}@{}: headers {} {}", topic, p, offset, job, source));
        continue;
      }
      const auto name = tenant + "/" + job.substr(0, colon);
      if (headers.contains("st-control")) {
        markers_[name].push_back(entry->value.value_or(""));
        continue;
      }
      ++records_;
      jobs_[name].emplace(core::parse_int(job.substr(colon + 1)).value_or(-1),
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
  if (std::none_of(sent_.begin(), sent_.end(), [&](const auto& c) { return job_name(c) == job; }))
    return wrong(fmt::format("job {}: nobody asked for it", job));
  const auto* end = end_of(statuses_.job(job));
  if (end == nullptr) return;
  if (newest > end->ended) wrong(fmt::format("job {}: records after its end", job));
  if (end->event.type() == v1::StatusEvent::completed && end->event.counts().records() != static_cast<std::int64_t>(records.size()))
    wrong(fmt::format("job {}: says {} records, there are {}", job, end->event.counts().records(), records.size()));
}

/// The rows of a feed are numbered: a job has a stretch of them, in order.
void Checker::check_feed_job(const v1::Command& command, const Sequence& records) {
  const auto job = job_name(command);
  const auto& sync = command.sync();
  const auto feed = path_of(sync.resource());
  auto& covered = covered_[fmt::format("{}/{}", command.tenant(), sync.resource())];
  covered.resize(static_cast<std::size_t>(vendor_.size(command.tenant(), feed)));
  const bool by_id = sync.mode() == v1::ids;
  std::int64_t before = sync.mode() == v1::full ? -1 : -2;
  for (const auto& [seq, r] : records) {
    const auto n = number_in(r.value, "n");
    if (n < 0 || n >= static_cast<std::int64_t>(covered.size()) || r.value != vendor_.row(command.tenant(), feed, n))
      return wrong(fmt::format("job {}: record {} is no row of the vendor's", job, seq));
    if (r.key != fmt::format("{}:{}", command.tenant(), VendorModel::id_of(n)))
      wrong(fmt::format("job {}: record {} has the key {}", job, seq, r.key));
    if (!by_id && before != -2 && n != before + 1) wrong(fmt::format("job {}: row {} follows row {}", job, n, before));
    before = n;
    if (!by_id) covered[static_cast<std::size_t>(n)] = true;
  }
  const auto* end = end_of(statuses_.job(job));
  if (end == nullptr || end->event.type() != v1::StatusEvent::completed) return;
  if (sync.mode() == v1::window) check_feed_window(command, records);
  if (const auto ids = wanted_ids(command); by_id && records.size() != ids.size())
    wrong(fmt::format("job {}: {} ids, {} records", job, ids.size(), records.size()));
}

/// The window was over when it was asked for: exactly its rows come.
void Checker::check_feed_window(const v1::Command& command, const Sequence& records) {
  const auto feed = path_of(command.sync().resource());
  const auto wanted = [&](std::int64_t n) {
    const auto changed = vendor_.changed(command.tenant(), feed, n);
    return changed >= to_time(command.sync().from()) && changed < to_time(command.sync().to());
  };
  std::size_t inside = 0;
  for (std::int64_t n = 0; n < vendor_.size(command.tenant(), feed); ++n)
    if (wanted(n)) ++inside;
  if (records.size() != inside ||
      !std::all_of(records.begin(), records.end(), [&](const auto& r) { return wanted(number_in(r.second.value, "n")); }))
    wrong(fmt::format("job {}: {} rows are in its window, it has {} records", job_name(command), inside, records.size()));
}

/// Of a job: those of its command, and of the commands that were merged into it while it waited.
std::set<std::string> Checker::wanted_ids(const v1::Command& command) const {
  std::set<std::string> out(command.sync().ids().begin(), command.sync().ids().end());
  for (const auto& other : sent_) {
    const auto* merged = first(statuses_.job(job_name(other)), v1::StatusEvent::coalesced);
    if (other.tenant() == command.tenant() && merged != nullptr && merged->event.target() == command.id())
      out.insert(other.sync().ids().begin(), other.sync().ids().end());
  }
  return out;
}

std::map<std::string, Checker::Cursor> Checker::read_cursors() {
  const auto& topic = config_.kafka.topics.journal;
  std::map<std::string, Cursor> out;
  for (int p = 0; p < cluster_.broker.partitions(topic); ++p)
    for (const auto& [offset, entry] : cluster_.broker.log(topic, p).read(0, Isolation::read_committed).seen) {
      if (!entry->key.starts_with("stream/")) continue;
      v1::StreamState stream;
      if (!entry->value || !stream.ParseFromString(*entry->value)) wrong(fmt::format("journal: {} cannot be read", entry->key));
      const auto& token = stream.token();
      out[entry->key.substr(entry->key.find('/', 7) + 1)] = {
          token.empty() ? 0 : core::parse_int(token.substr(token.find('-') + 1)).value_or(-1),
          core::WallTime(std::chrono::milliseconds(stream.watermark_ms()))};
    }
  return out;
}

/// What lies before a cursor was published, by whomever, but for what somebody has stepped over by setting it.
void Checker::check_tokens() {
  for (const auto& [stream, covered] : covered_) {
    const auto end = cursors_[stream].token;
    for (std::int64_t n = skipped_rows(statuses_, sent_, stream); n < end; ++n)
      if (n >= static_cast<std::int64_t>(covered.size()) || !covered[static_cast<std::size_t>(n)]) {
        wrong(fmt::format("stream {}: the cursor is at {} and row {} was never published", stream, end, n));
        break;
      }
  }
}

void Checker::check_lists() {
  for (const auto& [place, list] : vendor_.lists()) {
    auto resource = place.second;
    std::replace(resource.begin(), resource.end(), '/', '.');
    check_list(list, place.first, resource);
  }
}

void Checker::check_list(const ListModel& list, std::int64_t tenant, const std::string& resource) {
  const auto partitions = static_cast<std::size_t>(cluster_.broker.partitions("st." + resource));
  ListCheck check(list, tenant, config_.worker.settle, partitions);
  for (const auto& command : sent_) {
    if (command.tenant() != tenant || command.sync().resource() != resource) continue;
    const auto name = job_name(command);
    const auto* started = first(statuses_.job(name), v1::StatusEvent::started);
    const auto* end = end_of(statuses_.job(name));
    if (started == nullptr || end == nullptr) continue;
    ListCheck::Job job{name,
                       command.sync().mode(),
                       to_time(command.sync().from()),
                       to_time(command.sync().to()),
                       time_of(started->event),
                       time_of(end->event),
                       end->event.type() == v1::StatusEvent::completed,
                       {},
                       markers_[name]};
    for (const auto& [seq, r] : jobs_[name]) job.records.emplace_back(r.key, r.value);
    check.add(job);
  }
  const auto stream = fmt::format("{}/{}", tenant, resource);
  if (list.kind() == ListModel::Kind::windowed)
    check.check_watermark(cursors_[stream].watermark, skipped_time(statuses_, sent_, stream));
  for (const auto& problem : check.problems()) wrong(problem);
}

/// Of jobs over feeds.
std::map<std::string, std::int64_t> Checker::first_rows() const {
  std::map<std::string, std::int64_t> out;
  for (const auto& c : sent_) {
    const auto records = jobs_.find(job_name(c));
    if (records == jobs_.end() || records->second.empty() || vendor_.list(c.tenant(), path_of(c.sync().resource())) != nullptr)
      continue;
    out[job_name(c)] = number_in(records->second.begin()->second.value, "n");
  }
  return out;
}

void Checker::check_controls_had_effect() {
  std::map<std::string, std::set<std::uint64_t>> pages;
  for (const auto& [job, records] : jobs_)
    for (const auto& [seq, r] : records) pages[job].insert(r.ended);
  for (auto& problem : check_controls(Controls(statuses_, sent_), statuses_, pages)) wrong(std::move(problem));
}

/// Of its six tenths of max_memory every page takes its bytes twice until it is committed. A page that is larger than expected may
/// overdraw them a little.
void Checker::check_memory() {
  constexpr std::size_t kCopies = 2;
  const auto pages = static_cast<std::size_t>(config_.worker.max_memory) * 6 / 10;
  if (const auto used = cluster_.most_publishing * kCopies; used > pages + pages / 4)
    wrong(fmt::format("a worker has {} bytes of pages in its transactions, of {} bytes of memory", used, pages));
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
