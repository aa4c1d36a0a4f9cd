// What the broker makes of a producer whose requests and answers go wrong on their way.
#include "stage/kafka_proxy.hpp"

#include <algorithm>
#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kafka/group_offsets.hpp"
#include "kafka/producer.hpp"
#include "kafka/reader.hpp"
#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using kafka::Outcome;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

constexpr const char* kTopic = "st.jpm.jobs";

/// For transactions without offsets.
class NoGroup final : public kafka::GroupOffsets {
 public:
  core::Result<std::optional<std::int64_t>> committed(std::int32_t, std::chrono::milliseconds) const override { return {}; }
  core::Result<std::pair<std::int64_t, std::int64_t>> watermarks(std::int32_t, std::chrono::milliseconds) const override {
    return std::pair<std::int64_t, std::int64_t>();
  }
  core::Result<void> seek(std::int32_t, std::int64_t) const override { return {}; }
  rd_kafka_error_s* send_offsets(rd_kafka_s*, const rd_kafka_topic_partition_list_s*, std::chrono::milliseconds) const override {
    return nullptr;
  }
};

struct KafkaProxied : ::testing::Test {
  KafkaProxied() : producer(make_producer(proxied())) {}

  /// As a client behind the proxy sees the cluster.
  kafka::Cluster proxied() const {
    auto cluster = stage.cluster();
    cluster.bootstrap_servers = proxy.address();
    return cluster;
  }
  /// One that has fenced its predecessor and aborted what that left open.
  std::unique_ptr<kafka::TransactionalProducer> make_producer(const kafka::Cluster& cluster) const {
    kafka::TransactionalOptions options;
    options.transactional_id = "group.0";
    options.commands_topic = "st.commands";
    options.transaction_timeout = 60s;
    auto out = kafka::make_transactional_producer(cluster, std::move(options)).value();
    const auto ready = out->init(60s);
    EXPECT_TRUE(ready) << ready.error().message();
    return out;
  }
  kafka::CommitReport commit(const std::vector<std::string>& keys) const {
    kafka::Batch batch;
    for (const auto& key : keys) batch.messages.push_back({kTopic, 0, key, "value of " + key});
    return producer->commit(batch, NoGroup());
  }
  std::future<kafka::CommitReport> begin_commit(const std::string& key) const {
    return std::async(std::launch::async, [this, key] { return commit({key}); });
  }
  /// What a read_committed reader sees that goes to the broker directly; it waits until no transaction is open.
  std::vector<std::string> visible() const {
    std::vector<std::string> out;
    const auto read = kafka::read_to_end(stage.cluster(), kTopic, 0, 30s, [&](const kafka::Message& m) { out.push_back(*m.key); });
    EXPECT_TRUE(read) << read.error().message();
    return out;
  }

  Stage stage{{.records = 1, .kafka_proxy = true}};
  KafkaProxy& proxy = stage.kafka_proxy();
  std::unique_ptr<kafka::TransactionalProducer> producer;
};

