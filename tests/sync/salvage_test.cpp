#include "sync/salvage.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sync/names.hpp"

namespace stsync::sync {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::int32_t kPartition = 2;

struct SalvageTest : ::testing::Test {
  config::Topics topics;
  Memory memory;
  Salvage salvage;
  std::int64_t offset = 0;

  void read(const std::string& at, const std::optional<std::string>& value) {
    kafka::Message m;
    m.topic = topics.journal;
    m.partition = kPartition;
    m.offset = offset++;
    m.key = at;
    m.value = value;
    salvage.see(m, memory.read(at, value));
  }
  std::vector<kafka::OwnedMessage> messages() const { return salvage.messages(topics, memory, kPartition, 77); }

  const std::string key = job_journal_key("acme", 1001, "a");
  std::string job() const {
    v1::JobState state;
    state.mutable_command()->set_id("a");
    state.set_phase(v1::JobState::running);
    return state.SerializeAsString();
  }
};

TEST_F(SalvageTest, A20_ADamagedEntryGoesToTheDeadLettersAndWhatTheLaneKnewComesBack) {
  read(key, job());
  read(key, "\xff\xff");
  const auto out = messages();
  ASSERT_THAT(out, SizeIs(2));
  EXPECT_EQ(out[0].topic, topics.dlq);
  EXPECT_EQ(out[0].key, key);
  EXPECT_EQ(out[0].value, "\xff\xff");
  EXPECT_EQ(salvage.found().at(key).code, "damaged_entry");
  EXPECT_EQ(out[1].topic, topics.journal);
  EXPECT_EQ(out[1].partition, kPartition);
  EXPECT_EQ(out[1].key, key);
  EXPECT_EQ(out[1].value, job());
}

TEST_F(SalvageTest, A20_WhatNothingIsKnownOfIsForgotten) {
  read(key, "\xff\xff");
  read("acme:1001", "astray");
  const auto out = messages();
  ASSERT_THAT(out, SizeIs(4));
  for (const auto& m : out) EXPECT_EQ(m.value.has_value(), m.topic == topics.dlq);
  EXPECT_EQ(salvage.found().at("acme:1001").code, "foreign_entry");
}

TEST_F(SalvageTest, A20_OnceItIsForgottenOrWrittenOverItIsNotTold) {
  read(key, "\xff\xff");
  read(key, job());
  read("acme:1001", "astray");
  read("acme:1001", std::nullopt);
  EXPECT_THAT(messages(), IsEmpty());
  EXPECT_EQ(salvage.left(), 0u);
}

TEST_F(SalvageTest, A20_WhatALaterVersionKeepsStays) {
  read("holidays/acme/1001", "\xff\xff");
  EXPECT_THAT(messages(), IsEmpty());
  EXPECT_EQ(salvage.left(), 1u);
}

TEST_F(SalvageTest, A20_ADamagedOffsetIsTheOneTheLaneBeginsAt) {
  read(lane_journal_key(kPartition), "\xff\xff");
  const auto out = messages();
  ASSERT_THAT(out, SizeIs(2));
  v1::LaneState lane;
  ASSERT_TRUE(lane.ParseFromString(out[1].value.value()));
  EXPECT_EQ(lane.offset(), 77);
}

TEST_F(SalvageTest, A20_ATransactionTakesSoManyAndTheRestWaits) {
  for (int i = 0; i < 1'200; ++i) read("#" + std::to_string(i), "astray");
  EXPECT_THAT(messages(), SizeIs(2 * 1000));
  EXPECT_EQ(salvage.left(), 200u);
}

TEST_F(SalvageTest, A20_FieldsOfALaterVersionAreKeptWhenAnEntryIsWrittenAgain) {
  v1::JobState later;
  later.set_phase(v1::JobState::running);
  later.GetReflection()->MutableUnknownFields(&later)->AddLengthDelimited(900, "new");
  read(key, later.SerializeAsString());
  auto job = *memory.job(key);
  job.set_seq(9);
  memory.apply({key, job});
  EXPECT_THAT(memory.entry(key).bytes().value(), ::testing::HasSubstr("new"));
}

}  // namespace
}  // namespace stsync::sync
