// What happens to a row at the vendor, by webhook, ingress and worker, to its record.
#include <algorithm>
#include <csignal>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "codec/page.hpp"
#include "core/text.hpp"
#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;

/// What the simulator has told so far.
struct Told {
  std::map<std::string, std::string> counts;
  std::vector<std::map<std::string, std::string>> events;
};
Told told(const Stage& stage) {
  const auto state = stage.control("/__sim/webhooks");
  const auto members = codec::json_members(state).value();
  Told out;
  out.events = json_rows(std::string(members.at("events")));
  for (const auto& [name, raw] : members)
    if (name != "events") out.counts[name] = std::string(raw);
  return out;
}

bool wait_for(const std::function<bool()>& done, std::chrono::seconds limit = 60s) {
  for (const auto end = std::chrono::steady_clock::now() + limit; std::chrono::steady_clock::now() < end;)
    if (done()) return true;
  return done();
}

/// Milliseconds from each event to the first record of its row behind it; nothing when one of them has none.
std::optional<std::vector<double>> latencies(const Stage& stage, const Told& told) {
  std::map<std::string, std::set<std::int64_t>> records;  // times by id
  for (const auto& m : stage.read({"st.jpm.jobs"})) records[m.key->substr(m.key->find(':') + 1)].insert(m.timestamp_ms);
  std::vector<double> out;
  for (const auto& event : told.events) {
    const auto time = core::parse_int(event.at("time_ms")).value();
    const auto& of_row = records[event.at("id")];
    const auto first = of_row.lower_bound(time);
    if (first == of_row.end()) return std::nullopt;
    out.push_back(static_cast<double>(*first - time));
  }
  std::sort(out.begin(), out.end());
  return out;
}

struct WebhookChain : ::testing::Test {
  Stage stage{{.records = 20'000, .rate = 30, .export_page = 100}};
  std::unique_ptr<Process> worker = stage.start_worker();
  Stage::Ingress ingress = stage.start_webhook();

  /// About fifty events a second until so many were told, and all of them taken by the ingress.
  void tell(std::size_t events, const std::function<void()>& halfway = {}) {
    stage.send_webhooks_to(ingress, R"("duplicates":0.1,"retry_scale":50)");
    stage.control("/__sim/churn", R"({"per_second":25,"resource":"jpm.jobs","only_changes":true})");
    ASSERT_TRUE(wait_for([&] { return told(stage).events.size() >= events / 2; }));
    if (halfway) halfway();
    ASSERT_TRUE(wait_for([&] { return told(stage).events.size() >= events; }));
    stage.control("/__sim/churn", R"({"per_second":0})");
    ASSERT_TRUE(wait_for([&] { return told(stage).counts["accepted"] == told(stage).counts["told"]; }));
  }
  std::vector<double> wait_for_records() {
    const auto all = told(stage);
    std::optional<std::vector<double>> out;
    EXPECT_TRUE(wait_for([&] { return (out = latencies(stage, all)).has_value(); })) << "an event without a record behind it";
    return out.value_or(std::vector<double>{1e9});
  }
};

TEST_F(WebhookChain, AChangedRowIsOnItsTopicWithinSecondsAlsoWhileItsStreamIsReadInFull) {
  Process full(stage.command({"sync", "--resource", "jpm.jobs", "--mode", "full", "--wait"}));
  ASSERT_TRUE(full.wait_for_text("started", 60s)) << full.err();
  tell(150);
  EXPECT_FALSE(full.wait(0ms)) << "the full was over before the events were";
  const auto ms = wait_for_records();
  EXPECT_LT(ms[ms.size() * 95 / 100], 3000) << "95th percentile of " << ms.size();
  EXPECT_EQ(full.wait(120s), 0) << full.err();
}

TEST_F(WebhookChain, C1_WithWorkerAndIngressKilledInBetweenNothingIsLostAndEachSyncRunsOnce) {
  tell(150, [&] {
    worker->signal(SIGKILL);
    ingress.process->signal(SIGKILL);
    ingress = stage.start_webhook();
    stage.send_webhooks_to(ingress);
    worker = stage.start_worker();
  });
  wait_for_records();
  std::map<std::string, int> accepted;  // by command
  for (const auto& m : stage.read({"st.status"})) {
    const auto members = codec::json_members(*m.value).value();
    if (codec::json_text(members.at("type")) == "accepted") ++accepted[codec::json_text(members.at("job")).value()];
  }
  EXPECT_GT(accepted.size(), 10u);
  for (const auto& [command, times] : accepted) EXPECT_EQ(times, 1) << command;
}

}  // namespace
}  // namespace stsync::test
