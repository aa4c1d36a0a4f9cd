#include "telemetry/metrics.hpp"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "telemetry/families.hpp"

namespace stsync::telemetry {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// One of everything.
void touch_all(Metrics& m) {
  m.api_call("acme", 1001, "jpm.jobs", 200, 0.2);
  m.permit("acme", "tenant", 1.5);
  m.refused("acme");
  m.token_fetch("acme", "ok");
  m.records("acme", "jpm.jobs", 500, 512'000);
  m.pages("acme", "jpm.jobs", 1);
  m.schema_change("acme", "jpm.jobs", "appeared", 2);
  m.commit("ok", 0.01);
  m.command("accepted");
  m.jobs({{"running", 2}});
  m.dead_letter("too_large");
  m.quota("acme", 60);
  m.lag(3, 7);
  m.lanes(4);
  m.rebalance();
  m.kafka_error("transport");
  m.webhook("acme", "stored");
  m.webhook_stored("acme", "tn.jpm.job-updated");
  m.webhook_duration(0.02);
  m.webhook_load(3, 5);
  m.webhook_refusal("slow");
  m.loop_lag(0.002);
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(Metrics, CountsCallsInThreeFamilies) {
  Metrics m(true);
  touch_all(m);
  m.api_call("acme", 1001, "jpm.jobs", 0, 30);
  m.api_call("acme", 1002, "crm.customers", 429, 0.1);
  const auto text = m.render();
  for (const auto* line :
       {"stsync_api_requests_total{app=\"acme\",code_class=\"2xx\"} 1",
        "stsync_api_requests_total{app=\"acme\",code_class=\"none\"} 1",
        "stsync_api_requests_total{app=\"acme\",code_class=\"4xx\"} 1",
        "stsync_tenant_api_requests_total{app=\"acme\",tenant=\"1001\"} 2",
        "stsync_resource_api_requests_total{app=\"acme\",resource=\"crm.customers\"} 1",
        "stsync_api_request_duration_seconds_count{app=\"acme\"} 3", "stsync_records_total{app=\"acme\",resource=\"jpm.jobs\"} 500",
        "stsync_record_bytes_total{app=\"acme\",resource=\"jpm.jobs\"} 512000", "stsync_command_lag{partition=\"3\"} 7",
        "stsync_build_info{version=\""})
    EXPECT_THAT(text, HasSubstr(line));
}

TEST(Metrics, KnownOutcomesAreThereFromTheStart) {
  const auto text = Metrics(true).render();
  EXPECT_THAT(text, HasSubstr("stsync_commits_total{outcome=\"doubt\"} 0"));
  EXPECT_THAT(text, HasSubstr("stsync_commands_total{outcome=\"rejected\"} 0"));
  EXPECT_THAT(text, HasSubstr("stsync_lanes 0"));
}

TEST(Metrics, ChangesOfFieldsAreCountedByDirection) {
  Metrics m(true);
  m.schema_change("acme", "jpm.jobs", "appeared", 2);
  m.schema_change("acme", "jpm.jobs", "vanished", 1);
  m.schema_change("acme", "jpm.jobs", "appeared", 1);
  const auto text = m.render();
  EXPECT_THAT(text, HasSubstr("stsync_schema_changes_total{app=\"acme\",change=\"appeared\",resource=\"jpm.jobs\"} 3"));
  EXPECT_THAT(text, HasSubstr("stsync_schema_changes_total{app=\"acme\",change=\"vanished\",resource=\"jpm.jobs\"} 1"));
}

TEST(Metrics, TenantsCanBeLeftOut) {
  Metrics m(false);
  touch_all(m);
  EXPECT_THAT(m.render(), HasSubstr("stsync_tenant_api_requests_total{app=\"acme\",tenant=\"\"} 1"));
  EXPECT_THAT(m.render(), Not(HasSubstr("1001")));
}

TEST(Metrics, StatesThatVanishBecomeZero) {
  Metrics m(true);
  m.jobs({{"running", 2}, {"waiting", 1}});
  m.jobs({{"waiting", 3}});
  EXPECT_THAT(m.render(), HasSubstr("stsync_jobs{state=\"running\"} 0"));
  EXPECT_THAT(m.render(), HasSubstr("stsync_jobs{state=\"waiting\"} 3"));
}

TEST(Metrics, ALostPartitionLeavesNoLag) {
  Metrics m(true);
  m.lag(1, 5);
  m.lag_remove(1);
  m.lag_remove(2);
  EXPECT_THAT(m.render(), Not(HasSubstr("partition=\"1\"")));
  m.lag(1, 6);
  EXPECT_THAT(m.render(), HasSubstr("stsync_command_lag{partition=\"1\"} 6"));
}

TEST(Metrics, LabelsFromOutsideAreCapped) {
  Metrics m(true);
  for (int i = 0; i < 5000; ++i) {
    m.api_call("acme", i, "r" + std::to_string(i), 200, 0.1);
    m.dead_letter("reason" + std::to_string(i));
  }
  const auto text = m.render();
  EXPECT_THAT(text, HasSubstr("stsync_tenant_api_requests_total{app=\"acme\",tenant=\"__other__\"} 3000"));
  EXPECT_THAT(text, HasSubstr("stsync_resource_api_requests_total{app=\"acme\",resource=\"__other__\"} 3000"));
  EXPECT_THAT(text, HasSubstr("stsync_dead_letters_total{reason=\"__other__\"} 4900"));
  EXPECT_LE(count(text, "stsync_tenant_api_requests_total{"), 2001u);
}

TEST(Metrics, EvenTheCapIsCapped) {
  Metrics m(true);
  for (int i = 0; i < 3000; ++i) m.refused("app" + std::to_string(i));
  for (int i = 0; i < 10'000; ++i) m.api_call("app" + std::to_string(i), 1, "r", 200, 0.1);
  const auto text = m.render();
  EXPECT_EQ(count(text, "stsync_api_throttled_total{"), 201u);
  EXPECT_LE(count(text, "stsync_tenant_api_requests_total{"), 4001u);
  EXPECT_THAT(text, HasSubstr("stsync_tenant_api_requests_total{app=\"__other__\",tenant=\"__other__\"}"));
}

TEST(Metrics, TenantAndResourceNeverMeet) {
  for (const auto& info : families()) {
    const std::set<std::string_view> labels(info.labels.begin(), info.labels.end());
    EXPECT_FALSE(labels.contains("tenant") && labels.contains("resource")) << info.name;
    EXPECT_TRUE(info.name.starts_with("stsync_"));
    EXPECT_EQ(info.name.ends_with("_total"), info.sort == Sort::counter) << info.name;
    EXPECT_EQ(info.buckets.empty(), info.sort != Sort::histogram) << info.name;
  }
}

TEST(Metrics, PromtoolFindsNothingToSay) {
  Metrics m(true);
  touch_all(m);
  auto* promtool = ::popen(STSYNC_PROMTOOL " check metrics 2>&1 >/dev/null", "w");
  ASSERT_NE(promtool, nullptr);
  const auto text = m.render();
  std::fwrite(text.data(), 1, text.size(), promtool);
  EXPECT_EQ(::pclose(promtool), 0);
}

TEST(Metrics, AConfiguredAppIsThereBeforeItsFirstCall) {
  Metrics m(true);
  m.quota("acme", 60);
  const auto text = m.render();
  for (const auto* line : {"stsync_quota_limit{app=\"acme\"} 60", "stsync_api_throttled_total{app=\"acme\"} 0",
                           "stsync_token_requests_total{app=\"acme\",outcome=\"refused\"} 0"})
    EXPECT_THAT(text, HasSubstr(line));
}

/// STSYNC_UPDATE=1 writes the page instead of comparing it.
TEST(Metrics, TheReferencePageIsUpToDate) {
  const auto* path = STSYNC_SOURCE_DIR "/docs/reference/metrics.md";
  if (std::getenv("STSYNC_UPDATE") != nullptr) std::ofstream(path, std::ios::binary) << Metrics::reference();
  std::ostringstream page;
  page << std::ifstream(path, std::ios::binary).rdbuf();
  EXPECT_EQ(page.str(), Metrics::reference()) << "run telemetry_test with STSYNC_UPDATE=1";
}

}  // namespace
}  // namespace stsync::telemetry
