// What begins by itself.
#include <set>

#include <fmt/format.h>

#include "core/text.hpp"
#include "sync/incarnation.hpp"
#include "sync/names.hpp"
#include "telemetry/log.hpp"

namespace stsync::sync {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t kRunsAtOnce = 64;
/// The longest sleep: the clock on the wall may be set meanwhile.
constexpr auto kLookAgain = 30s;
/// While runs are due that may not begin yet.
constexpr auto kLookAtHeld = 5s;

}  // namespace

boost::asio::awaitable<void> Lane::Incarnation::run_schedules() {
  Contribution first;
  first.journal = schedules.start(memory, wall());
  if (!first.journal.empty()) committer.submit(std::move(first));
  while (!stop.stop_requested()) {
    schedules.look_again();
    std::size_t begun = 0;
    do {
      if (begun > 0) co_await ctx.clock.sleep_until(ctx.clock.now());  // let others run
      begun = stop.stop_requested() ? 0 : begin_runs();
    } while (begun > 0);
    if (stop.stop_requested()) co_return;
    const auto longest = wall() + (schedules.holds_any() ? kLookAtHeld : kLookAgain);
    co_await schedules_wake->wait_until(ctx.clock.now() + (std::min(longest, schedules.next()) - wall()));
  }
}

/// Some of those that are due; returns how many.
std::size_t Lane::Incarnation::begin_runs() {
  std::set<std::string> tenants;
  std::size_t begun = 0;
  for (; begun < kRunsAtOnce; ++begun) {
    const auto run = schedules.take(memory, wall(), ctx.free_memory());
    if (!run) break;
    const auto& c = run->command;
    ctx.metrics.scheduled_run(static_cast<std::uint64_t>(run->missed));
    telemetry::log(telemetry::Level::debug, "run_scheduled", "a scheduled run is due",
                   {{"job", c.id()},
                    {"app", c.app()},
                    {"tenant", c.tenant()},
                    {"resource", c.sync().resource()},
                    {"due", core::format_utc(run->due)},
                    {"missed", run->missed}});
    committer.submit(begin_run(*run, topics().status, next_offset, wall()));
    tenants.insert(job_journal_key(c.app(), c.tenant(), ""));
  }
  for (const auto& tenant : tenants) start_jobs_of(tenant);
  ctx.make_room();
  return begun;
}

/// How long the run that waits longest has been due.
core::Duration Lane::Incarnation::schedule_lag() const {
  const auto due = schedules.oldest_held();
  return due ? core::Duration(wall() - *due) : core::Duration::zero();
}

/// Piece by piece: a lane may have hundreds of thousands of streams.
boost::asio::awaitable<void> Lane::Incarnation::measure_freshness() {
  constexpr std::size_t kAtOnce = 2000;
  Freshness found;
  const auto& streams = memory.streams();
  auto at = streams.begin();
  while (at != streams.end() && !stop.stop_requested()) {
    for (std::size_t n = 0; n < kAtOnce && at != streams.end(); ++n, ++at) found.add(at->first, at->second);
    if (at == streams.end()) break;
    const auto key = at->first;
    co_await ctx.clock.sleep_until(ctx.clock.now());
    at = streams.lower_bound(key);
  }
  freshness = std::move(found);
}

}  // namespace stsync::sync
