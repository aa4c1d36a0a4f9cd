#include "sync/lane.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>

#include "codec/wire.hpp"
#include "core/text.hpp"
#include "sync/answers.hpp"
#include "sync/control.hpp"
#include "sync/job_slots.hpp"
#include "sync/names.hpp"
#include "sync/salvage.hpp"
#include "sync/start_offset.hpp"
#include "sync/status.hpp"
#include "telemetry/log.hpp"

namespace stsync::sync {

using core::Error;
using core::ErrorKind;
using core::Result;
using telemetry::Level;
using namespace std::chrono_literals;

namespace {

constexpr auto kInitTimeout = 20s;
constexpr auto kRestoreTimeout = 60s;
constexpr core::Duration kRetryInit = 1s;
/// The vendor's window: what a predecessor may have used of it is over after this.
constexpr core::Duration kFirstCallAfter = 1s;
constexpr core::Duration kHousekeeping = 10s;
constexpr std::size_t kKeepFinished = 50'000;
constexpr std::size_t kForgetAtOnce = 500;
constexpr std::size_t kCommandsAtOnce = 64;
/// Before every order: those of jobs that came from another partition are negative.
constexpr auto kFirst = std::numeric_limits<std::int64_t>::min();

/// Whether the group confirmed our membership lately: only then may the vendor be called for our partitions.
bool leased(const LaneContext& c) { return c.clock.now() - c.consumer.last_heartbeat() < c.config.kafka.session_timeout / 2; }

/// What is found out before the lane can work.
struct Restored {
  Memory memory;
  StartOffset start;
  Salvage salvage;
};

}  // namespace

/// Everything that dies with a producer: a lane in doubt throws it away and restores the next one from the journal.
struct Lane::Incarnation final : TransactionRunner {
  Incarnation(Lane& lane, kafka::LaneClient& kafka, Restored restored);

  boost::asio::awaitable<Result<void>> live();
  void on_messages() { intake_wake->notify(); }
  boost::asio::awaitable<kafka::CommitReport> commit(kafka::Batch batch) override;

  // Commands.
  boost::asio::awaitable<void> read_commands();
  void take(const kafka::Message& m);
  void control(const Control& control, const Answering& to);
  std::size_t control_jobs(const v1::Command& command);
  bool control_cursor(const v1::Command& command, Contribution& c);

  // Jobs.
  void start_jobs();
  bool may_start(const v1::JobState& state) const;
  boost::asio::awaitable<void> run_job(std::string key);
  void end_waiting(const std::string& key, v1::JobState state, v1::JobState::Phase phase, v1::StatusEvent::Type type);

  boost::asio::awaitable<void> housekeeping();
  void sample_usage();

  core::WallTime wall() const { return ctx.clock.wall_now(); }
  const config::Topics& topics() const { return ctx.config.kafka.topics; }

