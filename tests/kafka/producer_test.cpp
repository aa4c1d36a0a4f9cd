// What a transaction's end is called: only a clear yes is a commit, only a clear no is an abort.
#include "kafka/producer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker.hpp"
#include "kafka/group_offsets.hpp"
#include "kafka/reader.hpp"

namespace stsync::kafka {
namespace {

using core::ErrorKind;
using test::Broker;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

/// A member of the group as far as a transaction needs one.
class Member final : public GroupOffsets {
 public:
  core::Result<std::optional<std::int64_t>> committed(std::int32_t, std::chrono::milliseconds) const override { return {}; }
  core::Result<std::pair<std::int64_t, std::int64_t>> watermarks(std::int32_t, std::chrono::milliseconds) const override {
    return std::pair<std::int64_t, std::int64_t>();
  }
  core::Result<void> seek(std::int32_t, std::int64_t) const override { return {}; }
  rd_kafka_error_s* send_offsets(rd_kafka_s* producer, const rd_kafka_topic_partition_list_s* offsets,
                                 std::chrono::milliseconds timeout) const override {
    sent.emplace_back(offsets->elems[0].topic, offsets->elems[0].partition, offsets->elems[0].offset);
    auto* metadata = rd_kafka_consumer_group_metadata_new("group");
    auto* error = rd_kafka_send_offsets_to_transaction(producer, offsets, metadata, static_cast<int>(timeout.count()));
    rd_kafka_consumer_group_metadata_destroy(metadata);
    return error;
  }
  mutable std::vector<std::tuple<std::string, std::int32_t, std::int64_t>> sent;
};

struct Transactions : ::testing::Test {
  Transactions() {
    broker.create("st.commands", 3);
    broker.create("records", 3);
    producer = make();
    const auto ready = producer->init(30s);
    EXPECT_TRUE(ready) << ready.error().message();
  }
  std::unique_ptr<TransactionalProducer> make() {
    TransactionalOptions options;
    options.transactional_id = "group.2";
    options.commands_topic = "st.commands";
    options.partition = 2;
    return std::move(make_transactional_producer(broker.cluster(), std::move(options)).value());
  }
  static Batch batch(std::vector<std::string> keys, std::int64_t offset = -1) {
    Batch b;
    for (auto& key : keys) b.messages.push_back({"records", kAnyPartition, key, "value of " + key});
    b.offset = offset;
    return b;
  }
  std::vector<std::string> keys() {
    std::vector<std::string> out;
    for (int p = 0; p < 3; ++p) {
      const auto read = read_to_end(broker.cluster(), "records", p, 30s, [&](const Message& m) { out.push_back(*m.key); });
      EXPECT_TRUE(read) << read.error().message();
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  Broker broker;
  std::unique_ptr<TransactionalProducer> producer;
  Member member;
};

TEST_F(Transactions, CarryTheirMessagesAndTheOffset) {
  const auto report = producer->commit(batch({"a", "b"}, 42), member);
  EXPECT_EQ(report.outcome, Outcome::committed) << report.error.message();
  EXPECT_THAT(keys(), ElementsAre("a", "b"));
  EXPECT_THAT(member.sent, ElementsAre(std::tuple("st.commands", 2, 42)));
}

TEST_F(Transactions, WithoutAnOffsetAskTheGroupNothing) {
  EXPECT_EQ(producer->commit(batch({"a"}), member).outcome, Outcome::committed);
  EXPECT_THAT(member.sent, IsEmpty());
}

TEST_F(Transactions, WithNothingButAnOffsetAreCommitted) {
  const auto report = producer->commit(batch({}, 7), member);
  EXPECT_EQ(report.outcome, Outcome::committed) << report.error.message();
}

TEST_F(Transactions, A3_WhoseEndHadToBeSentTwiceAreInDoubt) {
  // The first copy may still be under way and would end the next transaction.
  for (const auto error : {RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS}) {
    producer = make();
    ASSERT_TRUE(producer->init(30s));
    broker.refuse(Broker::end_txn, {error});
    const auto report = producer->commit(batch({"a"}, 1), member);
    EXPECT_EQ(report.outcome, Outcome::doubt) << rd_kafka_err2name(error);
    EXPECT_EQ(report.error.kind(), ErrorKind::doubt) << report.error.message();
    EXPECT_THAT(report.error.message(), HasSubstr("EndTxn was sent 2 times"));
  }
}

TEST_F(Transactions, A3_WhoseAbortHadToBeSentTwiceAreInDoubt) {
  // The first copy may still be under way and would abort what the producer has written of the next transaction.
  for (const auto error : {RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS}) {
    producer = make();
    ASSERT_TRUE(producer->init(30s));
    broker.refuse(Broker::txn_offset_commit, {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED});
    broker.refuse(Broker::end_txn, {error});
    const auto report = producer->commit(batch({"a"}, 1), member);
    EXPECT_EQ(report.outcome, Outcome::doubt) << rd_kafka_err2name(error) << " " << report.error.message();
  }
}

TEST_F(Transactions, A7_FencedAtTheirEndAreFenced) {
  for (const auto error : {RD_KAFKA_RESP_ERR_PRODUCER_FENCED, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH}) {
    producer = make();
    ASSERT_TRUE(producer->init(30s));
    broker.refuse(Broker::end_txn, {error});
    const auto report = producer->commit(batch({"a"}, 1), member);
    EXPECT_EQ(report.outcome, Outcome::fenced) << rd_kafka_err2name(error) << " " << report.error.message();
    EXPECT_EQ(report.error.kind(), ErrorKind::fenced);
  }
}

TEST_F(Transactions, A10_OfAMemberThatLostThePartitionAreFenced) {
  for (const auto error :
       {RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID}) {
    producer = make();
    ASSERT_TRUE(producer->init(30s));
    broker.refuse(Broker::txn_offset_commit, {error});
    const auto report = producer->commit(batch({"a"}, 1), member);
    EXPECT_EQ(report.outcome, Outcome::fenced) << rd_kafka_err2name(error) << " " << report.error.message();
  }
}

TEST_F(Transactions, A11_WhoseSequenceTheBrokerDoesNotKnowAreNotCommittedAndASuccessorGoesOn) {
  for (const auto error : {RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID}) {
    const std::string name = rd_kafka_err2name(error);
    broker.refuse(Broker::produce, {error});
    const auto report = producer->commit(batch({name + " refused"}), member);
    EXPECT_NE(report.outcome, Outcome::committed) << name;
    EXPECT_NE(report.outcome, Outcome::fenced) << name << " " << report.error.message();
    producer = make();
    ASSERT_TRUE(producer->init(30s));
    EXPECT_EQ(producer->commit(batch({name}), member).outcome, Outcome::committed);
  }
  EXPECT_THAT(keys(), ElementsAre("OUT_OF_ORDER_SEQUENCE_NUMBER", "UNKNOWN_PRODUCER_ID"));
}

TEST_F(Transactions, WhoseOffsetIsRefusedAreAbortedAndTheNextOneWorks) {
  broker.refuse(Broker::txn_offset_commit, {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED});
  const auto report = producer->commit(batch({"refused"}, 1), member);
  EXPECT_EQ(report.outcome, Outcome::aborted) << report.error.message();
  EXPECT_EQ(report.error.kind(), ErrorKind::forbidden);
  const auto next = producer->commit(batch({"next"}, 2), member);
  EXPECT_EQ(next.outcome, Outcome::committed) << next.error.message();
}

TEST_F(Transactions, A3_RepeatTheOffsetWhileTheCoordinatorLoads) {
  broker.refuse(Broker::txn_offset_commit,
                {RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE});
  const auto report = producer->commit(batch({"a"}, 1), member);
  EXPECT_EQ(report.outcome, Outcome::committed) << report.error.message();
}

TEST_F(Transactions, WithARefusedMessageAreAbortedSayWhyAndTheNextOneWorks) {
  const std::vector<std::tuple<const char*, rd_kafka_resp_err_t, ErrorKind>> cases{
      {"a", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, ErrorKind::forbidden},
      {"b", RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, ErrorKind::too_large},
      {"c", RD_KAFKA_RESP_ERR_INVALID_RECORD, ErrorKind::broker},
  };
  for (const auto& [topic, error, kind] : cases) {
    broker.create(topic);
    broker.refuse(Broker::produce, {error});
    Batch refused;
    refused.messages = {{topic, 0, "refused", "v"}};
    const auto report = producer->commit(refused, member);
    EXPECT_EQ(report.outcome, Outcome::aborted) << topic << " " << report.error.message();
    EXPECT_EQ(report.error.kind(), kind) << report.error.message();
    EXPECT_THAT(report.error.message(), HasSubstr(rd_kafka_err2name(error)));
    const auto next = producer->commit(batch({topic}, 2), member);
    EXPECT_EQ(next.outcome, Outcome::committed) << next.error.message();
  }
  EXPECT_THAT(keys(), ElementsAre("a", "b", "c"));
}

TEST_F(Transactions, A13_WhosePartitionsAreRefusedAreAbortedAndEndTheProducer) {
  broker.refuse(Broker::add_partitions_to_txn, {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED});
  broker.refuse(Broker::end_txn, {RD_KAFKA_RESP_ERR_INVALID_TXN_STATE});  // as of a transaction that has not begun
  const auto report = producer->commit(batch({"refused"}), member);
  EXPECT_EQ(report.outcome, Outcome::aborted) << report.error.message();
  EXPECT_TRUE(report.producer_ended);
  EXPECT_EQ(report.error.kind(), ErrorKind::forbidden);
  EXPECT_THAT(report.error.message(), HasSubstr("records"));
  producer = make();
  ASSERT_TRUE(producer->init(30s));
  EXPECT_EQ(producer->commit(batch({"next"}), member).outcome, Outcome::committed);
  EXPECT_THAT(keys(), ElementsAre("next"));
}

TEST_F(Transactions, WhoseCommitMeetsNoTransactionAreInDoubt) {
  broker.refuse(Broker::end_txn, {RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, RD_KAFKA_RESP_ERR_INVALID_TXN_STATE});
  const auto report = producer->commit(batch({"a"}), member);
  EXPECT_EQ(report.outcome, Outcome::doubt) << "it was asked to commit: " << report.error.message();
  EXPECT_FALSE(report.producer_ended);
}

TEST_F(Transactions, AreNotBegunOverTopicsThatHaveOtherPartitions) {
  TransactionalOptions options;
  options.transactional_id = "group.3";
  options.partition_counts = {{"records", 3}, {"st.commands", 5}};
  const auto other = make_transactional_producer(broker.cluster(), std::move(options)).value();
  ASSERT_TRUE(other->init(30s));
  EXPECT_TRUE(other->warm_up({"records"}));
  const auto wrong = other->warm_up({"records", "st.commands"});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().kind(), ErrorKind::bad_config);
  EXPECT_THAT(wrong.error().message(), HasSubstr("st.commands has 3 partitions now, not 5"));
}

TEST_F(Transactions, WithAMessageTooLargeForAnyTopicAreAbortedAndTheNextOneWorks) {
  auto large = batch({"before", "large", "after"}, 1);
  large.messages[1].value = std::string(17u << 20, 'x');
  const auto report = producer->commit(large, member);
  EXPECT_EQ(report.outcome, Outcome::aborted) << report.error.message();
  EXPECT_EQ(report.error.kind(), ErrorKind::too_large);
  EXPECT_THAT(member.sent, IsEmpty()) << "the offset of a batch that is not written is not sent";
  EXPECT_EQ(producer->commit(batch({"next"}, 2), member).outcome, Outcome::committed);
}

/// Many small messages, as the records of a page are.
class Records final : public MessageRun {
 public:
  Records(int count, std::size_t size) : count_(count), value_(size, 'x') {}
  void write(MessageSink& sink) const override {
    for (int i = 0; i < count_; ++i) {
      const auto key = std::to_string(i);
      if (!sink.add({"records", i % 3, key, value_, {}})) return;
      ++written;
    }
  }
  mutable int written = 0;

