#include "sync/lane.hpp"

#include <algorithm>
#include <array>
#include <tuple>

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

/// Whether the group confirmed our membership lately: only then may the vendor be called for our partitions.
bool leased(const LaneContext& c) { return c.clock.now() - c.consumer.last_heartbeat() < c.config.kafka.session_timeout / 2; }

/// What has begun goes on first, then what somebody waits for.
int urgency(const v1::JobState& job) {
  if (begun(job.phase())) return 0;
  return work_of(job.command().sync()) == limits::WorkClass::interactive ? 1 : 2;
}

/// What is found out before the lane can work.
struct Restored {
  Memory memory;
  StartOffset start;
  Salvage salvage;
};

/// A stream that is being read, and by whom: keys of jobs, empty for nobody.
struct BusyStream {
  std::unique_ptr<StreamGate> gate;
  std::string host, guest;
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
  std::optional<Refusal> control_jobs(const v1::Command& command, Contribution& changes);
  void control_job(v1::Command::ActionCase action, const std::string& key);
  std::optional<Refusal> control_cursor(const v1::Command& command, Contribution& changes);

  // Jobs.
  void start_jobs();
  bool may_start(const v1::JobState& state) const;
  std::optional<StreamSeat> take_seat(const std::string& key, const v1::JobState& state);
  void leave_seat(const std::string& key, const std::string& stream);
  boost::asio::awaitable<void> run_job(std::string key);
  void do_what_is_left();
  void expire(const std::string& key);
  void change(const std::string& key, v1::StatusEvent::Type type, const std::optional<v1::Failure>& why = {});

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
  std::map<std::string, BusyStream> busy_streams;       ///< by key
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
  do_what_is_left();
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

/// What it changes of a cursor or a tenant is committed with the answer; jobs tell by themselves what they do.
void Lane::Incarnation::control(const Control& control, const Answering& to) {
  const auto& command = control.command;
  Contribution changes;
  const auto refusal = command.has_cursor() ? control_cursor(command, changes) : control_jobs(command, changes);
  auto c = answer(control, to, refusal);
  c.journal.insert(c.journal.begin(), changes.journal.begin(), changes.journal.end());
  ctx.metrics.command(refusal ? "rejected" : "accepted");
  committer.submit(std::move(c));
}

/// What a command without a job means is true of jobs to come, too. A job's own events follow when it has stopped.
std::optional<Refusal> Lane::Incarnation::control_jobs(const v1::Command& command, Contribution& changes) {
  if (auto refusal = cannot_resume(command, memory)) return refusal;
  const auto meant = jobs_meant(command, memory);
  const auto tenant = tenant_after(command, memory);
  if (meant.empty() && !tenant) return Refusal{"not_found", "there is no such job"};
  for (const auto& key : meant) control_job(command.action_case(), key);
  if (tenant) changes.journal.push_back(*tenant);
  return std::nullopt;
}

void Lane::Incarnation::control_job(v1::Command::ActionCase action, const std::string& key) {
  const auto state = *memory.job(key);
  // With the last of those that were merged into it a job may have been cancelled a moment ago.
  if (terminal(state.phase()) && state.phase() != v1::JobState::coalesced) return;
  if (state.phase() == v1::JobState::coalesced) {
    change(key, v1::StatusEvent::cancelled);
    const auto target = job_journal_key(state.command().app(), state.command().tenant(), state.target());
    if (memory.asked(target).withdrawn() && memory.followers(target).empty()) control_job(action, target);
    return;
  }
  const auto it = running.find(key);
  const bool runs = it != running.end() && !it->second->ending();
  const auto effect = effect_of(action, {state.phase(), memory.asked(key), runs, !memory.followers(key).empty()});
  if (effect.event) return change(key, *effect.event);
  if (!effect.asked) return;
  Contribution c;
  c.journal.push_back(asked_entry(key, *effect.asked));
  c.urgent = true;
  if (effect.asked->withdrawn() && !memory.asked(key).withdrawn()) {
    auto event = job_event(v1::StatusEvent::progress, state, wall());
    event.set_note("cancelled, and goes on for the commands that were merged into it");
    c.messages.push_back(status_message(topics().status, event));
  }
  committer.submit(std::move(c));
  if (runs && effect.asked->what() == v1::AskedState::cancel) it->second->cancel();
  if (runs && effect.asked->what() == v1::AskedState::pause) it->second->pause();
}

std::optional<Refusal> Lane::Incarnation::control_cursor(const v1::Command& command, Contribution& changes) {
  const auto key = stream_journal_key(command.app(), command.tenant(), command.cursor().resource());
  auto stream = memory.stream(key);
  forget_cursor(stream);
  if (command.cursor().has_set()) {
    const auto* resource = ctx.catalogue.find(command.cursor().resource());
    if (resource->endpoint(servicetitan::Role::export_feed) != nullptr) {
      stream.set_token(command.cursor().set());
    } else {
      const auto time = core::parse_utc(command.cursor().set());
      if (!time) return Refusal{"bad_command", "the cursor of a list is a time such as 2026-01-02T03:04:05Z"};
      stream.set_watermark_ms(time->time_since_epoch().count());
    }
  }
  stream.set_updated_ms(wall().time_since_epoch().count());
  changes.journal.push_back({key, stream});
  return std::nullopt;
}

/// What happens to a job that nobody works on, or to a command that was merged. What was asked of it has happened with that.
void Lane::Incarnation::change(const std::string& key, v1::StatusEvent::Type type, const std::optional<v1::Failure>& why) {
  auto state = *memory.job(key);
  const auto phase = after(state.phase(), type);
  core::check(phase.has_value(), "a job changes along the table of its life");
  terminal(*phase) ? end_job(state, *phase, wall()) : state.set_phase(*phase);
  if (why) *state.mutable_failure() = *why;
  Contribution c;
  c.journal.push_back({key, state});
  forget_asked(c.journal, memory, key, terminal(*phase));
  auto event = job_event(type, state, wall());
  if (why) *event.mutable_failure() = *why;
  c.messages.push_back(status_message(topics().status, event));
  c.urgent = true;
  committer.submit(std::move(c));
}

/// A job whose time is over. One that runs ends by itself.
void Lane::Incarnation::expire(const std::string& key) {
  const auto why = overdue(*memory.job(key), wall());
  if (!why) return;
  const auto it = running.find(key);
  if (it == running.end()) return change(key, v1::StatusEvent::failed, failure_of(*why, "deadline", false));
  if (!it->second->ending()) it->second->give_up(*why);
}

/// What an earlier lane heard and did not live to do comes before everything else.
void Lane::Incarnation::do_what_is_left() {
  const auto open = memory.open_jobs();
  for (const auto& key : open) {
    const auto& job = *memory.job(key);
    const auto asked = memory.asked(key);
    const auto event = left_to_do({job.phase(), asked, false, !memory.followers(key).empty()});
    if (event) {
      change(key, *event);
    } else if (begun(job.phase())) {
      Contribution c;
      c.messages.push_back(status_message(topics().status, job_event(v1::StatusEvent::restarted, job, wall())));
      c.urgent = true;
      committer.submit(std::move(c));
    }
  }
}

// --- jobs -------------------------------------------------------------------------------------------------------------------

/// Starts every job whose stream is free, in the order of their commands.
void Lane::Incarnation::start_jobs() {
  if (stop.stop_requested()) return;
  std::vector<std::tuple<int, std::int64_t, const std::string*>> ready;
  for (const auto& key : memory.open_jobs())
    if (const auto& state = *memory.job(key); !running.contains(key) && state.phase() != v1::JobState::paused)
      ready.emplace_back(urgency(state), state.order(), &key);
  std::sort(ready.begin(), ready.end());
  for (const auto& [rank, order, place] : ready) {
    const auto key = *place;
    const auto& state = *memory.job(key);
    if (overdue(state, wall())) {
      expire(key);
      continue;
    }
    const auto& c = state.command();
    const auto tenant = tenant_key(c.app(), c.tenant());
    if (!slots.may_take(tenant) || !may_start(state)) continue;
    const auto seat = take_seat(key, state);
    if (!seat) continue;
    slots.take(tenant);
    if (held.insert(tenant).second) ctx.limiter.hold(c.app(), c.tenant(), started + kFirstCallAfter);
    running[key] = std::make_unique<Job>(job_context, key, state, *seat);
    tasks.spawn("job " + c.id(), run_job(key));
  }
}

bool Lane::Incarnation::may_start(const v1::JobState& state) const {
  const auto& c = state.command();
  if (pause_over(c, memory)) return false;
  // Configuration may have changed since the command was accepted: such a job waits until its tenant is there again.
  return ctx.config.find_tenant(c.app(), c.tenant()) != nullptr;
}

/// Jobs of one stream come one after the other, but for a short one beside a long one that has begun.
std::optional<StreamSeat> Lane::Incarnation::take_seat(const std::string& key, const v1::JobState& state) {
  const auto stream = stream_journal_key(state.command());
  auto& busy = busy_streams[stream];
  if (!busy.gate) {
    busy = {std::make_unique<StreamGate>(ctx.clock), key, {}};
    return StreamSeat{busy.gate.get(), false};
  }
  if (busy.host.empty() || !busy.guest.empty()) return std::nullopt;
  if (!may_visit(state, running.at(busy.host)->state(), memory.stream(stream))) return std::nullopt;
  busy.guest = key;
  return StreamSeat{busy.gate.get(), true};
}

void Lane::Incarnation::leave_seat(const std::string& key, const std::string& stream) {
  auto& busy = busy_streams.at(stream);
  if (busy.guest == key) {
    busy.gate->leave();
    busy.guest.clear();
  } else {
    busy.gate->host_gone();
    busy.host.clear();
  }
  if (busy.host.empty() && busy.guest.empty()) busy_streams.erase(stream);
}

boost::asio::awaitable<void> Lane::Incarnation::run_job(std::string key) {
  auto& job = *running.at(key);
  const auto end = co_await job.run(stop.token());
  const auto& c = job.state().command();
  leave_seat(key, stream_journal_key(c));
  slots.give_back(tenant_key(c.app(), c.tenant()));
  running.erase(key);
  if (end == JobEnd::lane_stopped) co_return;
  if (end == JobEnd::paused && memory.asked(key).what() == v1::AskedState::resume) change(key, v1::StatusEvent::resumed);
  start_jobs();
}

// --- housekeeping -----------------------------------------------------------------------------------------------------------

boost::asio::awaitable<void> Lane::Incarnation::housekeeping() {
  while (!stop.stop_requested()) {
    co_await tick->wait_until(ctx.clock.now() + kHousekeeping);
    if (stop.stop_requested()) co_return;
    sample_usage();
    const auto open = memory.open_jobs();
    for (const auto& key : open) expire(key);
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
