#include "sync/answers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/wire.hpp"
#include "core/text.hpp"
#include "sync/names.hpp"

namespace stsync::sync {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Answers : ::testing::Test {
  Answers() {
    message.offset = 41;
    message.value = "{}";
    command.set_id("j1");
    command.set_app("acme");
    command.set_tenant(1001);
    command.mutable_sync()->set_resource("jpm.jobs");
  }
  void know(const std::string& id, v1::JobState::Phase phase, const std::string& target = {}) {
    v1::JobState job;
    *job.mutable_command() = command;
    job.mutable_command()->set_id(id);
    job.set_phase(phase);
    job.set_target(target);
    memory.apply({job_journal_key("acme", 1001, id), job});
  }
  /// "type job" of each status event.
  static std::vector<std::string> told(const Contribution& c) {
    std::vector<std::string> out;
    for (const auto& m : c.messages) {
      v1::StatusEvent e;
      if (m.topic == "st.status" && codec::from_json(*m.value, e))
        out.push_back(v1::StatusEvent::Type_Name(e.type()) + " " + e.job());
    }
    return out;
  }

  const config::Topics topics;
  kafka::Message message;
  v1::Command command;
  Memory memory;
  const Answering to{topics, message, *core::parse_utc("2026-01-02T03:04:05Z")};
};

TEST_F(Answers, AcceptedIsJournalledWithItsPlaceInTheOrder) {
  const auto c = answer(Accept{command, "hash"}, to);
  EXPECT_EQ(c.settled, 42);
  EXPECT_THAT(told(c), ElementsAre("accepted j1"));
  ASSERT_EQ(c.journal.size(), 1u);
  memory.apply(c.journal.front());
  const auto* job = memory.job("job/acme/1001/j1");
  ASSERT_NE(job, nullptr);
  EXPECT_EQ(job->order(), 41);
  EXPECT_EQ(job->phase(), v1::JobState::waiting);
}

TEST_F(Answers, AMergedCommandWidensItsTargetInTheSameTransaction) {
  v1::JobState target;
  *target.mutable_command() = command;
  target.mutable_command()->mutable_sync()->add_ids("5");
  command.set_id("second");
  const auto c = answer(Coalesce{command, "hash", "j1", target}, {topics, message, {}});
  ASSERT_EQ(c.journal.size(), 2u);
  EXPECT_EQ(c.journal[0].key, "job/acme/1001/second");
  EXPECT_EQ(c.journal[1].key, "job/acme/1001/j1");
  EXPECT_EQ(std::get<v1::JobState>(*c.journal[1].value).command().sync().ids_size(), 1);
}

TEST_F(Answers, E12_OfWhatNeedNotBeDoneOnlyTheNameIsRemembered) {
  const auto remembered = [](const Contribution& c) { return std::get<v1::JobState>(*c.journal.front().value).ByteSizeLong(); };
  const std::string large(200'000, 'x');
  for (int i = 0; i < 5000; ++i) command.mutable_sync()->add_ids(std::to_string(100'000'000 + i));
  EXPECT_LT(remembered(answer(Coalesce{command, "hash", "j0"}, to)), 200u) << "its job has them";
  command.mutable_cursor()->set_set(large);
  EXPECT_LT(remembered(answer(Control{command, "hash"}, to, {})), 200u);
  command.mutable_cancel()->set_job(large);
  EXPECT_LT(remembered(answer(Control{command, "hash"}, to, Refusal{"not_found", "there is no such job"})), 200u);
  v1::JobState job;
  *job.mutable_command() = command;
  job.mutable_command()->mutable_sync()->mutable_report()->add_parameters()->set_value(large);
  end_job(job, v1::JobState::completed, to.now);
  EXPECT_LT(job.ByteSizeLong(), 200u);
}

TEST_F(Answers, E4_ADuplicateOfAJobThatGoesOnIsThatAndNoMore) {
  know("j1", v1::JobState::running);
  const auto c = answer(Duplicate{command}, to, memory);
  EXPECT_THAT(told(c), ElementsAre("duplicate j1"));
  EXPECT_THAT(c.journal, IsEmpty());
}

TEST_F(Answers, E4_ADuplicateOfAJobThatHasEndedIsToldItsEnd) {
  know("j1", v1::JobState::cancelled);
  EXPECT_THAT(told(answer(Duplicate{command}, to, memory)), ElementsAre("duplicate j1", "cancelled j1"));
}

TEST_F(Answers, E4_ADuplicateIsToldTheEndOfTheJobThatStandsForIt) {
  know("j1", v1::JobState::coalesced, "j2");
  know("j2", v1::JobState::running);
  EXPECT_THAT(told(answer(Duplicate{command}, to, memory)), ElementsAre("duplicate j1", "coalesced j1"));
  know("j2", v1::JobState::completed);
  EXPECT_THAT(told(answer(Duplicate{command}, to, memory)), ElementsAre("duplicate j1", "coalesced j1", "completed j2"));
}

TEST_F(Answers, E5_AControlCommandWithoutEffectIsRefusedAndStaysSo) {
  const auto c = answer(Control{command, "hash"}, to, Refusal{"not_found", "there is no such job"});
  EXPECT_THAT(told(c), ElementsAre("rejected j1"));
  memory.apply(c.journal.front());
  EXPECT_THAT(told(answer(Duplicate{command}, to, memory)), ElementsAre("duplicate j1", "rejected j1"));
}

TEST_F(Answers, E1_WhatIsRefusedIsADeadLetterToo) {
  const auto c = answer(Reject{command, "bad_ids", "no ids"}, to);
  EXPECT_THAT(told(c), ElementsAre("rejected j1"));
  ASSERT_EQ(c.messages.size(), 2u);
  EXPECT_EQ(c.messages[1].topic, "st.dlq");
  EXPECT_THAT(c.journal, IsEmpty());
}

}  // namespace
}  // namespace stsync::sync
