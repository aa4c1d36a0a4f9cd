// kill -9 at each step of a command's life: the way to Kafka, or the vendor, holds the worker there.
#include <csignal>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;

/// Each step reads a resource of its own, so that what there is can be compared with what there should be.
struct KillSteps : ::testing::Test {
  static constexpr std::size_t kRecords = 60;

  /// A worker that has used nothing yet, and so has no transaction of its own to make.
  void start_fresh() { worker = stage.start_worker(); }

  void begin(const std::string& id, const std::string& resource) {
    job = id;
    follower = std::make_unique<Process>(stage.command({"sync", "--resource", resource, "--mode", "full", "--id", id, "--wait"}));
    resources += (resources.empty() ? "" : ",") + resource;
  }
  /// The first page of the job comes a little later: time to lay something in its way.
  void begin_slowly(const std::string& id, const std::string& resource) {
    fault(R"({"delay_ms":1500,"path_contains":"/tenant/"})");
    begin(id, resource);
    ASSERT_TRUE(follower->wait_for_text("started", 60s)) << follower->err();
  }
  void fault(const std::string& json) const { stage.control("/__sim/faults", json); }
  /// Until the simulator has a call that meets the fault.
  void wait_for_call() {
    while (stage.control("/__sim/faults").find("\"count\"") != std::string::npos) ASSERT_FALSE(worker->wait(20ms)) << worker->err();
  }
  KafkaRuleId hold(KafkaApi api) { return add(api, KafkaFault::delay_request); }
  KafkaRuleId add(KafkaApi api, KafkaFault kind) {
    return proxy.add({.api = api, .fault = kind, .delay = kUntilReleased, .where = [](const KafkaRequest& r) {
                        return r.transactional_id == "stsync.0";
                      }});
  }

  void kill() {
    worker->signal(SIGKILL);
    EXPECT_EQ(worker->wait(10s), 128 + SIGKILL);
    proxy.cut_all();
  }
  /// What is told of the job. Not while a transaction is open: readers wait for its end.
  std::vector<std::string> told() const {
    std::vector<std::string> out;
    for (const auto& m : stage.read({"st.status"})) {
      const auto row = json_rows("[" + m.value.value_or("{}") + "]").front();
      if (row.contains("job") && row.at("job") == job) out.push_back(row.at("type"));
    }
    return out;
  }
  std::size_t records_of(const std::string& resource) const { return stage.read({"st." + resource}).size(); }

  /// The next life does what is left, and dies as well.
  void finish() {
    stage.control("/__sim/faults", R"({"clear":true})");
    worker = stage.start_worker({}, false);
    EXPECT_TRUE(worker->wait_for_text("lane_ready", 6s + 15s)) << "within the session and a little: " << worker->err();
    EXPECT_EQ(follower->wait(120s), 0) << follower->err() << worker->err();
    kill();
  }

  /// Of the job's first call, which meets the fault, when the worker is killed in it.
  void expect_nothing_of_a_call(const std::string& id, const std::string& resource, const std::string& met) {
    start_fresh();
    fault(met);
    begin(id, resource);
    wait_for_call();
    kill();
    EXPECT_THAT(told(), Contains("started"));
    EXPECT_EQ(records_of(resource), 0U);
    finish();
  }
  void expect_everything_once() const {
    const auto checked = check_records(stage.read(stage.record_topics()));
    EXPECT_TRUE(checked.problems.empty()) << checked.problems.front();
    const auto differences = compare_with_truth(checked, stage.control("/__sim/truth?resource=" + resources));
    EXPECT_TRUE(differences.empty()) << differences.front();
    for (const auto& row : json_rows(stage.control("/__sim/fetches")))
      EXPECT_LE(std::stoll(row.at("requests")) - std::stoll(row.at("distinct")), 2) << row.at("resource");
  }

  Stage stage{{.records = kRecords, .rate = 20, .export_page = 20, .partitions = 1, .kafka_proxy = true}};
  KafkaProxy& proxy = stage.kafka_proxy();
  std::unique_ptr<Process> worker, follower;
  std::string job, resources;
};

