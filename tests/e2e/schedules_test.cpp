// Syncs that begin by themselves, on a real broker.
#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.hpp"
#include "kafka/producer.hpp"
#include "stage/stage.hpp"
#include "stsync/v1/journal.pb.h"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr const char* kSome[] = {"jpm.jobs", "marketing.campaigns"};
constexpr auto kDay = std::chrono::days(1);

core::WallTime now() { return std::chrono::time_point_cast<core::WallTime::duration>(std::chrono::system_clock::now()); }

/// As a lane would have left it: the last run was due then.
void set_last_due(const Stage& stage, const std::string& resource, core::WallTime due) {
  v1::ScheduleState state;
  state.set_last_due_ms(due.time_since_epoch().count());
  const auto producer = kafka::make_producer(stage.cluster()).value();
  ASSERT_TRUE(producer->send({{"st.journal", 0, "schedule/acme/1001/" + resource, state.SerializeAsString()}}, 10s));
}

/// How many statuses hold all of these texts.
std::size_t told(const Stage& stage, std::initializer_list<std::string> texts) {
  const auto statuses = stage.read({"st.status"});
  return static_cast<std::size_t>(std::count_if(statuses.begin(), statuses.end(), [&](const auto& m) {
    return std::all_of(texts.begin(), texts.end(), [&](const auto& t) { return m.value->find(t) != std::string::npos; });
  }));
}

bool comes(const std::function<bool()>& what, std::chrono::seconds limit) {
  for (const auto end = std::chrono::steady_clock::now() + limit; std::chrono::steady_clock::now() < end;)
    if (what()) return true;
  return false;
}

TEST(Schedules, WhatWasMissedRunsOnceAlsoWhereTheWorkerIsKilledMeanwhile) {
  Stage stage({.records = 300,
               .rate = 15,
               .export_page = 20,
               .partitions = 1,
               .sets = {"apps.0.tenants.0.schedules=[{resources: [jpm.jobs, marketing.campaigns], every: 1d, jitter: 0s}]"}});
  const auto unknown = stage.stsync({"schedules", "list"});
  EXPECT_EQ(unknown.code, 0) << unknown.err;
  EXPECT_THAT(unknown.err, HasSubstr("no worker has seen these schedules yet"));
  const auto today = std::chrono::floor<std::chrono::days>(now());
  for (const auto* resource : kSome) set_last_due(stage, resource, today - 3 * kDay);
  const auto due = fmt::format("scheduled, due at {}, stands for 2 more", core::format_utc(today));

  auto worker = stage.start_worker();
  ASSERT_TRUE(comes([&] { return told(stage, {due}) == 2; }, 60s)) << worker->err();
  ASSERT_TRUE(comes([&] { return told(stage, {R"("progress")", "jpm.jobs"}) > 0; }, 60s)) << worker->err();
  worker->signal(SIGKILL);
  worker->wait(10s);
  worker = stage.start_worker();
  ASSERT_TRUE(
      comes([&] { return told(stage, {R"("completed")", "jpm.jobs"}) + told(stage, {R"("completed")", "campaigns"}) == 2; }, 120s))
      << worker->err();
  EXPECT_EQ(told(stage, {due}), 2u) << "asked for once each";
  const auto checked = check_records(stage.read({"st.jpm.jobs", "st.marketing.campaigns"}));
  EXPECT_TRUE(checked.problems.empty()) << checked.problems.front();
  EXPECT_TRUE(compare_with_truth(checked, stage.control("/__sim/truth?resource=jpm.jobs,marketing.campaigns")).empty());

  const auto list = stage.stsync({"schedules", "list", "--output", "json"});
  EXPECT_EQ(list.code, 0) << list.err;
  const auto line = [&](const char* resource) {
    return fmt::format(R"(\{{"app":"acme","tenant":1001,"resource":"{}","schedules":\["[^"]+"\],"next":"{}","last":"{}",)"
                       R"("job":"[^"]+","result":"completed","finished":"20[^"]+","missed":2,"lag_seconds":0\}})",
                       resource, core::format_utc(today + kDay), core::format_utc(today));
  };
  EXPECT_THAT(list.out, MatchesRegex(fmt::format("\\[{},{}\\]\n", line(kSome[0]), line(kSome[1]))));
  EXPECT_EQ(stage.stsync({"schedules", "list", "--resource", "jpm.appointments"}).code, 3);
  // As of the first look at the streams, ten seconds after the lane began.
  EXPECT_TRUE(comes(
      [&] { return metrics_of(*worker).find(R"(stsync_freshness_seconds{app="acme",resource="jpm.jobs"})") != std::string::npos; },
      30s))
      << metrics_of(*worker);
}

}  // namespace
}  // namespace stsync::test
