// The delivery promise while the way to Kafka loses what the broker says, and brokers and workers come and go.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <map>

#include <gtest/gtest.h>

#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;

/// From one in `every` requests of a kind the answer is lost, `times` times.
KafkaRule lose_some(KafkaApi api, std::size_t every, std::size_t times) {
  return {.api = api,
          .fault = KafkaFault::lose_answer,
          .times = times,
          .where = [every, n = std::size_t{0}](const KafkaRequest&) mutable { return ++n % every == 0; }};
}

/// Everything of every tenant, followed to its end.
struct Load {
  explicit Load(const Stage& on, const std::vector<std::int64_t>& tenants, const std::string& of = kBulk)
      : stage(on), resources(of) {
    for (const auto tenant : tenants)
      followers.push_back(std::make_unique<Process>(
          stage.command({"sync", "--tenant", std::to_string(tenant), "--resource", resources, "--mode", "full", "--wait"})));
  }
  /// So many pages of the first tenant were committed.
  bool wait_for_progress(std::size_t times) const { return followers.front()->wait_for_text("progress", 120s, times); }
  void expect_everything_once() const {
    for (const auto& f : followers) EXPECT_EQ(f->wait(240s), 0) << f->err();
    const auto checked = check_records(stage.read(stage.record_topics()));
    EXPECT_TRUE(checked.problems.empty()) << checked.problems.size() << " problems, first: " << checked.problems.front();
    const auto differences = compare_with_truth(checked, stage.control("/__sim/truth?resource=" + resources));
    EXPECT_TRUE(differences.empty()) << differences.size() << " differences, first: " << differences.front();
  }
  /// Pages that were asked for more than once, of the stream with the most.
  std::int64_t refetched_of_one() const {
    std::int64_t out = 0;
    for (const auto& row : json_rows(stage.control("/__sim/fetches")))
      out = std::max<std::int64_t>(out, std::stoll(row.at("requests")) - std::stoll(row.at("distinct")));
    return out;
  }

  const Stage& stage;
  std::string resources;
  std::vector<std::unique_ptr<Process>> followers;
};

TEST(KafkaFaults, A5_AnswersLostAfterTheBrokerDidItLoseAndDoubleNothing) {
  Stage stage({.tenants = {1001, 1002, 1003}, .records = 100, .rate = 20, .export_page = 10, .kafka_proxy = true});
  auto& proxy = stage.kafka_proxy();
  const auto worker = stage.start_worker();
  std::map<KafkaRuleId, std::size_t> wanted;
  wanted[proxy.add(lose_some(KafkaApi::end_txn, 8, 6))] = 6;
  wanted[proxy.add(lose_some(KafkaApi::produce, 25, 4))] = 4;
  wanted[proxy.add(lose_some(KafkaApi::txn_offset_commit, 1, 3))] = 3;
  Load load(stage, {1001, 1002, 1003});
  load.expect_everything_once();
  for (const auto& [rule, times] : wanted) EXPECT_EQ(proxy.count(rule).executed, times) << "the work ended before the faults did";
  std::printf("EndTxn %zu, Produce %zu, TxnOffsetCommit %zu, producers %zu\n", proxy.requests(KafkaApi::end_txn),
              proxy.requests(KafkaApi::produce), proxy.requests(KafkaApi::txn_offset_commit),
              proxy.requests(KafkaApi::init_producer_id));
}

TEST(KafkaFaults, A2_ABrokerThatIsKilledFiveTimesLosesAndDoublesNothing) {
  Stage stage({.records = 300, .rate = 12, .export_page = 20});
  const auto worker = stage.start_worker();
  Load load(stage, {1001});
  for (std::size_t i = 1; i <= 5; ++i) {
    ASSERT_TRUE(load.wait_for_progress(10 * i)) << load.followers.front()->err() << worker->err();
    stage.stop_broker();
    stage.start_broker();
  }
  load.expect_everything_once();
  EXPECT_LE(load.refetched_of_one(), 5 * 2);
  EXPECT_FALSE(worker->wait(0ms)) << "it was never started again";
}

