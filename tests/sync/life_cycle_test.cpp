#include "sync/life_cycle.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "sync/status.hpp"

namespace stsync::sync {
namespace {

using Job = v1::JobState;
using Event = v1::StatusEvent;

std::vector<Job::Phase> phases() {
  std::vector<Job::Phase> out;
  for (int i = 0; i < Job::Phase_ARRAYSIZE; ++i) out.push_back(static_cast<Job::Phase>(i));
  return out;
}
std::vector<Event::Type> events() {
  std::vector<Event::Type> out;
  for (int i = 0; i < Event::Type_ARRAYSIZE; ++i) out.push_back(static_cast<Event::Type>(i));
  return out;
}
std::set<Event::Type> possible(Job::Phase phase) {
  std::set<Event::Type> out;
  for (const auto event : events())
    if (after(phase, event)) out.insert(event);
  return out;
}

/// Written once more, from the reader's side: what may be told of a job behind what.
TEST(LifeCycle, IsThisTable) {
  using testing::UnorderedElementsAre;
  EXPECT_THAT(possible(Job::unspecified),
              UnorderedElementsAre(Event::accepted, Event::coalesced, Event::rejected, Event::completed));
  EXPECT_THAT(possible(Job::waiting),
              UnorderedElementsAre(Event::started, Event::paused, Event::cancelled, Event::failed, Event::progress));
  EXPECT_THAT(possible(Job::paused), UnorderedElementsAre(Event::resumed, Event::cancelled, Event::failed, Event::progress));
  EXPECT_THAT(possible(Job::coalesced), UnorderedElementsAre(Event::cancelled));
  const std::set<Event::Type> at_work{Event::progress, Event::restarted, Event::throttled, Event::retrying, Event::auth_failed,
                                      Event::paused,   Event::completed, Event::failed,    Event::cancelled};
  for (const auto phase : {Job::running, Job::throttled, Job::retrying, Job::auth_failed}) EXPECT_EQ(possible(phase), at_work);
  for (const auto phase : {Job::completed, Job::failed, Job::cancelled, Job::control, Job::rejected})
    EXPECT_TRUE(possible(phase).empty()) << Job::Phase_Name(phase);
}

TEST(LifeCycle, EveryPhaseCanBeReachedAndLeftButTheLast) {
  std::set<Job::Phase> reached{Job::unspecified};
  for (std::size_t before = 0; before != reached.size();) {
    before = reached.size();
    for (const auto phase : std::set(reached))
      for (const auto event : events())
        if (const auto to = after(phase, event)) reached.insert(*to);
  }
  EXPECT_EQ(reached.size(), phases().size());
  for (const auto phase : phases())
    if (phase != Job::coalesced) EXPECT_EQ(terminal(phase), possible(phase).empty()) << Job::Phase_Name(phase);
}

TEST(LifeCycle, WhateverHappensAnEndIsNearAndFinal) {
  for (const auto phase : phases()) {
    if (terminal(phase) || phase == Job::unspecified) continue;
    EXPECT_EQ(after(phase, Event::cancelled), Job::cancelled);
    EXPECT_EQ(after(phase, Event::failed), Job::failed);
    EXPECT_EQ(begun(phase), after(phase, Event::completed) == Job::completed) << "only what has begun completes";
  }
}

TEST(LifeCycle, E7_ShortJobsMayBeReadBesideALongOne) {
  const auto of = [](v1::Mode mode) {
    Job job;
    job.mutable_command()->mutable_sync()->set_mode(mode);
    return job;
  };
  v1::StreamState none, cursor, watermark;
  cursor.set_token("t");
  watermark.set_watermark_ms(1);
  for (const auto host : {v1::full, v1::window}) {
    EXPECT_TRUE(may_visit(of(v1::ids), of(host), none));
    EXPECT_TRUE(may_visit(of(v1::incremental), of(host), cursor));
    EXPECT_TRUE(may_visit(of(v1::incremental), of(host), watermark));
    EXPECT_FALSE(may_visit(of(v1::incremental), of(host), none)) << "it would be a second full";
    EXPECT_FALSE(may_visit(of(v1::full), of(host), cursor));
    EXPECT_FALSE(may_visit(of(v1::window), of(host), cursor));
  }
  for (const auto host : {v1::incremental, v1::ids, v1::report}) EXPECT_FALSE(may_visit(of(v1::ids), of(host), cursor));
}

TEST(LifeCycle, AJobThatIsTooLateIsOver) {
  const auto at = [](std::int64_t seconds) { return core::WallTime(std::chrono::seconds(seconds)); };
  Job job;
  job.set_phase(Job::waiting);
  EXPECT_FALSE(overdue(job, at(1'000'000)));
  set_time(*job.mutable_command()->mutable_sync()->mutable_start_by(), at(100));
  EXPECT_FALSE(overdue(job, at(99)));
  ASSERT_TRUE(overdue(job, at(100)));
  EXPECT_EQ(overdue(job, at(100))->kind(), core::ErrorKind::expired);
  job.mutable_counts()->set_calls(1);
  EXPECT_FALSE(overdue(job, at(100))) << "it has begun, and was paused since";
  job.mutable_counts()->set_calls(0);
  job.set_phase(Job::running);
  EXPECT_FALSE(overdue(job, at(100)));
  set_time(*job.mutable_command()->mutable_sync()->mutable_deadline(), at(200));
  EXPECT_FALSE(overdue(job, at(199)));
  for (const auto phase : {Job::running, Job::waiting, Job::paused, Job::retrying}) {
    job.set_phase(phase);
    EXPECT_TRUE(overdue(job, at(200)));
  }
}

}  // namespace
}  // namespace stsync::sync
