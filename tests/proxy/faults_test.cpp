// Which request meets which rule, and how often.
#include "stage/kafka_faults.hpp"

#include <gtest/gtest.h>

namespace stsync::test {
namespace {

KafkaRequest request(KafkaApi api, std::string client = "me", std::string transactional_id = {}) {
  return {api, 1, 1, std::move(client), std::move(transactional_id)};
}

TEST(KafkaFaults, MeetSoManyRequestsOfTheirKind) {
  KafkaFaults faults;
  const auto rule = faults.add({.api = KafkaApi::end_txn, .times = 2});
  EXPECT_FALSE(faults.decide(request(KafkaApi::produce)));
  EXPECT_EQ(faults.decide(request(KafkaApi::end_txn)), rule);
  EXPECT_EQ(faults.decide(request(KafkaApi::end_txn)), rule);
  EXPECT_FALSE(faults.decide(request(KafkaApi::end_txn)));
  faults.executed(rule);
  EXPECT_EQ(faults.count(rule).fired, 2u);
  EXPECT_EQ(faults.count(rule).executed, 1u);
  EXPECT_EQ(faults.requests(KafkaApi::end_txn), 3u);
  EXPECT_EQ(faults.requests(KafkaApi::produce), 1u);
  EXPECT_EQ(faults.requests(KafkaApi::fetch), 0u);
}

TEST(KafkaFaults, GoInTheOrderTheyWereAdded) {
  KafkaFaults faults;
  const auto first = faults.add({.api = KafkaApi::produce});
  const auto any = faults.add({.times = kAlways});
  EXPECT_EQ(faults.decide(request(KafkaApi::produce)), first);
  EXPECT_EQ(faults.decide(request(KafkaApi::produce)), any);
  EXPECT_EQ(faults.decide(request(static_cast<KafkaApi>(999))), any);
  faults.remove(any);
  EXPECT_FALSE(faults.decide(request(KafkaApi::produce)));
  EXPECT_EQ(faults.count(any).fired, 2u) << "the counts stay";
}

TEST(KafkaFaults, ChooseByClientOrTransaction) {
  KafkaFaults faults;
  const auto one = faults.add({.times = kAlways, .where = [](const KafkaRequest& r) { return r.client_id == "other"; }});
  const auto two = faults.add({.times = kAlways, .where = [](const KafkaRequest& r) { return r.transactional_id == "group.2"; }});
  EXPECT_FALSE(faults.decide(request(KafkaApi::produce, "me", "group.1")));
  EXPECT_EQ(faults.decide(request(KafkaApi::produce, "other")), one);
  EXPECT_EQ(faults.decide(request(KafkaApi::produce, "me", "group.2")), two);
}

}  // namespace
}  // namespace stsync::test
