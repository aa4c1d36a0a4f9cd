#include "sync/incarnation.hpp"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "codec/wire.hpp"
#include "core/at_work.hpp"
#include "core/text.hpp"
#include "sync/names.hpp"
#include "sync/poison.hpp"
#include "sync/status.hpp"
#include "telemetry/log.hpp"

namespace stsync::sync {

using core::Result;
using telemetry::Level;
using namespace std::chrono_literals;

namespace {

/// The vendor's window: what a predecessor may have used of it is over after this.
constexpr core::Duration kFirstCallAfter = 1s;
constexpr core::Duration kHousekeeping = 10s;
constexpr core::Duration kMeasure = 60s;
constexpr std::size_t kKeepFinished = 50'000;
constexpr std::size_t kForgetAtOnce = 500;
constexpr std::size_t kCommandsAtOnce = 64;
/// Of an answer, beside what it repeats of its command.
constexpr std::size_t kAnswerBytes = 512;
constexpr int kTellRejected = 1;  // seconds: the dead letters name them all

/// What has begun goes on first, then what somebody waits for.
int urgency(const v1::JobState& job) {
  if (begun(job.phase())) return 0;
  return work_of(job.command().sync()) == limits::WorkClass::interactive ? 1 : 2;
}

/// From an event of a webhook to the job that reads what it names: `job` is the command's own, or the one it was merged into.
void tell_taken(const kafka::Message& m, const char* outcome, const v1::Command& command, const std::string& job) {
  const auto* event = m.header("st-event");
  telemetry::log(Level::debug, "command_taken", outcome,
                 {{"command", command.id()},
                  {"job", job},
                  {"app", command.app()},
                  {"tenant", command.tenant()},
                  {"resource", command.sync().resource()},
                  {"event", event == nullptr ? "" : core::printable(*event)},
                  {"partition", m.partition},
                  {"offset", m.offset}});
}

}  // namespace

Lane::Incarnation::Incarnation(Lane& l, kafka::LaneClient& client, Restored restored)
    : lane(l),
      ctx(l.context_),
      kafka(client),
      memory(std::move(restored.memory)),
      schedules(ctx.config, ctx.catalogue, l.partition_),
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
      schedules_wake(ctx.clock.make_signal()),
      usage_since(ctx.clock.wall_now()),
      job_context{ctx.clock,
                  ctx.rng,
                  ctx.config,
                  ctx.catalogue,
                  ctx.api,
                  ctx.metrics,
                  committer,
                  memory,
                  [this] { return ctx.leased(); },
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
  auto renewed = ctx.leased() ? co_await kafka.init(kInitTimeout) : core::fail(report.error);
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
    schedules_wake->notify();
  });
  do_what_is_left();
  tasks.spawn(fmt::format("lane {} commands", lane.partition_), read_commands());
  tasks.spawn(fmt::format("lane {} schedules", lane.partition_), run_schedules());
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
    std::set<std::string> tenants;
    std::size_t taken = 0;
    for (; taken < kCommandsAtOnce && may_read_on() && !stop.stop_requested(); ++taken) {
      const auto m = ctx.consumer.poll(lane.partition_);
      if (!m) break;
      if (m->offset < next_offset) continue;  // fetched before the seek
      next_offset = m->offset + 1;
      if (auto tenant = take(*m)) tenants.insert(std::move(*tenant));
    }
    for (const auto& tenant : tenants) start_jobs_of(tenant);
    if (taken > 0) forget_finished();
    ctx.make_room();
    if (stop.stop_requested()) co_return;
    if (taken < kCommandsAtOnce)
      co_await intake_wake->wait();
    else
      co_await ctx.clock.sleep_until(ctx.clock.now());  // let others run
  }
}

/// Where Kafka is slow, commands stay in it: what is not polled is not fetched.
bool Lane::Incarnation::may_read_on() const { return unanswered < ctx.shares.commands(ctx.lanes()); }

