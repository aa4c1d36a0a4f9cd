// What begins by itself: when, and that a lane that moves neither leaves a run out nor asks for it twice.
#include "sync/schedules.hpp"

#include <algorithm>
#include <limits>
#include <random>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.hpp"
#include "sync/control.hpp"
#include "sync/intake.hpp"
#include "sync/names.hpp"

namespace stsync::sync {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace std::chrono_literals;

const servicetitan::Catalogue& catalogue() {
  static const auto c = servicetitan::Catalogue::load("", "").value();
  return c;
}

config::Schedule every(std::vector<std::string> resources, core::Duration time) {
  config::Schedule s;
  s.resources = std::move(resources);
  s.every = time;
  return s;
}

config::Schedule cron(std::vector<std::string> resources, std::string line, std::string zone = "UTC") {
  config::Schedule s;
  s.resources = std::move(resources);
  s.cron = std::move(line);
  s.time_zone = std::move(zone);
  s.jitter = 0s;
  return s;
}

core::WallTime at(const char* text) { return core::parse_utc(text).value(); }

/// A lane of one partition, as far as schedules see it.
class Play : public ::testing::Test {
 protected:
  Play() {
    config.kafka.partitions = 1;
    config.apps.emplace_back().name = "acme";
  }
  void tenant(std::int64_t id, std::vector<config::Schedule> schedules) {
    auto& t = config.apps[0].tenants.emplace_back();
    t.id = id;
    t.schedules = std::move(schedules);
  }
  /// A new lane on the journal as it stands.
  void take_over() {
    lane.emplace(config, catalogue(), 0);
    for (const auto& entry : lane->start(memory, now)) memory.apply(entry);
  }
  /// The runs that begin until a time, looking every `step`.
  std::vector<ScheduledRun> until(core::WallTime end, core::Duration step = 1min) {
    std::vector<ScheduledRun> out;
    for (; now <= end; now += std::chrono::duration_cast<core::WallTime::duration>(step)) {
      lane->look_again();
      while (auto run = lane->take(memory, now, free)) {
        for (const auto& entry : begin_run(*run, "st.status", 0, now).journal) memory.apply(entry);
        if (done_at_once) end_job(*run);
        out.push_back(std::move(*run));
      }
    }
    return out;
  }
  void end_job(const ScheduledRun& run, v1::JobState::Phase phase = v1::JobState::completed) {
    const auto key = job_journal_key(run.command.app(), run.command.tenant(), run.command.id());
    auto job = *memory.job(key);
    sync::end_job(job, phase, now);
    std::vector<JournalEntry> journal{{key, job}};
    note_scheduled_end(journal, memory, job);
    for (const auto& entry : journal) memory.apply(entry);
  }
  v1::ScheduleState state(const char* resource) const { return memory.schedule(schedule_journal_key("acme", 1001, resource)); }

