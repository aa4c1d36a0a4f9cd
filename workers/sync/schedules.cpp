#include "sync/schedules.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/text.hpp"
#include "kafka/client.hpp"
#include "servicetitan/plan.hpp"
#include "sync/control.hpp"
#include "sync/intake.hpp"
#include "sync/names.hpp"
#include "sync/status.hpp"

namespace stsync::sync {
namespace {

using Stream = Schedules::Stream;

core::WallTime wall(std::int64_t ms) { return core::WallTime(std::chrono::milliseconds(ms)); }
std::int64_t ms(core::WallTime t) { return t.time_since_epoch().count(); }

v1::Priority priority_of(const config::Schedule& s) {
  if (s.priority == "interactive") return v1::interactive;
  return s.priority == "backfill" ? v1::backfill : v1::normal;
}

/// The sooner of two.
v1::Priority sooner(v1::Priority a, v1::Priority b) {
  static constexpr std::array kOrder{v1::interactive, v1::normal, v1::backfill};
  return *std::find_if(kOrder.begin(), kOrder.end(), [&](auto p) { return p == a || p == b; });
}

bool reads_feed(const servicetitan::Resource& resource) { return resource.endpoint(servicetitan::Role::export_feed) != nullptr; }

v1::Mode mode_of(const config::Schedule& s) { return s.mode == "full" ? v1::full : v1::incremental; }

core::Result<void> can_read(const servicetitan::Catalogue& catalogue, const std::string& name, const config::Schedule& schedule) {
  v1::Sync sync;
  sync.set_resource(name);
  sync.set_mode(mode_of(schedule));
  return servicetitan::check_mode(catalogue, *catalogue.find(name), sync);
}

/// Whether the run before is over.
bool done(const std::string& key, const Stream& stream, const Memory& memory) {
  const auto* job = memory.job(job_journal_key(stream.app, stream.tenant, memory.schedule(key).job()));
  return job == nullptr || terminal(job->phase());
}

bool may_begin(const v1::Command& c, const Memory& memory, std::size_t free_memory) {
  if (pause_over(c, memory)) return false;
  return memory.jobs().load(c.app(), c.tenant()).waiting < kWaitingOfTenant && !no_memory_for(c, memory, free_memory);
}

}  // namespace

/// What a schedule means, by name. Thousands of tenants have the same one.
class Schedules::Meanings {
 public:
  explicit Meanings(const servicetitan::Catalogue& catalogue) : catalogue_(catalogue) {}
  /// Resources, and the least time between two runs.
  const std::map<std::string, core::Duration>& of(const config::Schedule& schedule) {
    const auto [at, first] = known_.try_emplace({schedule.resources, mode_of(schedule)});
    if (!first) return at->second;
    for (const auto& pattern : schedule.resources)
      for (const auto& name : catalogue_.expand(pattern))
        if (can_read(catalogue_, name, schedule))
          at->second[name] = reads_feed(*catalogue_.find(name)) ? core::Duration(kFeedGap) : core::Duration::zero();
    return at->second;
  }

