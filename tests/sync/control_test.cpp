#include "sync/control.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sync/names.hpp"

namespace stsync::sync {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Asked = v1::AskedState;
using Event = v1::StatusEvent;
using Job = v1::JobState;

constexpr auto kCancel = v1::Command::kCancel, kPause = v1::Command::kPause, kResume = v1::Command::kResume;

v1::AskedState asked(Asked::What what, bool withdrawn = false) {
  v1::AskedState out;
  out.set_what(what);
  out.set_withdrawn(withdrawn);
  return out;
}

std::string text(const ControlEffect& e) {
  if (e.event) return Event::Type_Name(*e.event);
  if (!e.asked) return "-";
  return "asked " + Asked::What_Name(e.asked->what()) + (e.asked->withdrawn() ? " withdrawn" : "");
}

TEST(Control, E5_ReachesAJobWhereverItStands) {
  struct Case {
    v1::Command::ActionCase action;
    Job::Phase phase;
    bool runs;
    Asked::What asked;
    std::string effect;
  };
  for (const auto& c : {
           Case{kCancel, Job::waiting, false, Asked::nothing, "cancelled"},
           Case{kCancel, Job::waiting, true, Asked::nothing, "asked cancel"},  // started a moment ago
           Case{kCancel, Job::throttled, true, Asked::pause, "asked cancel"},
           Case{kCancel, Job::running, true, Asked::cancel, "-"},
           Case{kCancel, Job::running, false, Asked::nothing, "cancelled"},  // its tenant is not configured at present
           Case{kCancel, Job::paused, false, Asked::resume, "cancelled"},    // paused long ago, or on its way out: both do not hear
           Case{kPause, Job::waiting, false, Asked::nothing, "paused"},
           Case{kPause, Job::waiting, true, Asked::nothing, "asked pause"},
           Case{kPause, Job::running, true, Asked::pause, "-"},
           Case{kPause, Job::running, true, Asked::resume, "asked pause"},
           Case{kPause, Job::running, true, Asked::cancel, "-"},
           Case{kPause, Job::running, false, Asked::nothing, "paused"},
           Case{kPause, Job::paused, false, Asked::nothing, "-"},
           Case{kPause, Job::paused, false, Asked::resume, "asked nothing"},  // on its way out, to come back at once
           Case{kResume, Job::waiting, false, Asked::nothing, "-"},
           Case{kResume, Job::running, true, Asked::nothing, "-"},
           Case{kResume, Job::running, true, Asked::pause, "asked resume"},
           Case{kResume, Job::running, true, Asked::cancel, "-"},
           Case{kResume, Job::running, false, Asked::nothing, "-"},
           Case{kResume, Job::paused, false, Asked::nothing, "resumed"},
           Case{v1::Command::kSync, Job::running, true, Asked::nothing, "-"},
       })
    EXPECT_EQ(text(effect_of(c.action, {c.phase, asked(c.asked), c.runs, false})), c.effect)
        << c.action << " on " << Job::Phase_Name(c.phase) << (c.runs ? ", runs" : "");
}

TEST(Control, AJobThatOthersFollowIsNotCancelledForThem) {
  EXPECT_EQ(text(effect_of(kCancel, {Job::running, {}, true, true})), "asked nothing withdrawn");
  EXPECT_EQ(text(effect_of(kCancel, {Job::waiting, {}, false, true})), "asked nothing withdrawn");
  EXPECT_EQ(text(effect_of(kCancel, {Job::waiting, asked(Asked::nothing, true), false, true})), "-");
  EXPECT_EQ(text(effect_of(kPause, {Job::running, asked(Asked::nothing, true), true, true})), "asked pause withdrawn");
  EXPECT_EQ(text(effect_of(kCancel, {Job::running, asked(Asked::pause, true), true, false})), "asked cancel withdrawn")
      << "the last one went";
}

/// E6: the last word counts, however often and fast it is changed, wherever the lane dies.
TEST(Control, E6_OfABurstTheLastWordCounts) {
  for (const bool ends_paused : {false, true}) {
    v1::AskedState state;
    for (int i = 0; i < 1000 + (ends_paused ? 1 : 0); ++i)
      if (const auto e = effect_of(i % 2 == 0 ? kPause : kResume, {Job::running, state, true, false}); e.asked) state = *e.asked;
    EXPECT_EQ(state.what(), ends_paused ? Asked::pause : Asked::resume);
    EXPECT_EQ(left_to_do({Job::running, state, false, false}), ends_paused ? std::optional(Event::paused) : std::nullopt);
    EXPECT_EQ(left_to_do({Job::paused, state, false, false}), ends_paused ? std::nullopt : std::optional(Event::resumed));
  }
}

TEST(Control, ANewLaneDoesWhatTheOldOneHeard) {
  const auto left = [](Job::Phase phase, const v1::AskedState& a, bool followed = false) {
    const auto e = left_to_do({phase, a, false, followed});
    return e ? Event::Type_Name(*e) : "-";
  };
  for (const auto phase : {Job::waiting, Job::running, Job::retrying, Job::paused}) {
    EXPECT_EQ(left(phase, {}), "-");
    EXPECT_EQ(left(phase, asked(Asked::cancel)), "cancelled");
    EXPECT_EQ(left(phase, asked(Asked::pause)), phase == Job::paused ? "-" : "paused");
    EXPECT_EQ(left(phase, asked(Asked::resume)), phase == Job::paused ? "resumed" : "-");
    EXPECT_EQ(left(phase, asked(Asked::nothing, true), true), "-");
    EXPECT_EQ(left(phase, asked(Asked::nothing, true), false), "cancelled") << "the last follower went, then the lane";
  }
}

class ControlOfATenant : public testing::Test {
 protected:
  static v1::Command command(const std::string& id) {
    v1::Command c;
    c.set_id(id);
    c.set_app("acme");
    c.set_tenant(1001);
    return c;
  }
  void know(const std::string& id, Job::Phase phase, const std::string& resource = "jpm.jobs", const std::string& target = {}) {
    Job job;
    *job.mutable_command() = command(id);
    job.mutable_command()->mutable_sync()->set_resource(resource);
    job.set_phase(phase);
    job.set_target(target);
    memory.apply({key(id), job});
  }
  static std::string key(const std::string& id) { return job_journal_key("acme", 1001, id); }
  static v1::Command cancel(const std::string& job, const std::string& resource = {}) {
    auto c = command("control");
    c.mutable_cancel()->set_job(job);
    c.mutable_cancel()->set_resource(resource);
    return c;
  }
  static v1::Command pause(const std::string& job, const std::string& resource = {}) {
    auto c = command("control");
    c.mutable_pause()->set_job(job);
    c.mutable_pause()->set_resource(resource);
    return c;
  }
  static v1::Command resume(const std::string& job, const std::string& resource = {}) {
    auto c = command("control");
    c.mutable_resume()->set_job(job);
    c.mutable_resume()->set_resource(resource);
    return c;
  }
  v1::Command sync(const std::string& resource) {
    auto c = command("new");
    c.mutable_sync()->set_resource(resource);
    return c;
  }
  bool apply(const v1::Command& c) {
    const auto entry = tenant_after(c, memory);
    if (entry) memory.apply(*entry);
    return entry.has_value();
  }
  Memory memory;
};

TEST_F(ControlOfATenant, E5_MeansOneJobOrThoseOfAResourceOrAll) {
  know("a", Job::running);
  know("b", Job::waiting, "crm.customers");
  know("c", Job::completed);
  know("d", Job::coalesced, "jpm.jobs", "a");
  know("e", Job::coalesced, "jpm.jobs", "c");
  EXPECT_THAT(jobs_meant(pause("a"), memory), ElementsAre(key("a")));
  EXPECT_THAT(jobs_meant(pause("c"), memory), IsEmpty());
  EXPECT_THAT(jobs_meant(pause("d"), memory), IsEmpty()) << "it has no life of its own";
  EXPECT_THAT(jobs_meant(pause("none"), memory), IsEmpty());
  EXPECT_THAT(jobs_meant(cancel("d"), memory), ElementsAre(key("d")));
  EXPECT_THAT(jobs_meant(cancel("e"), memory), IsEmpty()) << "it has ended with its job";
  EXPECT_THAT(jobs_meant(pause("", "jpm.jobs"), memory), ElementsAre(key("a")));
  EXPECT_THAT(jobs_meant(cancel("", "jpm.jobs"), memory), ElementsAre(key("d"), key("a"))) << "nobody is left to go on for";
  EXPECT_THAT(jobs_meant(pause(""), memory), ElementsAre(key("a"), key("b")));
}

TEST_F(ControlOfATenant, WhatIsPausedAsAWholeStaysSoForJobsToCome) {
  EXPECT_EQ(pause_over(sync("jpm.jobs"), memory), std::nullopt);
  EXPECT_TRUE(apply(pause("", "jpm.jobs")));
  EXPECT_TRUE(apply(pause("", "jpm.jobs"))) << "said twice it is still done";
  EXPECT_EQ(pause_over(sync("jpm.jobs"), memory), "jpm.jobs is paused");
  EXPECT_EQ(pause_over(sync("crm.customers"), memory), std::nullopt);
  EXPECT_TRUE(apply(pause("")));
  EXPECT_EQ(pause_over(sync("crm.customers"), memory), "tenant 1001 is paused");
  EXPECT_TRUE(apply(resume("")));
  EXPECT_EQ(pause_over(sync("jpm.jobs"), memory), std::nullopt) << "all of it";
  EXPECT_FALSE(memory.entry(tenant_journal_key("acme", 1001)).value) << "nothing is left in the journal";
  EXPECT_FALSE(apply(resume(""))) << "nothing was paused";
  EXPECT_TRUE(apply(pause("", "jpm.jobs")));
  EXPECT_TRUE(apply(resume("", "jpm.jobs")));
  EXPECT_FALSE(apply(resume("", "jpm.jobs")));
  EXPECT_FALSE(apply(pause("a"))) << "one job says nothing of others";
  EXPECT_FALSE(apply(cancel("")));
}

TEST_F(ControlOfATenant, E6_OfABurstTheLastWordCounts) {
  for (int i = 0; i < 1000; ++i) apply(i % 2 == 0 ? pause("", "jpm.jobs") : resume("", "jpm.jobs"));
  EXPECT_EQ(pause_over(sync("jpm.jobs"), memory), std::nullopt);
  EXPECT_FALSE(memory.entry(tenant_journal_key("acme", 1001)).value) << "of a thousand commands nothing is left";
  apply(pause(""));
  EXPECT_TRUE(pause_over(sync("jpm.jobs"), memory));
}

TEST_F(ControlOfATenant, E6_AResumeWithoutAPauseChangesNothing) {
  EXPECT_FALSE(apply(resume("")));
  EXPECT_FALSE(apply(resume("", "jpm.jobs")));
  EXPECT_THAT(jobs_meant(resume(""), memory), IsEmpty()) << "so it is told that there is no such job";
  know("a", Job::running);
  EXPECT_THAT(jobs_meant(resume(""), memory), ElementsAre(key("a")));
  for (const bool runs : {false, true})
    for (const auto phase : {Job::waiting, Job::running, Job::throttled})
      EXPECT_EQ(text(effect_of(kResume, {phase, {}, runs, false})), "-");
}

TEST_F(ControlOfATenant, APartDoesNotGoOnWithoutTheWhole) {
  know("a", Job::paused);
  EXPECT_FALSE(cannot_resume(resume("a"), memory));
  apply(pause("", "jpm.jobs"));
  ASSERT_TRUE(cannot_resume(resume("a"), memory));
  EXPECT_EQ(cannot_resume(resume("a"), memory)->code, "paused");
  EXPECT_FALSE(cannot_resume(resume("", "jpm.jobs"), memory));
  EXPECT_FALSE(cannot_resume(pause("a"), memory));
  apply(pause(""));
  EXPECT_TRUE(cannot_resume(resume("", "jpm.jobs"), memory));
  EXPECT_FALSE(cannot_resume(resume(""), memory));
}

}  // namespace
}  // namespace stsync::sync