std::optional<std::string> Lane::Incarnation::take(const kafka::Message& m) {
  IntakeContext intake{ctx.config, ctx.catalogue, memory, lane.partition_, ctx.config.kafka.partitions};
  intake.runs = [this](const std::string& key) { return running.contains(key); };
  intake.known = [](const v1::Command& command) { core::AtWork::add(crash_detail(command)); };
  intake.free_memory = ctx.free_memory();
  const auto name = crash_name(m);
  const core::AtWork at_work(name);
  const auto crash = ctx.poison(name);
  const auto decision = crash ? Decision(poison_command(*crash)) : decide(m, intake);
  const Answering to{topics(), m, wall()};
  const auto say = [&](const char* outcome, Contribution c) {
    ctx.metrics.command(outcome);
    submit_answer(std::move(c), m);
  };
  if (const auto* a = std::get_if<Accept>(&decision)) {
    tell_taken(m, "accepted", a->command, a->command.id());
    say("accepted", answer(*a, to));
    return job_journal_key(a->command.app(), a->command.tenant(), "");
  }
  if (const auto* c = std::get_if<Control>(&decision)) {
    control(*c, to);
    return job_journal_key(c->command.app(), c->command.tenant(), "");
  }
  if (const auto* f = std::get_if<Forward>(&decision)) say("forwarded", answer(*f, to));
  if (const auto* d = std::get_if<Duplicate>(&decision)) {
    tell_taken(m, "duplicate", d->command, d->command.id());
    say("duplicate", answer(*d, to, memory));
  }
  if (const auto* merged = std::get_if<Coalesce>(&decision)) {
    tell_taken(m, "coalesced", merged->command, merged->target);
    say("coalesced", answer(*merged, to));
  }
  if (const auto* r = std::get_if<Reject>(&decision)) {
    ctx.metrics.dead_letter(r->code);
    telemetry::log_rarely(Level::warn, "command_rejected", kTellRejected, r->message,
                          {{"code", r->code}, {"partition", m.partition}, {"offset", m.offset}});
    auto c = answer(*r, to);
    if (crash) c.on_committed = ctx.forgets(name);
    say("rejected", std::move(c));
  }
  return std::nullopt;
}

void Lane::Incarnation::submit_answer(Contribution c, const kafka::Message& to) {
  const auto bytes = size_of(to) + kAnswerBytes;
  unanswered += bytes;
  c.bytes += bytes;
  c.on_committed = [this, bytes, then = std::move(c.on_committed)] {
    unanswered -= bytes;
    intake_wake->notify();
    if (then) then();
  };
  committer.submit(std::move(c));
}

// --- jobs -------------------------------------------------------------------------------------------------------------------

void Lane::Incarnation::start_jobs() { start_jobs_of("job/"); }

/// Starts every job whose stream is free, in the order of their commands, of one tenant or of all.
void Lane::Incarnation::start_jobs_of(const std::string& job_prefix) {
  if (stop.stop_requested()) return;
  std::vector<std::tuple<int, std::int64_t, const std::string*>> ready;
  const auto& open = memory.open_jobs();
  for (auto key = open.lower_bound(job_prefix); key != open.end() && key->starts_with(job_prefix); ++key)
    if (const auto& state = *memory.job(*key); !running.contains(*key) && state.phase() != v1::JobState::paused)
      ready.emplace_back(urgency(state), state.order(), &*key);
  std::sort(ready.begin(), ready.end());
  for (const auto& [rank, order, place] : ready) {
    const auto key = *place;
    if (set_aside(key)) continue;  // one that crashed us before its acceptance was committed
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
  const bool others_wait = slots.scarce();
  slots.give_back(tenant_key(c.app(), c.tenant()));
  running.erase(key);
  if (end == JobEnd::lane_stopped) co_return;
  if (end == JobEnd::paused && memory.asked(key).what() == v1::AskedState::resume) change(key, v1::StatusEvent::resumed);
  others_wait ? start_jobs() : start_jobs_of(key.substr(0, key.rfind('/') + 1));
  ctx.make_room();
}

// --- housekeeping -----------------------------------------------------------------------------------------------------------

boost::asio::awaitable<void> Lane::Incarnation::housekeeping() {
  auto measured = ctx.clock.now() - kMeasure;
  while (!stop.stop_requested()) {
    co_await tick->wait_until(ctx.clock.now() + kHousekeeping);
    if (stop.stop_requested()) co_return;
    sample_usage();
    if (ctx.clock.now() >= measured + kMeasure) {
      measured = ctx.clock.now();
      co_await measure_freshness();
    }
    const auto open = memory.open_jobs();
    for (const auto& key : open) expire(key);
    start_jobs();  // the configuration may have changed
    forget_finished();
  }
}

/// At least as many as a batch of commands and its jobs can bring.
void Lane::Incarnation::forget_finished() {
  const auto before = wall() - std::chrono::duration_cast<std::chrono::milliseconds>(ctx.config.worker.dedupe_keep);
  const KeptJobs keep{kKeepFinished, ctx.shares.finished_jobs(ctx.lanes())};
  const auto old = memory.jobs().expired(before.time_since_epoch().count(), keep, kForgetAtOnce);
  if (old.empty()) return;
  Contribution c;
  for (const auto& key : old) c.journal.push_back({key, std::nullopt});
  committer.submit(std::move(c));
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