TEST_F(KillSteps, C1_to_C4_BeforeThereIsAPage) {
  start_fresh();
  const auto accepting = hold(KafkaApi::add_partitions_to_txn);
  begin("c1-after-poll", "jpm.jobs");
  ASSERT_TRUE(proxy.wait_for(accepting, 60s));
  kill();
  proxy.remove(accepting);
  EXPECT_THAT(told(), IsEmpty()) << "the command is read and not accepted";
  finish();

  start_fresh();
  const auto accepted = add(KafkaApi::end_txn, KafkaFault::swallow_answer);
  begin("c2-after-accept", "jpm.appointments");
  ASSERT_TRUE(proxy.wait_executed(accepted, 60s));
  kill();
  EXPECT_THAT(told(), Contains("accepted")) << "it is accepted, which nobody has heard";
  EXPECT_THAT(told(), Not(Contains("completed")));
  finish();

  expect_nothing_of_a_call("c3-after-token", "crm.customers", R"({"delay_ms":600000,"path_contains":"/tenant/"})");
  expect_nothing_of_a_call("c4-mid-body", "crm.locations", R"({"drip_ms":20,"path_contains":"/tenant/"})");
  expect_everything_once();
}

TEST_F(KillSteps, C5_to_C8_WithAPageInHand) {
  start_fresh();
  begin_slowly("c6-after-begin", "jpm.jobs");
  const auto begun = hold(KafkaApi::add_partitions_to_txn);
  ASSERT_TRUE(proxy.wait_for(begun, 60s));
  kill();
  EXPECT_EQ(proxy.count(begun).executed, 0U) << "the broker has not heard of it";
  proxy.remove(begun);
  finish();

  start_fresh();
  begin_slowly("c5-c7-before-commit", "jpm.appointments");
  const auto before = proxy.requests(KafkaApi::produce);
  const auto produced = hold(KafkaApi::end_txn);
  ASSERT_TRUE(proxy.wait_for(produced, 60s));
  EXPECT_GT(proxy.requests(KafkaApi::produce), before);
  // The page behind it is fetched and cut meanwhile, and waits for its turn.
  while (stage.calls().all_answered() < 5) ASSERT_FALSE(worker->wait(20ms)) << worker->err();
  kill();
  EXPECT_EQ(proxy.count(produced).executed, 0U) << "produced and not committed";
  proxy.remove(produced);
  finish();

  start_fresh();
  begin_slowly("c8-after-commit", "crm.customers");
  const auto committed = add(KafkaApi::end_txn, KafkaFault::swallow_answer);
  ASSERT_TRUE(proxy.wait_executed(committed, 60s));
  kill();
  const auto published = records_of("crm.customers");
  EXPECT_GT(published, 0U) << "committed, which nobody has heard";
  EXPECT_LT(published, kRecords);
  finish();

  expect_everything_once();
}

TEST_F(KillSteps, C9_WhileALaneIsRestored) {
  start_fresh();
  begin_slowly("c9", "jpm.jobs");
  kill();
  const auto initialising = hold(KafkaApi::init_producer_id);
  worker = stage.start_worker({}, false);
  ASSERT_TRUE(proxy.wait_for(initialising, 60s));
  kill();
  proxy.remove(initialising);

  // The producer is ready, what it reads of the journal does not arrive: the second one who reads is the lane.
  const auto initialised = add(KafkaApi::init_producer_id, KafkaFault::delay_answer);
  worker = stage.start_worker({}, false);
  ASSERT_TRUE(proxy.wait_executed(initialised, 60s));
  const auto reading =
      proxy.add({.api = KafkaApi::fetch, .fault = KafkaFault::delay_answer, .times = kAlways, .delay = kUntilReleased});
  proxy.release(initialised);
  ASSERT_TRUE(proxy.wait_for(reading, 60s, 2));
  EXPECT_EQ(worker->err().find("lane_ready"), std::string::npos);
  kill();
  proxy.remove(reading);

  finish();
  expect_everything_once();
}

}  // namespace
}  // namespace stsync::test
