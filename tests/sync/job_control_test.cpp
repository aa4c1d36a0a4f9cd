// A job that is asked to stop: what it was doing ends whole, and nothing follows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "job_play.hpp"

namespace stsync::sync {
namespace {

using namespace std::chrono_literals;

const std::string kJob = job_journal_key("acme", 1001, "j1");

TEST(JobControl, E5_CancelledInMidPageItPublishesNothingMore) {
  World w;
  Life life(w);
  auto& job = life.start(sync_command());
  w.clock.run_for(100ms);  // two pages read, the third on its way
  job.cancel();
  ASSERT_TRUE(life.run(1s));
  EXPECT_EQ(*life.end, JobEnd::cancelled);
  const auto published = w.of("st.jpm.jobs").size();
  EXPECT_EQ(published, 20u);
  w.clock.run_for(1h);
  EXPECT_EQ(w.of("st.jpm.jobs").size(), published);
  EXPECT_EQ(w.memory().job(kJob)->phase(), v1::JobState::cancelled);
  EXPECT_EQ(w.statuses().back(), "cancelled");
  EXPECT_EQ(w.memory().job(kJob)->counts().records(), 20);
  EXPECT_THAT(life.metrics(), ::testing::HasSubstr("stsync_jobs_ended_total{app=\"acme\",outcome=\"cancelled\"} 1\n"));
}

TEST(JobControl, PausedAndResumedItLosesAndRepeatsNothing) {
  World w;
  {
    Life life(w);
    auto& job = life.start(sync_command());
    w.clock.run_for(100ms);
    job.pause();
    ASSERT_TRUE(life.run(1s));
    EXPECT_EQ(*life.end, JobEnd::paused);
    EXPECT_EQ(w.memory().job(kJob)->phase(), v1::JobState::paused);
    EXPECT_EQ(w.statuses().back(), "paused");
    EXPECT_EQ(life.metrics().find("stsync_jobs_ended_total{"), std::string::npos) << "that is no end";
  }
  Life life(w);
  life.start(sync_command());
  ASSERT_TRUE(life.run());
  EXPECT_THAT(life.metrics(), ::testing::HasSubstr("stsync_jobs_ended_total{app=\"acme\",outcome=\"completed\"} 1\n"));
  expect_every_row_once(w);
}

TEST(JobControl, E5_CancelledWhileAPageIsBeingCommittedItPublishesThatAndNothingMore) {
  for (const bool commits : {true, false}) {
    World w;
    Life life(w);
    auto& job = life.start(sync_command());
    bool cancelled = false;
    life.answer = [&](const kafka::Batch& batch) {
      if (cancelled || batch.runs.empty()) return FakeRunner::ok();
      cancelled = true;
      job.cancel();
      return commits ? FakeRunner::ok() : FakeRunner::failed(kafka::Outcome::aborted, core::ErrorKind::broker);  // then once more
    };
    ASSERT_TRUE(life.run(1min));
    EXPECT_EQ(*life.end, JobEnd::cancelled);
    EXPECT_EQ(w.of("st.jpm.jobs").size() % 10, 0u) << "whole pages";
    EXPECT_THAT(w.of("st.jpm.jobs").size(), ::testing::AllOf(::testing::Ge(10u), ::testing::Le(20u)));
    EXPECT_EQ(w.statuses().back(), "cancelled");
    EXPECT_EQ(w.memory().job(kJob)->counts().records(), static_cast<std::int64_t>(w.of("st.jpm.jobs").size()));
    EXPECT_FALSE(w.log.empty());
    EXPECT_EQ(w.log.back().topic, "st.journal");
  }
}

TEST(JobControl, E5_OnceCancelledItStaysCancelled) {
  World w;
  Life life(w);
  auto& job = life.start(sync_command());
  w.clock.run_for(100ms);
  job.pause();
  job.cancel();
  job.pause();
  ASSERT_TRUE(life.run(1s));
  EXPECT_EQ(*life.end, JobEnd::cancelled);
  EXPECT_EQ(w.memory().job(kJob)->phase(), v1::JobState::cancelled);
}

v1::AskedState asked_for(v1::AskedState::What what, bool withdrawn = false) {
  v1::AskedState asked;
  asked.set_what(what);
  asked.set_withdrawn(withdrawn);
  return asked;
}

TEST(JobControl, WhatWasAskedOfItIsForgottenWithWhatItDid) {
  struct Case {
    v1::AskedState asked;
    JobEnd end;
    v1::AskedState::What left;
  };
  for (const auto& c : {Case{asked_for(v1::AskedState::pause), JobEnd::paused, v1::AskedState::nothing},
                        Case{asked_for(v1::AskedState::resume), JobEnd::paused, v1::AskedState::resume},
                        Case{asked_for(v1::AskedState::cancel), JobEnd::cancelled, v1::AskedState::nothing},
                        Case{asked_for(v1::AskedState::resume, true), JobEnd::finished, v1::AskedState::nothing}}) {
    World w;
    Life life(w);
    auto& job = life.start(sync_command());
    w.clock.run_for(100ms);
    Contribution contribution;
    contribution.journal.push_back(asked_entry(kJob, c.asked));
    life.committer().submit(std::move(contribution));
    if (c.end == JobEnd::paused) job.pause();
    if (c.end == JobEnd::cancelled) job.cancel();
    ASSERT_TRUE(life.run(5s));
    EXPECT_EQ(*life.end, c.end);
    EXPECT_EQ(w.memory().asked(kJob).what(), c.left);
    EXPECT_FALSE(w.memory().asked(kJob).withdrawn());
  }
}

}  // namespace
}  // namespace stsync::sync
