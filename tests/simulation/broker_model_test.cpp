#include "simulation/broker_model.hpp"

#include <gtest/gtest.h>

namespace stsync::simulation {
namespace {

using namespace std::chrono_literals;

struct Broker : ::testing::Test {
  Broker() {
    model.create_topic("records", 2);
    model.create_topic("journal", 1);
    who = model.init_producer("g.0", 60s, now);
    member.member = model.group().join({}, 45s, now).member;
    member.generation = model.group().sync(member, now).generation;
  }
  static Entry entry(std::string key) {
    Entry e;
    e.key = std::move(key);
    e.value = "v";
    return e;
  }
  Code produce(ProducerId p, std::int64_t sequence, const std::string& key, std::int32_t partition = 0) {
    return model.produce("g.0", p, "records", partition, sequence, {entry(key)}, now);
  }
  Code end(ProducerId p, bool commit) { return model.end_transaction("g.0", p, commit, now); }
  std::string seen(std::int32_t partition = 0, Isolation isolation = Isolation::read_committed) const {
    std::string out;
    for (const auto& [offset, e] : model.log("records", partition).read(0, isolation).seen) out += e->key;
    return out;
  }

  BrokerModel model{"commands", 4};
  core::TimePoint now{};
  ProducerId who;
  GroupModel::Identity member;
};

TEST_F(Broker, ShowsATransactionWholeOnceItIsCommitted) {
  EXPECT_EQ(produce(who, 0, "a"), Code::ok);
  EXPECT_EQ(produce(who, 0, "b", 1), Code::ok);
  EXPECT_EQ(seen() + seen(1), "");
  EXPECT_EQ(seen(0, Isolation::read_uncommitted), "a");
  EXPECT_EQ(end(who, true), Code::ok);
  EXPECT_EQ(seen() + seen(1), "ab");
}

TEST_F(Broker, CountsMarksAsOffsets) {
  produce(who, 0, "a");
  end(who, true);
  const auto& log = model.log("records", 0);
  EXPECT_EQ(log.high_watermark(), 2);
  EXPECT_EQ(log.read(0, Isolation::read_committed).next, 2);
}

TEST_F(Broker, LeavesOutWhatWasAborted) {
  produce(who, 0, "a");
  end(who, false);
  produce(who, 1, "b");
  end(who, true);
  EXPECT_EQ(seen(), "b");
}

TEST_F(Broker, StopsAtTheFirstOpenTransaction) {
  produce(who, 0, "a");
  model.append("records", 0, entry("b"));
  const auto& log = model.log("records", 0);
  EXPECT_EQ(log.last_stable_offset(), 0);
  EXPECT_EQ(log.high_watermark(), 2);
  EXPECT_EQ(seen(), "");
  end(who, true);
  EXPECT_EQ(seen(), "ab");
}

TEST_F(Broker, KeepsTombstones) {
  auto e = entry("a");
  e.value.reset();
  model.append("records", 0, e);
  EXPECT_EQ(seen(), "a");
}

TEST_F(Broker, FencesAndAbortsThePredecessor) {
  produce(who, 0, "a");
  const auto next = model.init_producer("g.0", 60s, now);
  EXPECT_EQ(next.id, who.id);
  EXPECT_GT(next.epoch, who.epoch);
  EXPECT_EQ(model.open_transactions(), 0u);
  EXPECT_EQ(produce(who, 1, "b"), Code::producer_fenced);
  EXPECT_EQ(end(who, true), Code::producer_fenced);
  EXPECT_EQ(produce(next, 0, "c"), Code::ok);
  end(next, true);
  EXPECT_EQ(seen(), "c");
}

TEST_F(Broker, KnowsARepeatedProduceAgain) {
  produce(who, 0, "a");
  EXPECT_EQ(produce(who, 0, "a"), Code::ok);
  EXPECT_EQ(produce(who, 2, "c"), Code::out_of_order);
  end(who, true);
  EXPECT_EQ(seen(), "a");
}

TEST_F(Broker, ALateEndOfATransactionEndsTheNextOne) {
  produce(who, 0, "a");
  EXPECT_EQ(end(who, true), Code::ok);
  EXPECT_EQ(end(who, true), Code::ok) << "the same end once more";
  EXPECT_EQ(end(who, false), Code::invalid_txn_state);
  produce(who, 1, "b");
  EXPECT_EQ(end(who, true), Code::ok);
  EXPECT_EQ(seen(), "ab");
}

TEST_F(Broker, AbortsATransactionThatTakesTooLongAndFencesItsProducer) {
  produce(who, 0, "a");
  model.tick(now + 60s);
  EXPECT_EQ(model.open_transactions(), 1u);
  model.tick(now + 61s);
  EXPECT_EQ(model.open_transactions(), 0u);
  EXPECT_EQ(end(who, true), Code::producer_fenced);
  EXPECT_EQ(seen(), "");
}

TEST_F(Broker, WritesTheMarksOfATransactionAfterItsEnd) {
  model.marking = [] { return 2s; };
  core::Duration told{};
  model.on_marking = [&](core::Duration after) { told = after; };
  produce(who, 0, "a");
  model.commit_offset("g.0", who, member, 0, 7, now);
  EXPECT_EQ(end(who, true), Code::ok);
  EXPECT_EQ(told, core::Duration(2s));
  EXPECT_EQ(seen(), "");
  EXPECT_EQ(model.committed(0).code, Code::unstable_offset);
  EXPECT_EQ(produce(who, 1, "b"), Code::concurrent);
  EXPECT_EQ(end(who, true), Code::concurrent);
  EXPECT_EQ(end(who, false), Code::invalid_txn_state);
  EXPECT_EQ(model.init_producer("g.0", 60s, now).id, -1);
  model.tick(now + 2s);
  EXPECT_EQ(seen(), "a");
  EXPECT_EQ(model.committed(0).offset, 7);
  now += 2s;
  EXPECT_EQ(produce(who, 1, "b"), Code::ok);
}

TEST_F(Broker, ASuccessorWaitsForTheAbortOfItsPredecessor) {
  model.marking = [] { return 2s; };
  produce(who, 0, "a");
  EXPECT_EQ(model.init_producer("g.0", 60s, now).id, -1);
  EXPECT_EQ(produce(who, 1, "b"), Code::producer_fenced);
  now += 2s;
  EXPECT_EQ(model.init_producer("g.0", 60s, now).id, who.id);
  EXPECT_EQ(model.open_transactions(), 0u);
  EXPECT_EQ(seen(), "");
}

TEST_F(Broker, WhileTheCoordinatorMovesNothingIsDone) {
  produce(who, 0, "a");
  model.moving_until = now + 1s;
  EXPECT_EQ(produce(who, 1, "b"), Code::not_now);
  EXPECT_EQ(end(who, true), Code::not_now);
  EXPECT_EQ(model.init_producer("g.0", 60s, now).id, -1);
  now += 1s;
  EXPECT_EQ(end(who, true), Code::ok);
  EXPECT_EQ(seen(), "a");
}

TEST_F(Broker, CommitsAnOffsetWithItsTransaction) {
  EXPECT_EQ(model.commit_offset("g.0", who, member, 0, 7, now), Code::ok);
  EXPECT_EQ(model.committed(0).code, Code::unstable_offset);
  EXPECT_EQ(model.committed(1).code, Code::ok);
  end(who, true);
  EXPECT_EQ(model.committed(0).offset, 7);
}

TEST_F(Broker, DropsAnOffsetWithItsTransaction) {
  model.commit_offset("g.0", who, member, 0, 7, now);
  end(who, false);
  EXPECT_EQ(model.committed(0).code, Code::ok);
  EXPECT_EQ(model.committed(0).offset, std::nullopt);
}

TEST_F(Broker, RefusesOffsetsOfAMemberOfAnotherGeneration) {
  auto old = member;
  --old.generation;
  EXPECT_EQ(model.commit_offset("g.0", who, old, 0, 7, now), Code::illegal_generation);
  model.group().leave(member, now);
  EXPECT_EQ(model.commit_offset("g.0", who, member, 0, 7, now), Code::unknown_member);
}

TEST_F(Broker, RefusesWhatThereIsNoTopicFor) {
  EXPECT_EQ(model.produce("g.0", who, "nowhere", 0, 0, {entry("a")}, now), Code::unknown_topic);
  EXPECT_EQ(produce(who, 0, "a", 9), Code::unknown_topic);
}

}  // namespace
}  // namespace stsync::simulation