  Lane& lane;
  LaneContext& ctx;
  kafka::LaneClient& kafka;
  Memory memory;
  std::int64_t next_offset;
  std::int64_t committed_offset;
  limits::FairGate commit_turns;  ///< outlives what the committer holds
  Committer committer;
  core::StopSource stop;  ///< ends this incarnation only
  std::unique_ptr<core::Signal> intake_wake, tick;
  std::map<std::string, UsageRows> usage;
  core::WallTime usage_since;
  JobContext job_context;
  std::map<std::string, std::unique_ptr<Job>> running;  ///< by journal key
  JobSlots slots;                                       ///< of those
  std::map<std::string, std::string> busy_streams;      ///< stream key -> job
  std::set<std::string> held;                           ///< tenants whose first call waits out the vendor's window
  core::TimePoint started;
  core::TaskGroup tasks;
};

Lane::Lane(LaneContext context, std::int32_t partition) : context_(std::move(context)), partition_(partition) {}
Lane::~Lane() = default;

void Lane::stop() {
  stop_.request_stop();
  if (current_ != nullptr) current_->on_messages();
}
void Lane::give_up() {
  stop();
  give_up_.request_stop();
}
void Lane::messages() {
  if (current_ != nullptr) current_->on_messages();
}
std::int64_t Lane::lag() const {
  if (current_ == nullptr) return 0;
  // The end counts control records too: what is left of a read partition are at most those of its last transactions.
  return std::max<std::int64_t>(0, context_.consumer.end_offset(partition_) - current_->next_offset);
}

std::map<std::string, int> Lane::phases() const {
  std::map<std::string, int> out;
  if (current_ != nullptr)
    for (const auto& [phase, count] : current_->memory.phases()) out[v1::JobState::Phase_Name(phase)] = count;
  return out;
}
bool Lane::busy() const noexcept { return current_ != nullptr && !current_->running.empty(); }

boost::asio::awaitable<void> Lane::run() {
  while (!stop_.stop_requested()) {
    const auto result = co_await live_once();
    ready_ = false;
    if (result || stop_.stop_requested()) continue;
    if (result.error().kind() == ErrorKind::bad_config) co_return context_.refuse(result.error());
    telemetry::log_rarely(Level::warn, "lane_restart", 5, result.error().message(),
                          {{"partition", partition_}, {"code", core::to_string(result.error().kind())}});
    context_.metrics.kafka_error(core::to_string(result.error().kind()));
    const auto signal = context_.clock.make_signal();
    const auto on_stop = stop_.token().on_stop([&signal] { signal->notify(); });
    // Without a confirmed membership the partition may be somebody else's by now: a new producer would fence its rightful owner.
    do {
      if (!stop_.stop_requested()) co_await signal->wait_until(context_.clock.now() + kRetryInit);
    } while (!stop_.stop_requested() && !leased(context_));
  }
}

namespace {

/// Fences the predecessor, reads the journal to its real end, finds where to read on.
boost::asio::awaitable<Result<Restored>> restore(kafka::LaneClient& kafka, const config::Topics& names, std::int32_t partition,
                                                 std::vector<std::string> record_topics) {
  Restored r;
  if (auto ok = co_await kafka.init(kInitTimeout); !ok) co_return core::fail(ok.error());
  if (auto ok = co_await kafka.warm_up({names.journal, names.status, names.dlq, names.usage, names.commands}); !ok)
    co_return core::fail(ok.error());
  // One that is gone, or that may not be written to, is told by the jobs that need it.
  static_cast<void>(co_await kafka.warm_up(std::move(record_topics)));
  auto ok = co_await kafka.read_to_end(names.journal, kRestoreTimeout, [&r](const kafka::Message& m) {
    r.salvage.see(m, r.memory.read(m.key.value_or(""), m.value));
  });
  if (!ok) co_return core::fail(ok.error());
  const auto committed = co_await kafka.committed(10s);
  if (!committed) co_return core::fail(committed.error());
  const auto marks = co_await kafka.watermarks(10s);
  if (!marks) co_return core::fail(marks.error());
  r.start = start_offset(*committed, r.memory.offset(), marks->first, marks->second);
  if (auto sought = co_await kafka.seek(r.start.offset); !sought) co_return core::fail(sought.error());
  // A transaction without an offset would not be fenced by generation: commit the start once.
  kafka::Batch first;
  first.offset = r.start.offset;
  first.messages = r.salvage.messages(names, r.memory, partition, r.start.offset);
  const auto report = co_await kafka.commit(std::move(first));
  if (report.outcome != kafka::Outcome::committed) co_return core::fail(report.error);
  co_return r;
}

}  // namespace

boost::asio::awaitable<Result<void>> Lane::live_once() {
  const auto& config = context_.config.kafka;
  const auto kafka = context_.consumer.lane_client(
      {.transactional_id = transactional_id(config.group, partition_),
       .commands_topic = config.topics.commands,
       .partition = partition_,
       .partition_counts = {{config.topics.commands, config.partitions}, {config.topics.journal, config.partitions}}});
  auto result = co_await live_with(*kafka);
  co_await kafka->close();
  co_return result;
}

boost::asio::awaitable<Result<void>> Lane::live_with(kafka::LaneClient& kafka) {
  const auto& names = context_.config.kafka.topics;
  std::vector<std::string> record_topics;
  for (const auto& [topic, limit] : context_.record_topics) record_topics.push_back(topic);
  auto restored = co_await restore(kafka, names, partition_, std::move(record_topics));
  if (!restored) co_return core::fail(restored.error());
  tell(restored->salvage);
  tell(restored->start);
  if (stop_.stop_requested()) co_return Result<void>();
  telemetry::log(Level::info, "lane_ready", "partition taken over",
                 {{"partition", partition_}, {"jobs", restored->memory.jobs().size()}, {"offset", restored->start.offset}});
  Incarnation incarnation(*this, kafka, std::move(*restored));
  current_ = &incarnation;
  ready_ = true;
  auto result = co_await incarnation.live();
  current_ = nullptr;
  co_return result;
}

void Lane::tell(const Salvage& salvage) {
  for (const auto& [key, aside] : salvage.found()) {
    context_.metrics.dead_letter(aside.code);
    telemetry::log(
        Level::warn, "journal_record_set_aside", aside.why,
        {{"partition", partition_}, {"offset", aside.message.offset}, {"key", core::printable(key, 80)}, {"code", aside.code}});
  }
  if (salvage.left() > 0)
    telemetry::log(Level::warn, "journal_records_left", "records of the journal that this version does not know",
                   {{"partition", partition_}, {"count", salvage.left()}});
}

void Lane::tell(const StartOffset& start) {
  if (start.expired > 0) {
    context_.metrics.commands_expired(start.expired);
    telemetry::log(Level::warn, "commands_expired", "commands were removed from their topic before they were read",
                   {{"partition", partition_}, {"at_most", start.expired}});
  }
  if (start.made_anew)
    telemetry::log(Level::warn, "commands_made_anew", "the topic of the commands was made anew: it is read from its beginning",
                   {{"partition", partition_}});
}

Lane::Incarnation::Incarnation(Lane& l, kafka::LaneClient& client, Restored restored)
    : lane(l),
      ctx(l.context_),
      kafka(client),
      memory(std::move(restored.memory)),
      next_offset(restored.start.offset),
      committed_offset(restored.start.offset),
      commit_turns(ctx.clock, 2 * CommitPacer::kBytes),
      committer(ctx.clock, *this, memory, {ctx.config.kafka.topics.journal, l.partition_}, ctx.busy_lanes,
                [this](const kafka::CommitReport& r) {
                  static constexpr std::array kNames{"ok", "aborted", "doubt", "fenced"};
                  ctx.metrics.commit(kNames[static_cast<std::size_t>(r.outcome)], std::chrono::duration<double>(r.took).count());
                  if (r.outcome != kafka::Outcome::committed)
                    telemetry::log_rarely(Level::warn, "commit_failed", 5, r.error.message(), {{"partition", lane.partition_}});
                }),
      intake_wake(ctx.clock.make_signal()),
      tick(ctx.clock.make_signal()),
      usage_since(ctx.clock.wall_now()),
      job_context{ctx.clock,
                  ctx.rng,
                  ctx.config,
                  ctx.catalogue,
                  ctx.api,
                  ctx.metrics,
                  committer,
                  memory,
                  [this] { return leased(ctx); },
                  [this](const std::string& topic) {
                    const auto it = ctx.record_topics.find(topic);
                    return it == ctx.record_topics.end() ? RecordTopic{} : it->second;
                  },
                  usage,
                  ctx.page_memory,
                  commit_turns},
      started(ctx.clock.now()),
      tasks(ctx.loop, ctx.clock) {}

boost::asio::awaitable<kafka::CommitReport> Lane::Incarnation::commit(kafka::Batch batch) {
  const auto offset = std::max(committed_offset, batch.offset);
  auto report = co_await kafka.commit(std::move(batch));
  if (report.outcome == kafka::Outcome::committed) committed_offset = offset;
  if (!report.producer_ended) co_return report;
  // Nothing of it is visible, so nothing has changed but the producer. The new one's transactions are fenced by generation from its
  // first offset on.
  auto renewed = leased(ctx) ? co_await kafka.init(kInitTimeout) : core::fail(report.error);
  kafka::Batch first;
  first.offset = committed_offset;
  const bool goes_on = renewed && (co_await kafka.commit(std::move(first))).outcome == kafka::Outcome::committed;
  if (!goes_on) report.outcome = kafka::Outcome::doubt;
  co_return report;
}

boost::asio::awaitable<Result<void>> Lane::Incarnation::live() {
  const auto on_stop = lane.stop_.token().on_stop([this] { stop.request_stop(); });
  const auto on_end = stop.token().on_stop([this] {
    intake_wake->notify();
    tick->notify();
  });
  for (const auto& key : memory.open_jobs())
    if (const auto& job = *memory.job(key); job.phase() == v1::JobState::running) {
      Contribution c;
      c.messages.push_back(status_message(topics().status, job_event(v1::StatusEvent::restarted, job, wall())));
      c.urgent = true;
      committer.submit(std::move(c));
    }
  tasks.spawn(fmt::format("lane {} commands", lane.partition_), read_commands());
  tasks.spawn(fmt::format("lane {} housekeeping", lane.partition_), housekeeping());
  start_jobs();
  Result<void> result;
  core::TaskGroup closing(ctx.loop, ctx.clock);
  // The committer outlives the jobs: they end first, then what they submitted is committed.
  auto close_when_jobs_end = [](Incarnation& self) -> boost::asio::awaitable<void> {
    co_await self.tasks.join();
    if (!self.lane.give_up_.stop_requested()) self.sample_usage();
    self.committer.close();
  };
  closing.spawn("lane closing", close_when_jobs_end(*this));
  result = co_await committer.run(lane.give_up_.token());
  stop.request_stop();
  co_await closing.join();
  co_return result;
}

// --- commands ---------------------------------------------------------------------------------------------------------------

boost::asio::awaitable<void> Lane::Incarnation::read_commands() {
  while (!stop.stop_requested()) {
    std::size_t taken = 0;
    for (; taken < kCommandsAtOnce && !stop.stop_requested(); ++taken) {
      const auto m = ctx.consumer.poll(lane.partition_);
      if (!m) break;
      if (m->offset < next_offset) continue;  // fetched before the seek
      next_offset = m->offset + 1;
      take(*m);
    }
    start_jobs();
    if (stop.stop_requested()) co_return;
    if (taken < kCommandsAtOnce)
      co_await intake_wake->wait();
    else
      co_await ctx.clock.sleep_until(ctx.clock.now());  // let others run
  }
}

void Lane::Incarnation::take(const kafka::Message& m) {
  IntakeContext intake{ctx.config, ctx.catalogue, memory, lane.partition_, ctx.config.kafka.partitions};
  intake.runs = [this](const std::string& key) { return running.contains(key); };
  const auto decision = decide(m, intake);
  const Answering to{topics(), m, wall()};
  const auto say = [this](const char* outcome, Contribution c) {
    ctx.metrics.command(outcome);
    committer.submit(std::move(c));
  };
  if (const auto* a = std::get_if<Accept>(&decision)) return say("accepted", answer(*a, to));
  if (const auto* f = std::get_if<Forward>(&decision)) return say("forwarded", answer(*f, to));
  if (const auto* d = std::get_if<Duplicate>(&decision)) return say("duplicate", answer(*d, to, memory));
  if (const auto* merged = std::get_if<Coalesce>(&decision)) return say("coalesced", answer(*merged, to));
  if (const auto* c = std::get_if<Control>(&decision)) return control(*c, to);
  const auto& r = std::get<Reject>(decision);
  ctx.metrics.dead_letter(r.code);
  telemetry::log(Level::warn, "command_rejected", r.message, {{"code", r.code}, {"partition", m.partition}, {"offset", m.offset}});
  say("rejected", answer(r, to));
}

/// What it changes of a cursor is committed with the answer; jobs tell by themselves what they do.
void Lane::Incarnation::control(const Control& control, const Answering& to) {
  const auto& command = control.command;
  Contribution cursor;
  const bool done = command.has_cursor() ? control_cursor(command, cursor) : control_jobs(command) > 0;
  auto c = answer(control, to, done);
  c.journal.insert(c.journal.begin(), cursor.journal.begin(), cursor.journal.end());
  c.messages.insert(c.messages.begin(), cursor.messages.begin(), cursor.messages.end());
  ctx.metrics.command(done ? "accepted" : "rejected");
  committer.submit(std::move(c));
}

/// How many jobs the command meant. Their own events follow when they have stopped.
std::size_t Lane::Incarnation::control_jobs(const v1::Command& command) {
  const auto& [job_id, resource] = command.has_cancel()  ? std::pair(command.cancel().job(), command.cancel().resource())
                                   : command.has_pause() ? std::pair(command.pause().job(), command.pause().resource())
                                                         : std::pair(command.resume().job(), command.resume().resource());
  std::vector<std::pair<std::string, v1::JobState>> meant;
  for (const auto& key : memory.open_jobs()) {
    const auto& state = *memory.job(key);
    const auto& c = state.command();
    if (c.app() != command.app() || c.tenant() != command.tenant()) continue;
    if ((!job_id.empty() && c.id() != job_id) ||
        (!resource.empty() && c.sync().resource() != resource && stream_name(c.sync()) != resource))
      continue;
    meant.emplace_back(key, state);
  }
  for (const auto& [key, state] : meant) {
    const auto it = running.find(key);
    const bool runs = it != running.end() && !it->second->ending();
    switch (effect_of(command.action_case(), state.phase(), runs)) {
      case ControlEffect::nothing:
        break;
      case ControlEffect::ask_to_cancel:
        it->second->cancel();
        break;
      case ControlEffect::ask_to_pause:
        it->second->pause();
        break;
      case ControlEffect::ask_to_resume:
        it->second->resume();
        break;
      case ControlEffect::cancel:
        end_waiting(key, state, v1::JobState::cancelled, v1::StatusEvent::cancelled);
        break;
      case ControlEffect::pause:
        end_waiting(key, state, v1::JobState::paused, v1::StatusEvent::paused);
        break;
      case ControlEffect::resume:
        end_waiting(key, state, v1::JobState::waiting, v1::StatusEvent::resumed);
        break;
    }
  }
  return meant.size();
}

bool Lane::Incarnation::control_cursor(const v1::Command& command, Contribution& c) {
  const auto key = stream_journal_key(command.app(), command.tenant(), command.cursor().resource());
  auto stream = memory.stream(key);
  forget_cursor(stream);
  if (command.cursor().has_set()) {
    const auto* resource = ctx.catalogue.find(command.cursor().resource());
    if (resource->endpoint(servicetitan::Role::export_feed) != nullptr) {
      stream.set_token(command.cursor().set());
    } else {
      const auto time = core::parse_utc(command.cursor().set());
      if (!time) return false;
      stream.set_watermark_ms(time->time_since_epoch().count());
    }
  }
  stream.set_updated_ms(wall().time_since_epoch().count());
  c.journal.push_back({key, stream});
  return true;
}

/// A job that does not run changes its phase.
void Lane::Incarnation::end_waiting(const std::string& key, v1::JobState state, v1::JobState::Phase phase,
                                    v1::StatusEvent::Type type) {
  terminal(phase) ? end_job(state, phase, wall()) : state.set_phase(phase);
  Contribution c;
  c.journal.push_back({key, state});
  c.messages.push_back(status_message(topics().status, job_event(type, state, wall())));
  c.urgent = true;
  committer.submit(std::move(c));
}

// --- jobs -------------------------------------------------------------------------------------------------------------------

/// Starts every job whose stream is free, in the order of their commands.
void Lane::Incarnation::start_jobs() {
  if (stop.stop_requested()) return;
  std::vector<std::pair<std::int64_t, const std::string*>> ready;
  for (const auto& key : memory.open_jobs())
    if (const auto& state = *memory.job(key);
        !running.contains(key) && (state.phase() == v1::JobState::waiting || state.phase() == v1::JobState::running))
      ready.emplace_back(state.phase() == v1::JobState::running ? kFirst : state.order(), &key);
  std::sort(ready.begin(), ready.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [order, key] : ready) {
    const auto& state = *memory.job(*key);
    const auto& c = state.command();
    const auto tenant = tenant_key(c.app(), c.tenant());
    if (!slots.may_take(tenant) || !may_start(state)) continue;
    slots.take(tenant);
    busy_streams[stream_journal_key(c)] = *key;
    if (held.insert(tenant).second) ctx.limiter.hold(c.app(), c.tenant(), started + kFirstCallAfter);
    running[*key] = std::make_unique<Job>(job_context, *key, state);
    tasks.spawn("job " + c.id(), run_job(*key));
  }
}

bool Lane::Incarnation::may_start(const v1::JobState& state) const {
  const auto& c = state.command();
  if (busy_streams.contains(stream_journal_key(c))) return false;
  // Configuration may have changed since the command was accepted: such a job waits until its tenant is there again.
  return ctx.config.find_tenant(c.app(), c.tenant()) != nullptr;
}

boost::asio::awaitable<void> Lane::Incarnation::run_job(std::string key) {
  auto& job = *running.at(key);
  const auto end = co_await job.run(stop.token());
  const bool resumes = end == JobEnd::paused && job.resumes();
  const auto& c = job.state().command();
  busy_streams.erase(stream_journal_key(c));
  slots.give_back(tenant_key(c.app(), c.tenant()));
  running.erase(key);
  if (end == JobEnd::lane_stopped) co_return;
  if (const auto* state = memory.job(key); resumes && state != nullptr && state->phase() == v1::JobState::paused)
    end_waiting(key, *state, v1::JobState::waiting, v1::StatusEvent::resumed);
  start_jobs();
}

// --- housekeeping -----------------------------------------------------------------------------------------------------------

boost::asio::awaitable<void> Lane::Incarnation::housekeeping() {
  while (!stop.stop_requested()) {
    co_await tick->wait_until(ctx.clock.now() + kHousekeeping);
    if (stop.stop_requested()) co_return;
    sample_usage();
    const auto before = wall() - std::chrono::duration_cast<std::chrono::milliseconds>(ctx.config.worker.dedupe_keep);
    const auto old = memory.expired(before.time_since_epoch().count(), kKeepFinished, kForgetAtOnce);
    if (old.empty()) continue;
    Contribution c;
    for (const auto& key : old) c.journal.push_back({key, std::nullopt});
    committer.submit(std::move(c));
  }
}

/// What each tenant used since the last sample.
void Lane::Incarnation::sample_usage() {
  Contribution c;
  for (const auto& [key, rows] : usage) {
    const auto colon = key.rfind(':');
    v1::UsageSample sample;
    sample.set_app(key.substr(0, colon));
    sample.set_tenant(core::parse_int(std::string_view(key).substr(colon + 1)).value_or(0));
    if (const auto* tenant = ctx.config.find_tenant(sample.app(), sample.tenant())) sample.set_environment(tenant->environment);
    set_time(*sample.mutable_from(), usage_since);
    set_time(*sample.mutable_to(), wall());
    for (const auto& [resource, row] : rows) {
      auto& out = *sample.add_rows();
      out = row;
      out.set_resource(resource);
    }
    c.messages.push_back({topics().usage, kafka::kAnyPartition, key, codec::to_json(sample)});
  }
  usage.clear();
  usage_since = wall();
  if (!c.messages.empty()) committer.submit(std::move(c));
}

}  // namespace stsync::sync