  config::Config config;
  Memory memory;
  std::optional<Schedules> lane;
  core::WallTime now = at("2026-05-04T00:00:00Z");
  std::size_t free = std::numeric_limits<std::size_t>::max() / 4;
  bool done_at_once = true;
};
using SchedulesTest = Play;

TEST_F(SchedulesTest, AnIntervalsRunsAreSpreadOverIt) {
  for (std::int64_t t = 1; t <= 200; ++t) tenant(t, {every({"jpm.job-types", "marketing.campaigns"}, 1h)});
  take_over();
  const auto runs = until(now + 3h);
  EXPECT_EQ(runs.size(), 3u * 400);
  std::map<std::int64_t, int> by_minute;
  for (const auto& run : runs) ++by_minute[(run.due.time_since_epoch() / 1min) % 60];
  EXPECT_EQ(by_minute.size(), 60u) << "no minute without";
  for (const auto& [minute, count] : by_minute) EXPECT_LT(count, 3 * 400 * 3 / 60) << "a herd in minute " << minute;
}

TEST_F(SchedulesTest, ARunIsAnOrdinaryJobWhoseIdFollowsFromItsTime) {
  auto schedule = cron({"jpm.job-types"}, "0 2 * * *", "America/Chicago");
  schedule.mode = "full";
  schedule.priority = "backfill";
  tenant(1001, {schedule});
  take_over();
  const auto runs = until(now + 24h);
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_EQ(runs[0].due, at("2026-05-04T07:00:00Z"));
  const auto& c = runs[0].command;
  EXPECT_EQ(c.ShortDebugString(),
            fmt::format("id: \"{}\" app: \"acme\" tenant: 1001 sync {{ resource: \"jpm.job-types\" mode: full "
                        "priority: backfill }}",
                        core::uuid5("schedule acme/1001/jpm.job-types 1777878000000")));
  const auto c2 = begin_run(runs[0], "st.status", 7, runs[0].due + 3s);
  ASSERT_THAT(c2.messages, SizeIs(1));
  EXPECT_THAT(*c2.messages[0].value, HasSubstr("scheduled, due at 2026-05-04T07:00:00.000Z"));
  const auto& job = std::get<v1::JobState>(*c2.journal[0].value);
  EXPECT_EQ(job.order(), 7);
  EXPECT_EQ(job.phase(), v1::JobState::waiting);
  EXPECT_EQ(std::get<v1::ScheduleState>(*c2.journal[1].value).job(), c.id());
  EXPECT_EQ(state("jpm.job-types").result(), v1::JobState::completed);
  EXPECT_EQ(state("jpm.job-types").finished_ms(), at("2026-05-04T07:00:00Z").time_since_epoch().count());
}

TEST_F(SchedulesTest, WhoeverTakesOverNeitherLeavesARunOutNorAsksTwice) {
  tenant(1001, {every({"jpm.job-types"}, 10min), cron({"marketing.campaigns"}, "*/10 * * * *")});
  std::mt19937 rng(7);
  std::map<std::string, std::vector<core::WallTime>> dues;
  const auto begin = now;
  const auto end = now + 24h;
  while (now < end) {
    take_over();  // at any moment
    for (const auto& run : until(std::min(end, now + std::chrono::seconds(rng() % 1500)), 1s))
      dues[run.command.sync().resource()].push_back(run.due);
    now -= std::chrono::milliseconds(rng() % 3000);  // clocks of two workers differ
  }
  now = end;
  take_over();
  for (const auto& run : until(end)) dues[run.command.sync().resource()].push_back(run.due);
  for (const auto& [resource, times] : dues) {
    EXPECT_EQ(times.size(), 144u) << resource;
    EXPECT_LE(times.front(), begin + 10min);
    for (std::size_t i = 1; i < times.size(); ++i) EXPECT_EQ(times[i] - times[i - 1], 10min) << resource << " " << i;
  }
}

TEST_F(SchedulesTest, WhatWasMissedIsOneRun) {
  tenant(1001, {every({"jpm.job-types"}, 15min), cron({"marketing.campaigns"}, "0 * * * *")});
  take_over();
  until(now + 1h);
  now += 6h;  // nobody had the lane
  take_over();
  auto runs = until(now);
  ASSERT_THAT(runs, SizeIs(2));
  std::sort(runs.begin(), runs.end(), [](const auto& a, const auto& b) { return a.missed < b.missed; });
  EXPECT_EQ(runs[0].missed, 5);
  EXPECT_EQ(runs[0].due, at("2026-05-04T07:00:00Z"));
  EXPECT_EQ(runs[1].missed, 23);
  EXPECT_GT(runs[1].due, now - 15min);
  EXPECT_EQ(state("marketing.campaigns").missed(), 5);
  EXPECT_THAT(until(now + 5min), IsEmpty()) << "and the next one comes when it is due";
}

TEST_F(SchedulesTest, OfALongTimeTheNewestIsFoundAtOnce) {
  tenant(1001,
         {every({"jpm.job-types"}, 1min), cron({"marketing.campaigns"}, "* * * * *"), cron({"marketing.categories"}, "@yearly")});
  take_over();
  now += std::chrono::days(10 * 365);
  take_over();
  std::map<std::string, core::Duration> age;
  const auto then = now;
  for (const auto& run : until(then)) age[run.command.sync().resource()] = then - run.due;
  EXPECT_LE(age["jpm.job-types"], 1min);
  EXPECT_LE(age["marketing.campaigns"], 1min);
  EXPECT_LE(age["marketing.categories"], std::chrono::days(366));
  EXPECT_EQ(age.size(), 3u);
}

TEST_F(SchedulesTest, ARunNeverOverlapsTheOneBefore) {
  tenant(1001, {every({"jpm.job-types"}, 10min)});
  done_at_once = false;
  take_over();
  const auto first = until(now + 1h);
  ASSERT_THAT(first, SizeIs(1));
  EXPECT_TRUE(lane->holds_any());
  EXPECT_EQ(lane->oldest_held(), first[0].due + 10min);
  take_over();
  EXPECT_THAT(until(now + 1h), IsEmpty()) << "nor does another lane begin it";
  end_job(first[0], v1::JobState::failed);
  EXPECT_EQ(state("jpm.job-types").result(), v1::JobState::failed);
  const auto second = until(now);
  ASSERT_THAT(second, SizeIs(1));
  EXPECT_GE(second[0].missed, 10);
  EXPECT_FALSE(lane->holds_any());
}

TEST_F(SchedulesTest, AJobThatGoesOnInAnotherOnesPlaceIsTheSameRun) {
  tenant(1001, {every({"jpm.job-types"}, 10min)});
  done_at_once = false;
  take_over();
  const auto run = until(now + 15min).at(0);
  auto job = *memory.job(job_journal_key("acme", 1001, run.command.id()));
  auto next = job;
  next.mutable_command()->set_id("next");
  sync::end_job(job, v1::JobState::failed, now);
  std::vector<JournalEntry> journal{{job_journal_key("acme", 1001, run.command.id()), job},
                                    {job_journal_key("acme", 1001, "next"), next}};
  note_scheduled_end(journal, memory, job, "next");
  for (const auto& entry : journal) memory.apply(entry);
  EXPECT_THAT(until(now + 1h), IsEmpty());
}

TEST_F(SchedulesTest, APauseHoldsThem) {
  tenant(1001, {every({"jpm.job-types", "marketing.campaigns"}, 10min)});
  take_over();
  until(now + 20min);
  const auto pause = [&](bool tenant, std::vector<std::string> resources) {
    v1::TenantState t;
    t.set_paused(tenant);
    for (auto& r : resources) t.add_paused_resources(r);
    memory.apply({tenant_journal_key("acme", 1001), t});
  };
  pause(true, {});
  EXPECT_THAT(until(now + 1h), IsEmpty());
  pause(false, {"jpm.job-types"});
  const auto others = until(now + 9min);
  ASSERT_GE(others.size(), 1u);
  EXPECT_GE(others[0].missed, 4);
  for (const auto& run : others) EXPECT_EQ(run.command.sync().resource(), "marketing.campaigns");
  pause(false, {});
  const auto runs = until(now);
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_GE(runs[0].missed, 5);
}

TEST_F(SchedulesTest, WhereThereIsNoRoomTheyWait) {
  tenant(1001, {every({"jpm.job-types"}, 10min)});
  take_over();
  free = 0;
  EXPECT_THAT(until(now + 1h), IsEmpty());
  free = 1 << 20;
  EXPECT_THAT(until(now), SizeIs(1));
}

TEST_F(SchedulesTest, E12_ATenantWhoseQueueIsFullGetsItsRunsWhenThereIsRoom) {
  for (const auto t : {1001, 1002}) tenant(t, {cron({"jpm.job-types", "marketing.campaigns"}, "*/10 * * * *")});
  done_at_once = false;
  take_over();
  std::vector<std::pair<std::string, v1::JobState>> queue;
  for (std::size_t i = 0; i < kWaitingOfTenant; ++i) {
    auto& [key, job] = queue.emplace_back();
    auto& c = *job.mutable_command();
    c.set_id(fmt::format("waits-{}", i));
    c.set_app("acme");
    c.set_tenant(1001);
    c.mutable_sync()->set_resource("crm.customers");
    job.set_phase(v1::JobState::waiting);
    key = job_journal_key("acme", 1001, c.id());
    memory.apply({key, job});
  }
  const auto first_due = now + 10min;
  const auto others = until(now + 1h);
  EXPECT_THAT(others, SizeIs(2));
  for (const auto& run : others) EXPECT_EQ(run.command.tenant(), 1002) << "a tenant whose queue is full is in nobody's way";
  EXPECT_EQ(lane->oldest_held(), first_due) << "what tells of the lag";
  EXPECT_EQ(state("jpm.job-types").job(), "");

  now = first_due + 50min;
  sync::end_job(queue[0].second, v1::JobState::completed, now);
  memory.apply({queue[0].first, queue[0].second});
  const auto one = until(now);
  ASSERT_THAT(one, SizeIs(1)) << "it waits itself: there is no room for the other";
  EXPECT_EQ(one[0].command.tenant(), 1001);
  EXPECT_EQ(one[0].missed, 5);
  EXPECT_THAT(*begin_run(one[0], "st.status", 0, now).messages[0].value, HasSubstr("stands for 5 more"));
  take_over();
  now = first_due + 50min;
  EXPECT_THAT(until(now), IsEmpty()) << "nor has another lane room";
  end_job(one[0]);
  EXPECT_THAT(until(now), SizeIs(1));
}

TEST_F(SchedulesTest, AFullStandsForAnIncrementalThatIsDueWithIt) {
  auto weekly = cron({"jpm.job-types"}, "30 2 * * *");
  weekly.mode = "full";
  weekly.priority = "backfill";
  tenant(1001, {cron({"jpm.*"}, "*/30 * * * *"), weekly});
  take_over();
  std::vector<std::string> seen;
  for (const auto& run : until(now + 4h))
    if (run.command.sync().resource() == "jpm.job-types" && run.command.sync().mode() == v1::full) {
      seen.push_back(core::format_utc(run.due).substr(11, 5));
      EXPECT_EQ(run.command.sync().priority(), v1::normal) << "nobody waits longer for it";
    }
  EXPECT_THAT(seen, ElementsAre("02:30"));
  EXPECT_EQ(memory.jobs().find(job_journal_key("acme", 1001, core::uuid5("x"))), nullptr);
}

TEST_F(SchedulesTest, ExportFeedsArePolledEveryFiveMinutesAtMost) {
  tenant(1001, {every({"jpm.jobs", "jpm.job-types"}, 1min), cron({"crm.customers"}, "* * * * *"),
                cron({"crm.bookings"}, "*/6 * * * *"), cron({"crm.bookings"}, "*/10 * * * *")});
  take_over();
  std::map<std::string, std::vector<core::WallTime>> begun;
  for (const auto& run : until(now + 2h)) begun[run.command.sync().resource()].push_back(run.due);
  EXPECT_EQ(begun["jpm.jobs"].size(), 24u);
  EXPECT_EQ(begun["jpm.job-types"].size(), 120u) << "a list";
  EXPECT_EQ(begun["crm.customers"].size(), 24u);
  for (const auto* feed : {"jpm.jobs", "crm.customers"})
    for (std::size_t i = 1; i < begun[feed].size(); ++i) EXPECT_GE(begun[feed][i] - begun[feed][i - 1], 5min) << feed;
  const auto shown = [&](const char* name) { return lane->streams().at(schedule_journal_key("acme", 1001, name)).rules[0].text; };
  EXPECT_EQ(shown("jpm.jobs"), "every 5m (not 1m)");
  EXPECT_EQ(shown("jpm.job-types"), "every 1m");
}

TEST_F(SchedulesTest, OneThatIsNewCountsFromThenOn) {
  tenant(1001, {cron({"jpm.job-types"}, "0 * * * *")});
  now = at("2026-05-04T00:30:00Z");
  take_over();
  EXPECT_EQ(state("jpm.job-types").last_due_ms(), now.time_since_epoch().count());
  now = at("2026-05-04T01:10:00Z");  // the lane moved, and nobody had it at 01:00
  take_over();
  EXPECT_THAT(until(now), SizeIs(1));
}

TEST_F(SchedulesTest, TenantsOfOtherPartitionsAreNotOurs) {
  config.kafka.partitions = 4;
  for (std::int64_t t = 1; t <= 100; ++t) tenant(t, {every({"jpm.job-types"}, 1h)});
  std::set<std::string> all;
  std::size_t count = 0;
  for (int p = 0; p < 4; ++p) {
    const Schedules lane_of(config, catalogue(), p);
    count += lane_of.streams().size();
    for (const auto& [key, stream] : lane_of.streams()) all.insert(key);
  }
  EXPECT_EQ(count, 100u);
  EXPECT_EQ(all.size(), 100u);
}

TEST_F(SchedulesTest, WhatTheCatalogueDoesNotHaveIsTold) {
  auto placed = every({"jpm.jbos", "pricebook.images", "crm.*"}, 1min);
  auto source = std::make_shared<config::Source>();
  source->name = "stsync.yaml";
  placed.place = {source, 7, 3};
  tenant(1001, {placed});
  config::Report report;
  check_schedules(config, catalogue(), report);
  ASSERT_THAT(report.errors(), SizeIs(2));
  EXPECT_EQ(report.errors()[0].text(), "stsync.yaml:7:3: schedules: 'jpm.jbos' is not a resource (did you mean 'jpm.jobs'?)");
  EXPECT_THAT(report.errors()[1].text(), HasSubstr("pricebook.images cannot be read in mode incremental: it needs ids"));
  ASSERT_THAT(report.warnings(), SizeIs(1));
  EXPECT_THAT(report.warnings()[0].message, HasSubstr("export feeds"));
}

}  // namespace
}  // namespace stsync::sync
