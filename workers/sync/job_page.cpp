// What a page becomes: records, dead letters, the job's and the stream's new state, in one contribution.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/at_work.hpp"
#include "sync/control.hpp"
#include "sync/dead_letter.hpp"
#include "sync/job.hpp"
#include "sync/names.hpp"
#include "sync/schedules.hpp"
#include "sync/status.hpp"
#include "telemetry/log.hpp"

namespace stsync::sync {

using core::Error;
using core::ErrorKind;
using servicetitan::FetchedPage;
using servicetitan::Step;
using namespace std::chrono_literals;

namespace {

constexpr core::Duration kProgressEvery = 1s;
constexpr core::Duration kDeadLetterWindow = 1h;
constexpr int kTellLeftOut = 60;  // seconds: the dead letters name them all
/// What a small page counts in its tenant's share of commits, in bytes; larger ones count as much more.
constexpr double kTurnBytes = 64 << 10;

bool fits(const codec::Record& record, std::size_t limit) { return record.size + record.key.length + kRecordOverhead <= limit; }

}  // namespace

/// So that pages of a tenant who floods the lane are not all in front of another's.
boost::asio::awaitable<core::Result<limits::FairGate::Turn>> Job::commit_turn(const FetchedPage& page) {
  const auto bytes = page.body->size();
  const auto cost = std::max(1.0, static_cast<double>(bytes) / kTurnBytes);
  const int weight = context_.config.find_tenant(account_.app, account_.tenant)->weight;
  co_return co_await context_.commit_turns.enter({account_.app, account_.tenant, work(), weight}, bytes, cost, stop_.token());
}

/// What is wrong with so many is seldom the records: the page is not published, and the cursor stays in front of it.
std::optional<Error> Job::too_many_dead_letters(const FetchedPage& page, const Step& step) {
  const auto limit = context_.record_topic(origin_.topic).record_limit;
  std::int64_t more = step.left_out ? 1 : 0;
  if (step.page)
    more +=
        std::count_if(step.publish.begin(), step.publish.end(), [&](auto index) { return !fits(page.page.records[index], limit); });
  if (more == 0) return std::nullopt;
  const auto time = context_.clock.now();
  while (!dead_letters_.empty() && time - dead_letters_.front().first > kDeadLetterWindow) dead_letters_.pop_front();
  dead_letters_.emplace_back(time, more);
  std::int64_t all = 0;
  for (const auto& [when, n] : dead_letters_) all += n;
  const auto most = context_.config.worker.max_dead_letters;
  if (all <= most) return std::nullopt;
  return Error(ErrorKind::dead_letters, fmt::format("more than {} dead letters within an hour (worker.max_dead_letters)", most));
}

void Job::submit_page(const FetchedPage& page, const Step& step, core::Reservation memory, limits::FairGate::Turn turn) {
  const core::AtWork mark(key_);
  Contribution c;
  c.turn.emplace(std::move(turn));
  c.memory = std::move(memory);
  const bool first = state_.counts().pages() == 0;
  state_.set_phase(v1::JobState::running);
  state_.clear_not_before_ms();
  state_.clear_stalled_ms();
  if (step.left_out) leave_out(c, step);
  if (step.page) {
    add_records(c, page, step);
    state_.mutable_counts()->set_pages(state_.counts().pages() + 1);
  }
  const auto role = state_.crawl().role();
  *state_.mutable_crawl() = crawl_->state();
  state_.mutable_crawl()->set_role(role);
  if (step.snapshot) add_marker(c, step);
  add_stream(c, step.done);
  if (step.done) end_job(state_, v1::JobState::completed, now());
  c.journal.push_back({key_, state_});
  if (step.done) {
    forget_asked(c.journal, context_.memory, key_, true);
    note_scheduled_end(c.journal, context_.memory, state_);
    count_end(c, context_.metrics, state_);
  }
  c.owner = this;
  c.pages = 1;
  c.bytes += 256;
  // Of a report a token that is not journalled would be lost with the worker, and the next call waits for the commit anyway.
  c.urgent = first || step.done || pace_ || state_.command().sync().priority() == v1::interactive;
  const auto time = context_.clock.now();
  if (step.done || time - last_progress_ >= kProgressEvery) {
    last_progress_ = time;
    const auto type = step.done ? v1::StatusEvent::completed : v1::StatusEvent::progress;
    c.messages.push_back(status_message(context_.config.kafka.topics.status, job_event(type, state_, now())));
  }
  auto ticket = context_.committer.submit(std::move(c));
  uncommitted_.push_back({std::move(ticket), state_});
}

void Job::add_records(Contribution& c, const FetchedPage& page, const Step& step) {
  const auto limit = context_.record_topic(origin_.topic).record_limit;
  std::vector<PageRows::Row> records, refused;
  records.reserve(step.publish.size());
  std::int64_t bytes = 0;
  auto& counts = *state_.mutable_counts();
  for (const auto index : step.publish) {
    const auto& record = page.page.records[index];
    if (!fits(record, limit)) {
      refused.push_back({record, index});
      counts.set_dead_letters(counts.dead_letters() + 1);
      context_.metrics.dead_letter("too_large");
      continue;
    }
    bytes += record.size;
    records.push_back({record, index});
  }
  // Without rows of its own a page may be one of parents.
  if (drift_ && !step.publish.empty()) appeared_ = drift_->look(page.page.names);
  const auto count = static_cast<std::int64_t>(records.size());
  if (count > 0)
    c.runs.push_back(
        std::make_shared<RecordRun>(origin_, state_.seq(), PageRows{page.body, std::move(records), *step.key, step.context}));
  if (!refused.empty())
    c.runs.push_back(std::make_shared<DeadLetterRun>(context_.config.kafka.topics.dlq, origin_, limit,
                                                     PageRows{page.body, std::move(refused), *step.key, step.context}));
  state_.set_seq(state_.seq() + count);
  counts.set_records(counts.records() + count);
  counts.set_bytes(counts.bytes() + bytes);
  c.bytes += static_cast<std::size_t>(bytes);
  auto& usage = context_.usage[tenant_key(account_.app, account_.tenant)][name_];
  usage.set_records(usage.records() + count);
  usage.set_bytes(usage.bytes() + bytes);
  c.on_committed = [&metrics = context_.metrics, app = account_.app, resource = name_, count, bytes] {
    metrics.records(app, resource, static_cast<std::uint64_t>(count), static_cast<std::uint64_t>(bytes));
    metrics.pages(app, resource, 1);
  };
}

/// Nothing is published of a record that cannot be: a dead letter names it.
void Job::leave_out(Contribution& c, const Step& step) {
  auto key = origin_.key_prefix;
  step.key->append(key, {}, {}, 0, step.context);
  c.messages.push_back(
      dead_letter_message(context_.config.kafka.topics.dlq, {key,
                                                             {},
                                                             origin_.topic,
                                                             -1,
                                                             -1,
                                                             "publish",
                                                             std::string(core::to_string(step.left_out->kind())),
                                                             step.left_out->message(),
                                                             {{"st-source", origin_.source}, {"st-job", origin_.job}}}));
  state_.mutable_counts()->set_dead_letters(state_.counts().dead_letters() + 1);
  context_.metrics.dead_letter(core::to_string(step.left_out->kind()));
  telemetry::log_rarely(
      telemetry::Level::warn, "file_left_out", kTellLeftOut, step.left_out->message(),
      {{"job", state_.command().id()}, {"app", account_.app}, {"tenant", account_.tenant}, {"resource", name_}, {"key", key}});
}

/// Tells readers of every partition that they have seen exactly what there is.
void Job::add_marker(Contribution& c, const Step& step) {
  const auto value = fmt::format(R"({{"resource":"{}","job":"{}","count":{},"from_seq":0,"to_seq":{}}})", name_,
                                 state_.command().id(), step.rows, std::max<std::int64_t>(0, state_.seq() - 1));
  const auto partitions = context_.record_topic(origin_.topic).partitions;
  for (int p = partitions > 0 ? 0 : kafka::kAnyPartition; p < partitions; ++p)
    c.messages.push_back({origin_.topic,
                          p,
                          origin_.key_prefix + "$snapshot",
                          value,
                          {{"st-source", origin_.source},
                           {"st-job", fmt::format("{}:{}", origin_.job, state_.seq())},
                           {"st-control", "snapshot-complete"}}});
}

/// What the page means for its stream.
void Job::add_stream(Contribution& c, bool done) {
  auto stream = context_.memory.stream(stream_);
  const bool drifted = add_drift(c, stream, done);
  if (pace_) stream.set_report_run_ms(pace_->last_run_ms());
  if (move_cursor(stream, done) || drifted || pace_) c.journal.push_back({stream_, stream});
}

/// The cursor moves with the records it covers: page by page for an incremental feed and a report, once at the end of everything
/// else; a full leaves it alone when it was moved since.
bool Job::move_cursor(v1::StreamState& stream, bool done) {
  const auto mode = state_.command().sync().mode();
  const bool by_page = (mode == v1::incremental && state_.crawl().has_feed()) || mode == v1::report;
  if (mode == v1::window || mode == v1::ids || (!done && !by_page)) return false;
  if (stream.version() != state_.stream_version()) return false;
  crawl_->move_cursor(stream);
  stream.set_version(stream.version() + 1);
  stream.set_updated_ms(now().time_since_epoch().count());
  state_.set_stream_version(stream.version());
  return true;
}

/// What is told of changed fields is remembered in the same transaction: it is told once.
bool Job::add_drift(Contribution& c, v1::StreamState& stream, bool done) {
  if (!drift_) return false;
  const auto appeared = std::exchange(appeared_, {});
  const auto vanished = done ? drift_->end(state_.counts().records()) : std::vector<std::string>();
  if (const auto note = drift_note(appeared, vanished); !note.empty()) {
    auto event = job_event(v1::StatusEvent::progress, state_, now());
    event.set_note(note);
    c.messages.push_back(status_message(context_.config.kafka.topics.status, event));
    telemetry::log(telemetry::Level::warn, "schema_changed", note,
                   {{"job", state_.command().id()}, {"app", account_.app}, {"tenant", account_.tenant}, {"resource", name_}});
    c.on_committed = [before = std::move(c.on_committed), &metrics = context_.metrics, app = account_.app, resource = name_,
                      a = appeared.size(), v = vanished.size()] {
      if (before) before();
      if (a > 0) metrics.schema_change(app, resource, "appeared", a);
      if (v > 0) metrics.schema_change(app, resource, "vanished", v);
    };
  }
  return drift_->write(stream);
}

}  // namespace stsync::sync