 private:
  const servicetitan::Catalogue& catalogue_;
  std::map<std::pair<std::vector<std::string>, v1::Mode>, std::map<std::string, core::Duration>> known_;
};

Schedules::Schedules(const config::Config& config, const servicetitan::Catalogue& catalogue, std::int32_t partition) {
  Meanings meanings(catalogue);
  for (const auto& app : config.apps)
    for (const auto& tenant : app.tenants)
      if (!tenant.schedules.empty() && kafka::partition_for(tenant_key(app.name, tenant.id), config.kafka.partitions) == partition)
        add(app, tenant, meanings);
}

void Schedules::add(const config::App& app, const config::Tenant& tenant, Meanings& meanings) {
  for (const auto& schedule : tenant.schedules)
    for (const auto& [name, gap] : meanings.of(schedule)) {
      const auto key = schedule_journal_key(app.name, tenant.id, name);
      auto times = ScheduleTimes::make(schedule, key, gap);
      if (!times) continue;  // told when the configuration was read
      auto& stream = streams_[key];
      stream.app = app.name;
      stream.tenant = tenant.id;
      stream.resource = name;
      stream.gap = gap;
      stream.rules.push_back({std::move(*times), mode_of(schedule), priority_of(schedule), describe(schedule, gap)});
    }
}

core::WallTime Stream::next() const {
  auto out = core::WallTime::max();
  for (const auto& rule : rules) out = std::min(out, rule.times.next(last));
  return ran ? std::max(out, std::chrono::time_point_cast<core::WallTime::duration>(last + gap)) : out;
}

std::vector<JournalEntry> Schedules::start(const Memory& memory, core::WallTime now) {
  std::vector<JournalEntry> first;
  for (auto& place : streams_) {
    auto& [key, stream] = place;
    auto state = memory.schedule(key);
    if (state.last_due_ms() == 0) {
      state.set_last_due_ms(ms(now));
      first.push_back({key, state});
    }
    stream.last = wall(state.last_due_ms());
    stream.ran = !state.job().empty();
    queue_.push({stream.next(), &place});
  }
  return first;
}

std::optional<ScheduledRun> Schedules::run_of(const std::string& key, const Stream& stream, core::WallTime now) const {
  std::optional<ScheduledRun> out;
  for (const auto& rule : stream.rules) {
    const auto due = rule.times.due(stream.last, now);
    if (!due) continue;
    if (!out) {
      out.emplace();
      out->missed = -1;
      out->command.mutable_sync()->set_mode(rule.mode);
      out->command.mutable_sync()->set_priority(rule.priority);
    }
    auto& sync = *out->command.mutable_sync();
    if (rule.mode == v1::full) sync.set_mode(v1::full);
    sync.set_priority(sooner(sync.priority(), rule.priority));
    out->due = std::max(out->due, due->newest);
    out->missed += due->count;
  }
  if (!out) return out;
  out->key = key;
  auto& c = out->command;
  c.set_app(stream.app);
  c.set_tenant(stream.tenant);
  c.mutable_sync()->set_resource(stream.resource);
  c.set_id(core::uuid5(fmt::format("schedule {}/{}/{} {}", stream.app, stream.tenant, stream.resource, ms(out->due))));
  return out;
}

std::optional<ScheduledRun> Schedules::take(const Memory& memory, core::WallTime now, std::size_t free_memory) {
  while (!queue_.empty() && queue_.top().due <= now) {
    const auto next = queue_.top();
    queue_.pop();
    auto& stream = next.stream->second;
    if (!done(next.stream->first, stream, memory)) {
      held_.push_back(next);
      continue;
    }
    auto run = run_of(next.stream->first, stream, now);
    if (run && !may_begin(run->command, memory, free_memory)) {
      held_.push_back(next);
      continue;
    }
    if (run) {
      stream.last = run->due;
      stream.ran = true;
    }
    queue_.push({stream.next(), next.stream});
    if (run) return run;
  }
  return std::nullopt;
}

void Schedules::look_again() {
  for (const auto& held : held_) queue_.push(held);
  held_.clear();
}

core::WallTime Schedules::next() const { return queue_.empty() ? core::WallTime::max() : queue_.top().due; }

std::optional<core::WallTime> Schedules::oldest_held() const {
  const auto oldest = std::min_element(held_.begin(), held_.end(), [](const Next& a, const Next& b) { return b > a; });
  return oldest == held_.end() ? std::nullopt : std::optional(oldest->due);
}

std::vector<JournalEntry> journal_of(const ScheduledRun& run, std::int64_t order, core::WallTime now) {
  const auto& command = run.command;
  v1::JobState job;
  *job.mutable_command() = command;
  job.set_body_hash(body_hash(command));
  job.set_phase(v1::JobState::waiting);
  job.set_accepted_ms(ms(now));
  job.set_order(order);
  job.mutable_counts();
  v1::ScheduleState schedule;
  schedule.set_last_due_ms(ms(run.due));
  schedule.set_job(command.id());
  schedule.set_missed(run.missed);
  return {{job_journal_key(command.app(), command.tenant(), command.id()), std::move(job)}, {run.key, std::move(schedule)}};
}

Contribution begin_run(const ScheduledRun& run, const std::string& status_topic, std::int64_t order, core::WallTime now) {
  Contribution c;
  c.journal = journal_of(run, order, now);
  auto event = job_event(v1::StatusEvent::accepted, std::get<v1::JobState>(*c.journal.front().value), now);
  event.set_note(fmt::format("scheduled, due at {}", core::format_utc(run.due)) +
                 (run.missed > 0 ? fmt::format(", stands for {} more", run.missed) : ""));
  c.messages.push_back(status_message(status_topic, event));
  return c;
}

void note_scheduled_end(std::vector<JournalEntry>& journal, const Memory& memory, const v1::JobState& job,
                        const std::string& successor) {
  const auto& c = job.command();
  const auto key = schedule_journal_key(c.app(), c.tenant(), c.sync().resource());
  auto schedule = memory.schedule(key);
  if (schedule.job().empty() || schedule.job() != c.id()) return;
  if (!successor.empty()) {
    schedule.set_job(successor);
  } else {
    schedule.set_result(job.phase());
    schedule.set_finished_ms(job.finished_ms());
  }
  journal.push_back({key, std::move(schedule)});
}

void check_schedules(const config::Config& config, const servicetitan::Catalogue& catalogue, config::Report& report) {
  std::vector<std::string> all;
  for (const auto& [name, resource] : catalogue.all()) all.push_back(name);
  const auto check = [&](const config::Schedule& schedule) {
    std::size_t hurried = 0;
    for (const auto& pattern : schedule.resources) {
      const auto names = catalogue.expand(pattern);
      if (names.empty()) {
        const auto near = core::nearest(pattern, all);
        report.error(schedule.place, fmt::format("schedules: '{}' is not a resource{}", core::printable(pattern, 80),
                                                 near ? fmt::format(" (did you mean '{}'?)", *near) : ""));
      }
      for (const auto& name : names) {
        const auto ok = can_read(catalogue, name, schedule);
        if (!ok && name == pattern) report.error(schedule.place, "schedules: " + ok.error().message());
        hurried += ok && reads_feed(*catalogue.find(name)) ? 1 : 0;
      }
    }
    if (schedule.every && *schedule.every < kFeedGap && hurried > 0)
      report.warn(schedule.place,
                  fmt::format("schedules: {} of these are read from export feeds, which the vendor lets be polled every {} minutes "
                              "at most: they will be",
                              hurried, kFeedGap.count()));
  };
  for (const auto& app : config.apps)
    for (const auto& tenant : app.tenants)
      for (const auto& schedule : tenant.schedules) check(schedule);
}

}  // namespace stsync::sync
