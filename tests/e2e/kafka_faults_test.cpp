// The delivery promise while the way to Kafka loses what the broker says.
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

TEST(KafkaFaults, AnswersLostAfterTheBrokerDidItLoseAndDoubleNothing) {
  Stage stage({.tenants = {1001, 1002, 1003}, .records = 100, .rate = 20, .export_page = 10, .kafka_proxy = true});
  auto& proxy = stage.kafka_proxy();
  const auto worker = stage.start_worker();
  std::map<KafkaRuleId, std::size_t> wanted;
  wanted[proxy.add(lose_some(KafkaApi::end_txn, 8, 6))] = 6;
  wanted[proxy.add(lose_some(KafkaApi::produce, 25, 4))] = 4;
  wanted[proxy.add(lose_some(KafkaApi::txn_offset_commit, 1, 3))] = 3;
  std::vector<std::unique_ptr<Process>> followers;
  for (const auto* tenant : {"1001", "1002", "1003"})
    followers.push_back(
        std::make_unique<Process>(stage.command({"sync", "--tenant", tenant, "--resource", kBulk, "--mode", "full", "--wait"})));
  for (const auto& f : followers) EXPECT_EQ(f->wait(240s), 0) << f->err();
  for (const auto& [rule, times] : wanted) EXPECT_EQ(proxy.count(rule).executed, times) << "the work ended before the faults did";
  const auto checked = check_records(stage.read(stage.record_topics()));
  EXPECT_TRUE(checked.problems.empty()) << checked.problems.size() << " problems, first: " << checked.problems.front();
  const auto differences = compare_with_truth(checked, stage.control(std::string("/__sim/truth?resource=") + kBulk));
  EXPECT_TRUE(differences.empty()) << differences.size() << " differences, first: " << differences.front();
  std::printf("records %zu, EndTxn %zu, Produce %zu, TxnOffsetCommit %zu, producers %zu\n", checked.records,
              proxy.requests(KafkaApi::end_txn), proxy.requests(KafkaApi::produce), proxy.requests(KafkaApi::txn_offset_commit),
              proxy.requests(KafkaApi::init_producer_id));
}

}  // namespace
}  // namespace stsync::test
