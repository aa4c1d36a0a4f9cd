#include "sync/memory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "journal_job.hpp"
#include "sync/names.hpp"

namespace stsync::sync {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Memory, IsWhatTheJournalSaysLast) {
  Memory memory;
  const auto read = [&](const JournalEntry& e) { ASSERT_TRUE(memory.read(e.key, e.bytes())); };
  read(job("a", v1::JobState::waiting));
  read(job("a", v1::JobState::running));
  read(job("b", v1::JobState::waiting));
  v1::StreamState stream;
  stream.set_token("t");
  read({stream_journal_key("acme", 1001, "jpm.jobs"), stream});
  v1::TenantState tenant;
  tenant.set_paused(true);
  read({tenant_journal_key("acme", 1001), tenant});
  v1::LaneState lane;
  lane.set_offset(7);
  read({lane_journal_key(3), lane});
  EXPECT_EQ(memory.job(job_journal_key("acme", 1001, "a"))->phase(), v1::JobState::running);
  EXPECT_EQ(memory.stream(stream_journal_key("acme", 1001, "jpm.jobs")).token(), "t");
  EXPECT_EQ(memory.stream("stream/none").token(), "");
  EXPECT_TRUE(memory.tenant(tenant_journal_key("acme", 1001)).paused());
  EXPECT_FALSE(memory.tenant(tenant_journal_key("acme", 1002)).paused());
  EXPECT_EQ(memory.offset(), 7);
  EXPECT_EQ(memory.jobs().phases().at(v1::JobState::running), 1);
  EXPECT_EQ(memory.jobs().phases().at(v1::JobState::waiting), 1);
}

TEST(Memory, KeepsWhatIsAskedOfAJobBesideIt) {
  Memory memory;
  const auto key = job_journal_key("acme", 1001, "a");
  EXPECT_EQ(asked_journal_key(key), "asked/acme/1001/a");
  v1::AskedState asked;
  asked.set_what(v1::AskedState::pause);
  const auto entry = asked_entry(key, asked);
  ASSERT_TRUE(memory.read(entry.key, entry.bytes()));
  EXPECT_EQ(memory.asked(key).what(), v1::AskedState::pause);
  EXPECT_EQ(memory.entry(entry.key).bytes(), entry.bytes());
  memory.apply(asked_entry(key, {}));
  EXPECT_EQ(memory.asked(key).what(), v1::AskedState::nothing);
  EXPECT_FALSE(memory.entry(entry.key).value);
}

TEST(Memory, ATombstoneForgets) {
  Memory memory;
  memory.apply(job("a", v1::JobState::waiting));
  ASSERT_TRUE(memory.read(job_journal_key("acme", 1001, "a"), std::nullopt));
  EXPECT_EQ(memory.job(job_journal_key("acme", 1001, "a")), nullptr);
  EXPECT_THAT(memory.open_jobs(), IsEmpty());
  EXPECT_EQ(memory.jobs().phases().at(v1::JobState::waiting), 0);
}

TEST(Memory, ForeignAndDamagedRecordsAreSetAside) {
  Memory memory;
  memory.apply(job("a", v1::JobState::waiting));
  EXPECT_EQ(memory.read("", "x").error().kind(), core::ErrorKind::bad_data);
  EXPECT_EQ(memory.read("jobs/a", "x").error().kind(), core::ErrorKind::bad_data);
  EXPECT_EQ(memory.read(job_journal_key("acme", 1001, "a"), "\xff\xff").error().kind(), core::ErrorKind::malformed);
  EXPECT_EQ(memory.read("future/\n", "x").error().message(), "a foreign journal key future/\\x0a");
  EXPECT_EQ(memory.jobs().size(), 1u);
}

TEST(Memory, KnowsTheJobsThatHaveNotEnded) {
  Memory memory;
  memory.apply(job("a", v1::JobState::waiting));
  memory.apply(job("b", v1::JobState::running));
  memory.apply(job("c", v1::JobState::paused));
  memory.apply(job("d", v1::JobState::completed));
  EXPECT_EQ(memory.open_jobs().size(), 3u);
  memory.apply(job("b", v1::JobState::failed));
  EXPECT_THAT(memory.open_jobs(), ElementsAre(job_journal_key("acme", 1001, "a"), job_journal_key("acme", 1001, "c")));
  memory.apply(job("b", v1::JobState::running));
  EXPECT_EQ(memory.open_jobs().size(), 3u);
}

TEST(Memory, HoldsIdsInLittleSpaceAndWritesThemAsAList) {
  v1::JobState state;
  state.set_phase(v1::JobState::waiting);
  for (int i = 0; i < 5000; ++i) state.mutable_command()->mutable_sync()->add_ids(std::to_string(100'000'000 + i));
  const auto key = job_journal_key("acme", 1001, "a");
  const auto written = state.SerializeAsString();
  Memory memory;
  ASSERT_TRUE(memory.read(key, written));
  EXPECT_LT(memory.job(key)->SpaceUsedLong(), 60'000u) << "of " << state.SpaceUsedLong();
  EXPECT_EQ(memory.entry(key).bytes(), written);
  auto one = state.command().sync();
  unpack_ids(one);
  EXPECT_EQ(one.ids_size(), 5000);
  pack_ids(one);
  pack_ids(one);
  EXPECT_EQ(one.ids_size(), 1);
  unpack_ids(one);
  unpack_ids(one);
  EXPECT_EQ(one.SerializeAsString(), state.command().sync().SerializeAsString());
}

TEST(Memory, AnEntryBringsAKeyBack) {
  Memory memory;
  const auto key = job_journal_key("acme", 1001, "a");
  const auto nothing = memory.entry(key);
  memory.apply(job("a", v1::JobState::waiting));
  const auto waiting = memory.entry(key);
  memory.apply(job("a", v1::JobState::running));
  memory.apply(waiting);
  EXPECT_EQ(memory.job(key)->phase(), v1::JobState::waiting);
  memory.apply(nothing);
  EXPECT_EQ(memory.job(key), nullptr);
}

TEST(Memory, OfAnEndedJobTheCommandIsKnownButNotItsIds) {
  v1::JobState job;
  job.mutable_command()->set_id("j1");
  job.mutable_command()->mutable_sync()->add_ids("5");
  job.mutable_crawl()->mutable_ids()->set_next(1);
  auto failed = job;
  end_job(job, v1::JobState::completed, core::WallTime(5ms));
  EXPECT_EQ(job.finished_ms(), 5);
  EXPECT_EQ(job.command().id(), "j1");
  EXPECT_EQ(job.command().sync().ids_size(), 0);
  EXPECT_FALSE(job.has_crawl());
  end_job(failed, v1::JobState::failed, core::WallTime(5ms));
  EXPECT_TRUE(failed.has_crawl()) << "where it went wrong";
}

}  // namespace
}  // namespace stsync::sync