TEST_F(KafkaProxied, CommitsAsIfNothingWereInBetween) {
  EXPECT_EQ(commit({"a", "b"}).outcome, Outcome::committed);
  EXPECT_EQ(commit({"c"}).outcome, Outcome::committed);
  EXPECT_THAT(visible(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(proxy.requests(KafkaApi::end_txn), 2u);
  EXPECT_GE(proxy.requests(KafkaApi::produce), 2u);
  EXPECT_GE(proxy.connections(), 1u);
}

TEST_F(KafkaProxied, A5_ATransactionWhoseAnswerIsLostIsCommittedNevertheless) {
  const auto lost = proxy.add({.api = KafkaApi::end_txn, .fault = KafkaFault::lose_answer, .where = [](const KafkaRequest& r) {
                                 return r.transactional_id == "group.0";
                               }});
  // No second EndTxn arrives, so it was the first that did it.
  const auto repeated = proxy.add({.api = KafkaApi::end_txn, .fault = KafkaFault::cut_before, .times = kAlways});
  auto end = begin_commit("a");
  EXPECT_TRUE(proxy.wait_executed(lost, 30s));
  EXPECT_TRUE(proxy.wait_for(repeated, 30s)) << "the producer asks again";
  EXPECT_THAT(visible(), ElementsAre("a"));
  EXPECT_EQ(proxy.count(repeated).executed, 0u);
  proxy.remove(repeated);
  EXPECT_EQ(end.get().outcome, Outcome::doubt);
}

TEST_F(KafkaProxied, ATransactionWhoseEndIsCutOffBeforeIsNot) {
  const auto cut = proxy.add({.api = KafkaApi::end_txn, .fault = KafkaFault::cut_before, .times = kAlways});
  auto end = begin_commit("a");
  EXPECT_TRUE(proxy.wait_for(cut, 30s));
  const auto successor = make_producer(stage.cluster());
  EXPECT_THAT(visible(), IsEmpty());
  EXPECT_EQ(proxy.count(cut).executed, 0u);
  proxy.remove(cut);
  EXPECT_EQ(end.get().outcome, Outcome::fenced);
}

TEST_F(KafkaProxied, A5_ASwallowedAnswerLeavesTheProducerWaiting) {
  const auto swallowed = proxy.add({.api = KafkaApi::end_txn, .fault = KafkaFault::swallow_answer});
  auto end = begin_commit("a");
  EXPECT_TRUE(proxy.wait_executed(swallowed, 30s));
  EXPECT_THAT(visible(), ElementsAre("a"));
  EXPECT_EQ(end.wait_for(0s), std::future_status::timeout);
  EXPECT_EQ(proxy.requests(KafkaApi::end_txn), 1u) << "it still waits for the first";
  proxy.cut_all();
  EXPECT_EQ(end.get().outcome, Outcome::doubt);
  EXPECT_THAT(visible(), ElementsAre("a"));
}

TEST_F(KafkaProxied, ADuplicateOfProduceIsRecognized) {
  const auto twice = proxy.add({.api = KafkaApi::produce, .fault = KafkaFault::duplicate, .times = kAlways});
  EXPECT_EQ(commit({"a", "b"}).outcome, Outcome::committed);
  EXPECT_EQ(commit({"c"}).outcome, Outcome::committed);
  EXPECT_THAT(visible(), ElementsAre("a", "b", "c"));
  // Of a producer that does not number its batches it is not.
  auto cluster = proxied();
  cluster.properties["enable.idempotence"] = "false";
  const auto plain = kafka::make_producer(cluster).value();
  EXPECT_TRUE(plain->send({{kTopic, 0, "d", "v"}}, 30s));
  EXPECT_TRUE(proxy.wait_executed(twice, 30s, 2 * proxy.count(twice).fired));
  EXPECT_THAT(visible(), ElementsAre("a", "b", "c", "d", "d"));
}

TEST_F(KafkaProxied, A6_AnEndOfThePastCommitsTheNextTransactionOfTheSameEpoch) {
  // Why a commit that sent EndTxn twice is in doubt, although the broker has said yes.
  const auto past =
      proxy.add({.api = KafkaApi::end_txn, .fault = KafkaFault::delay_request, .delay = kUntilReleased, .cut_client = true});
  EXPECT_EQ(commit({"first"}).outcome, Outcome::doubt);
  EXPECT_THAT(visible(), ElementsAre("first"));
  EXPECT_EQ(proxy.count(past).executed, 0u) << "it was the second EndTxn that did it";
  const auto cut = proxy.add({.api = KafkaApi::end_txn, .fault = KafkaFault::cut_before, .times = kAlways});
  auto end = begin_commit("next");
  EXPECT_TRUE(proxy.wait_for(cut, 30s));
  proxy.release(past);
  EXPECT_TRUE(proxy.wait_executed(past, 30s));
  EXPECT_THAT(visible(), ElementsAre("first", "next"));
  EXPECT_EQ(proxy.count(cut).executed, 0u) << "its own end never arrived";
  proxy.remove(cut);
  EXPECT_EQ(end.get().outcome, Outcome::doubt);
}

TEST_F(KafkaProxied, A6_AnEndOfThePastDoesNothingToASuccessor) {
  const auto past =
      proxy.add({.api = KafkaApi::end_txn, .fault = KafkaFault::delay_request, .delay = kUntilReleased, .cut_client = true});
  EXPECT_EQ(commit({"first"}).outcome, Outcome::doubt);
  producer = make_producer(proxied());
  const auto cut = proxy.add({.api = KafkaApi::end_txn, .fault = KafkaFault::cut_before, .times = kAlways});
  auto end = begin_commit("next");
  EXPECT_TRUE(proxy.wait_for(cut, 30s));
  proxy.release(past);
  EXPECT_TRUE(proxy.wait_executed(past, 30s));
  const auto third = make_producer(stage.cluster());
  EXPECT_THAT(visible(), ElementsAre("first"));
  proxy.remove(cut);
  EXPECT_EQ(end.get().outcome, Outcome::fenced);
}

TEST_F(KafkaProxied, A2_ABrokerThatWasKilledIsReachedAgain) {
  EXPECT_EQ(commit({"before"}).outcome, Outcome::committed);
  stage.stop_broker();
  stage.start_broker();
  producer = make_producer(proxied());
  EXPECT_EQ(commit({"after"}).outcome, Outcome::committed);
  EXPECT_THAT(visible(), ElementsAre("before", "after"));
}

}  // namespace
}  // namespace stsync::test