 private:
  int count_;
  std::string value_;
};

TEST_F(Transactions, A16_LargerThanTheQueueWaitForTheBroker) {
  TransactionalOptions options;
  options.transactional_id = "small";
  options.commands_topic = "st.commands";
  options.queue_bytes = 64u << 10;
  producer = std::move(make_transactional_producer(broker.cluster(), std::move(options)).value());
  ASSERT_TRUE(producer->init(30s));
  const auto run = std::make_shared<Records>(2000, 500);
  Batch b;
  b.runs = {run};
  const auto report = producer->commit(b, member);
  EXPECT_EQ(report.outcome, Outcome::committed) << report.error.message();
  EXPECT_EQ(run->written, 2000);
  EXPECT_THAT(keys(), ::testing::SizeIs(2000));
}

TEST_F(Transactions, KeepKeysTombstonesEmptyValuesAndHeaders) {
  Batch b;
  b.messages = {{"records", 0, "value", "v", {{"st-job", "j:1"}, {"st-source", std::string("a\0b", 3)}}},
                {"records", 0, "tombstone", std::nullopt},
                {"records", 0, "empty", ""}};
  ASSERT_EQ(producer->commit(b, member).outcome, Outcome::committed);
  std::vector<Message> read;
  ASSERT_TRUE(read_to_end(broker.cluster(), "records", 0, 30s, [&](Message m) { read.push_back(std::move(m)); }));
  ASSERT_EQ(read.size(), 3u);
  EXPECT_EQ(read[0].value, "v");
  EXPECT_EQ(*read[0].header("st-job"), "j:1");
  EXPECT_EQ(*read[0].header("st-source"), std::string("a\0b", 3));
  EXPECT_EQ(read[0].header("st"), nullptr);
  EXPECT_EQ(read[1].key, "tombstone");
  EXPECT_FALSE(read[1].value);
  ASSERT_TRUE(read[2].value);
  EXPECT_EQ(*read[2].value, "");
}

TEST_F(Transactions, GoToThePartitionThatOthersComputeForTheKey) {
  std::vector<std::string> names;
  for (int i = 0; i < 50; ++i) names.push_back("1001:" + std::to_string(i));
  ASSERT_EQ(producer->commit(batch(names), member).outcome, Outcome::committed);
  int seen = 0;
  for (int p = 0; p < 3; ++p)
    EXPECT_TRUE(read_to_end(broker.cluster(), "records", p, 30s, [&](const Message& m) {
      ++seen;
      EXPECT_EQ(partition_for(*m.key, 3), p) << *m.key;
    }));
  EXPECT_EQ(seen, 50);
}

TEST_F(Transactions, DoNotStartOnATopicThatMayNotBeUsed) {
  EXPECT_TRUE(producer->warm_up({"records", "st.commands"}));
  broker.create("secret");
  broker.refuse_topic("secret", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
  const auto refused = producer->warm_up({"records", "secret"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::forbidden);
  EXPECT_THAT(refused.error().message(), HasSubstr("secret"));
}

TEST(TransactionalProducer, A7_IsFencedWhenASuccessorCameFirst) {
  Broker broker;
  broker.create("st.commands");
  auto producer = make_transactional_producer(broker.cluster(), {.transactional_id = "t", .commands_topic = "st.commands"}).value();
  broker.refuse(Broker::init_producer_id, {RD_KAFKA_RESP_ERR_PRODUCER_FENCED});
  const auto ready = producer->init(30s);
  ASSERT_FALSE(ready);
  EXPECT_EQ(ready.error().kind(), ErrorKind::fenced) << ready.error().message();
}

TEST(TransactionalProducer, SaysThatTheBrokerIsAwayInsteadOfWaitingForEver) {
  Cluster nobody;
  nobody.bootstrap_servers = "127.0.0.1:1";
  auto producer = make_transactional_producer(nobody, {.transactional_id = "t", .commands_topic = "st.commands"}).value();
  const auto ready = producer->init(200ms);
  ASSERT_FALSE(ready);
  EXPECT_EQ(ready.error().kind(), ErrorKind::broker) << ready.error().message();
}

TEST(Producer, SaysWhatWasNotDeliveredAndGoesOn) {
  Broker broker;
  broker.create("records");
  auto producer = make_producer(broker.cluster()).value();
  broker.refuse(Broker::produce, {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE});
  const auto refused = producer->send({{"records", kAnyPartition, "a", "1"}}, 30s);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::too_large) << refused.error().message();
  const auto sent = producer->send({{"records", kAnyPartition, "b", "2"}}, 30s);
  EXPECT_TRUE(sent) << sent.error().message();
}

TEST(Producer, ThatGaveUpDoesNotSendItLater) {
  // What was reported as failed is sent again by its user: a copy that comes late would make two commands of one.
  Broker broker;
  broker.create("records");
  auto producer = make_producer(broker.cluster()).value();
  ASSERT_TRUE(producer->send({{"records", 0, "first", "v"}}, 30s));
  broker.lose_topic("records");
  EXPECT_FALSE(producer->send({{"records", 0, "late", "v"}}, 50ms));
  broker.find_topic("records");
  const auto sent = producer->send({{"records", 0, "next", "v"}}, 30s);
  EXPECT_TRUE(sent) << sent.error().message();
  std::vector<std::string> keys;
  ASSERT_TRUE(read_to_end(broker.cluster(), "records", 0, 30s, [&](const Message& m) { keys.push_back(*m.key); }));
  EXPECT_THAT(keys, ElementsAre("first", "next"));
}

}  // namespace
}  // namespace stsync::kafka