TEST(KafkaFaults, A4_OffsetsThatNobodyTakesHoldUpTheirTransactionOnly) {
  Stage stage({.records = 100, .rate = 20, .export_page = 10, .kafka_proxy = true});
  auto& proxy = stage.kafka_proxy();
  const auto worker = stage.start_worker();
  const auto away = proxy.add({.api = KafkaApi::txn_offset_commit, .fault = KafkaFault::cut_before, .times = kAlways});
  Load load(stage, {1001});
  EXPECT_TRUE(proxy.wait_for(away, 60s, 5)) << worker->err();
  proxy.remove(away);
  load.expect_everything_once();
}

TEST(KafkaFaults, A8_AWorkerThatWakesUpAfterItsSessionPublishesNothingMore) {
  Stage stage({.tenants = {1001, 1002, 1003}, .records = 200, .rate = 12, .export_page = 20});
  const auto sleeper = stage.start_worker();
  Load load(stage, {1001, 1002, 1003});
  ASSERT_TRUE(load.wait_for_progress(5)) << sleeper->err();
  sleeper->signal(SIGSTOP);
  const auto heir = stage.start_worker();  // all of them are its own once the session of the other is over
  ASSERT_TRUE(load.wait_for_progress(10)) << heir->err();
  sleeper->signal(SIGCONT);
  EXPECT_TRUE(sleeper->wait_for_text("partitions lost", 30s)) << sleeper->err();
  load.expect_everything_once();
  EXPECT_LE(load.refetched_of_one(), 2 * 2) << "one takeover, and one more rebalance when it came back";
}

TEST(KafkaFaults, A9_FromOneWorkerToSixAndBackTheWorkGoesOn) {
  std::vector<std::int64_t> tenants;
  for (std::int64_t t = 1001; t <= 1012; ++t) tenants.push_back(t);
  Stage stage({.tenants = tenants, .records = 150, .rate = 4, .export_page = 10, .partitions = 6});
  const auto first = stage.start_worker();
  Load load(stage, tenants);
  ASSERT_TRUE(load.wait_for_progress(5)) << first->err();
  std::vector<std::unique_ptr<Process>> others;
  for (int i = 0; i < 5; ++i) others.push_back(stage.start_worker({}, true, 1));
  std::size_t rebalances = 5;
  for (auto& other : others) {
    other->signal(SIGTERM);
    EXPECT_EQ(other->wait(30s), 0) << other->err();
    ++rebalances;
  }
  for (int i = 0; i < 5; ++i, rebalances += 2) {  // a storm: nobody stays
    const auto guest = stage.start_worker({}, true, 1);
    guest->signal(SIGTERM);
    EXPECT_EQ(guest->wait(30s), 0) << guest->err();
  }
  load.expect_everything_once();
  EXPECT_LE(load.refetched_of_one(), 2 * static_cast<std::int64_t>(rebalances));
}

TEST(KafkaFaults, A12_ASlowBrokerSlowsTheReadingDownAndFailsNothing) {
  Stage stage({.records = 40, .rate = 60, .export_page = 20, .kafka_proxy = true});
  auto& proxy = stage.kafka_proxy();
  const auto worker = stage.start_worker();
  const auto producers = proxy.requests(KafkaApi::init_producer_id);
  const auto slow = proxy.add({.api = KafkaApi::produce, .fault = KafkaFault::delay_answer, .times = kAlways, .delay = 5s});
  Load load(stage, {1001}, "jpm.jobs");
  load.expect_everything_once();
  EXPECT_GE(proxy.count(slow).fired, 4u);
  EXPECT_EQ(proxy.requests(KafkaApi::init_producer_id), producers) << "no transaction was given up: " << worker->err();
}

TEST(KafkaFaults, A18_WhatAKilledWorkerLeftOpenIsEndedBeforeItsJournalIsRead) {
  Stage stage({.records = 200, .rate = 20, .export_page = 10, .kafka_proxy = true});
  auto& proxy = stage.kafka_proxy();
  auto worker = stage.start_worker();
  Load load(stage, {1001});
  ASSERT_TRUE(load.wait_for_progress(5)) << worker->err();
  const auto held =
      proxy.add({.api = KafkaApi::end_txn, .fault = KafkaFault::delay_request, .delay = kUntilReleased, .cut_client = false});
  ASSERT_TRUE(proxy.wait_for(held, 30s));
  worker->signal(SIGKILL);
  worker->wait(10s);
  worker = stage.start_worker();
  proxy.release(held);  // too late: it is fenced
  load.expect_everything_once();
  EXPECT_LE(load.refetched_of_one(), 2);
}

}  // namespace
}  // namespace stsync::test
