// Jobs that cannot go on and begin anew as others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/wire.hpp"
#include "job_play.hpp"

namespace stsync::sync {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

/// A stream that has read everything, on a server that then forgets its tokens.
void read_all_and_forget(World& w) {
  {
    Life life(w);
    life.start(sync_command(v1::full, "first"));
    ASSERT_TRUE(life.run());
  }
  w.feed.answer = [&w](const std::string& from) -> core::Result<std::string> {
    if (from == "r50") return core::fail(core::ErrorKind::bad_request, "The value 'r50' is not valid for from.");
    return w.feed.page_at(from);
  };
}

/// What was told of a job, its progress apart.
std::vector<v1::StatusEvent> events_of(const World& w, const std::string& job) {
  std::vector<v1::StatusEvent> out;
  for (const auto& m : w.of("st.status")) {
    v1::StatusEvent e;
    if (codec::from_json(*m.value, e) && e.job() == job && e.type() != v1::StatusEvent::progress) out.push_back(e);
  }
  return out;
}
std::vector<std::string> types_of(const std::vector<v1::StatusEvent>& events) {
  std::vector<std::string> out;
  for (const auto& e : events) out.push_back(v1::StatusEvent::Type_Name(e.type()));
  return out;
}

TEST(LostCursor, B14_BeginsAFullAsANewJobInOneTransaction) {
  World w;
  read_all_and_forget(w);
  {
    Life life(w);
    life.start(sync_command(v1::incremental, "second"));
    ASSERT_TRUE(life.run());
  }
  const auto events = events_of(w, "second");
  EXPECT_THAT(types_of(events), ElementsAre("started", "restarted", "failed"));
  const auto& failed = events.back();
  EXPECT_EQ(failed.failure().code(), "cursor_lost");
  EXPECT_THAT(failed.failure().message(), HasSubstr("'r50' is not valid"));
  ASSERT_FALSE(failed.target().empty());
  EXPECT_THAT(events[1].note(), HasSubstr(failed.target()));
  EXPECT_THAT(types_of(events_of(w, failed.target())), ElementsAre("accepted"));
  const auto memory = w.memory();
  const auto* next = memory.job(job_journal_key("acme", 1001, failed.target()));
  ASSERT_NE(next, nullptr);
  EXPECT_EQ(next->phase(), v1::JobState::waiting);
  EXPECT_EQ(next->command().sync().mode(), v1::full);
  EXPECT_EQ(memory.stream(stream_journal_key("acme", 1001, "jpm.jobs")).token(), "") << "forgotten";
  {
    Life life(w);
    life.start(next->command());
    ASSERT_TRUE(life.run());
  }
  EXPECT_THAT(types_of(events_of(w, failed.target())), ElementsAre("accepted", "started", "completed"));
  EXPECT_EQ(w.of("st.jpm.jobs").size(), 100u);
}

TEST(LostCursor, B14_FailsWhereThatIsWanted) {
  World w;
  w.config.worker.lost_cursor = "fail";
  read_all_and_forget(w);
  Life life(w);
  life.start(sync_command(v1::incremental, "second"));
  ASSERT_TRUE(life.run());
  const auto events = events_of(w, "second");
  EXPECT_THAT(types_of(events), ElementsAre("started", "failed"));
  EXPECT_EQ(events.back().target(), "");
  EXPECT_EQ(w.memory().stream(stream_journal_key("acme", 1001, "jpm.jobs")).token(), "r50") << "for people to decide";
}

TEST(LostCursor, B14_ReadsOnFromTheLatestChangeInTheSameJob) {
  World w;
  w.config.worker.lost_cursor = "from-watermark";
  read_all_and_forget(w);
  Life life(w);
  life.start(sync_command(v1::incremental, "second"));
  ASSERT_TRUE(life.run());
  EXPECT_THAT(w.feed.asked, Contains("2025-12-31T23:00:00.000Z"));
  EXPECT_EQ(types_of(events_of(w, "second")).back(), "completed");
}

/// Asked while the answer is on its way that tells of the loss.
TEST(LostCursor, AJobThatIsToStopBeginsNothingAnew) {
  for (const bool cancelled : {true, false}) {
    World w;
    read_all_and_forget(w);
    Life life(w);
    auto& job = life.start(sync_command(v1::incremental, "second"));
    w.feed.answer = [&, refuse = w.feed.answer](const std::string& from) {
      if (from.empty()) cancelled ? job.cancel() : job.pause();
      return refuse(from);
    };
    ASSERT_TRUE(life.run());
    EXPECT_THAT(types_of(events_of(w, "second")), ElementsAre("started", cancelled ? "cancelled" : "paused"));
    EXPECT_EQ(w.memory().stream(stream_journal_key("acme", 1001, "jpm.jobs")).token(), "r50");
    if (cancelled) continue;
    Life resumed(w);
    resumed.start(sync_command(v1::incremental, "second"));
    ASSERT_TRUE(resumed.run());
    EXPECT_THAT(types_of(events_of(w, "second")), Contains("restarted")) << "it meets the loss again";
  }
}

TEST(LostCursor, AJobDoesNotBeginAnewForEver) {
  World w;
  w.feed.answer = [&w](const std::string& from) -> core::Result<std::string> {
    if (!from.empty()) return core::fail(core::ErrorKind::bad_request, "no token is ever known");
    return w.feed.page_at(from);
  };
  std::string job = "j1";
  v1::Command command = sync_command(v1::full, job);
  int jobs = 0;
  for (; jobs < 20 && !job.empty(); ++jobs) {
    {
      Life life(w);
      life.start(command);
      ASSERT_TRUE(life.run());
    }
    job = events_of(w, job).back().target();
    command.set_id(job);
  }
  EXPECT_EQ(jobs, 6) << "one, and five more";
}

}  // namespace
}  // namespace stsync::sync
