#include "sync/status.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/wire.hpp"
#include "core/text.hpp"

namespace stsync::sync {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

const core::WallTime kNow = *core::parse_utc("2026-01-02T03:04:05.678Z");

v1::JobState job_of(const std::string& app, const std::string& id = "j1", const std::string& resource = "jpm.jobs") {
  v1::JobState job;
  job.mutable_command()->set_id(id);
  job.mutable_command()->set_app(app);
  job.mutable_command()->set_tenant(1001);
  job.mutable_command()->mutable_sync()->set_resource(resource);
  return job;
}

TEST(Status, SaysWhichJobAndHowFarItIs) {
  auto job = job_of("acme");
  job.mutable_counts()->set_pages(3);
  job.mutable_counts()->set_records(1500);
  const auto m = status_message("st.status", job_event(v1::StatusEvent::progress, job, kNow));
  EXPECT_EQ(m.topic, "st.status");
  EXPECT_EQ(m.key, "acme:1001");
  EXPECT_EQ(m.partition, kafka::kAnyPartition);
  EXPECT_EQ(m.value,
            R"({"type":"progress","job":"j1","app":"acme","tenant":1001,"resource":"jpm.jobs","time":"2026-01-02T03:04:05.678Z",)"
            R"("counts":{"pages":3,"records":1500,"bytes":0,"calls":0,"throttled":0,"retries":0,"dead_letters":0}})");
}

TEST(Status, AnEndCanBeToldOnceMore) {
  auto job = job_of("acme");
  job.set_phase(v1::JobState::running);
  EXPECT_FALSE(end_event(job, kNow));
  job.set_phase(v1::JobState::failed);
  job.mutable_failure()->set_code("cursor_lost");
  job.set_target("j2");
  const auto end = end_event(job, kNow);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->type(), v1::StatusEvent::failed);
  EXPECT_EQ(end->failure().code(), "cursor_lost");
  EXPECT_EQ(end->target(), "j2");
}

TEST(Status, ALateCommandIsToldWhomToFollow) {
  auto job = job_of("acme");
  job.set_target("first");
  EXPECT_EQ(job_event(v1::StatusEvent::coalesced, job, kNow).target(), "first");
}

TEST(Status, NamesAsLongAsTheyMayBeStayAsTheyAre) {
  const std::string id(64, '-'), app(63, 'a'), resource = "api." + std::string(80, 'r');
  const auto e = job_event(v1::StatusEvent::accepted, job_of(app, id, resource), kNow);
  EXPECT_EQ(e.job(), id);
  EXPECT_EQ(e.app(), app);
  EXPECT_EQ(e.resource(), resource);
}

TEST(Status, E10_AnAnswerFitsItsTopicWhateverTheCommandSays) {
  const std::string long_name(250'000, '\x01');  // six bytes each in JSON
  const auto m = status_message("st.status", job_event(v1::StatusEvent::rejected, job_of(long_name, long_name, long_name), kNow));
  EXPECT_LT(m.key.size() + m.value->size(), 4096u);
  v1::StatusEvent e;
  EXPECT_TRUE(codec::from_json(*m.value, e));
  const auto unreadable = status_message("st.status", job_event(v1::StatusEvent::rejected, {}, kNow), std::string(900'000, 'k'));
  EXPECT_EQ(unreadable.key, std::string(1024, 'k'));
}

TEST(Status, AnUnreadableCommandIsAnsweredUnderItsOwnKey) {
  EXPECT_EQ(status_message("st.status", job_event(v1::StatusEvent::rejected, {}, kNow), "own").key, "own");
}

TEST(Status, AFailureCarriesAStableCodeAndBoundedText) {
  const auto f = failure_of({core::ErrorKind::forbidden, "no scope"}, "crawl", false);
  EXPECT_EQ(f.code(), "forbidden");
  EXPECT_EQ(f.stage(), "crawl");
  EXPECT_EQ(f.message(), "no scope");
  EXPECT_FALSE(f.retryable());
  EXPECT_EQ(failure_of({core::ErrorKind::server, std::string(5000, 'x')}, "request", true).message().size(), 1024u);
}

TEST(Status, TheTextOfAFailureIsNeverCutInTheMiddleOfACharacter) {
  for (std::size_t lead = 1020; lead <= 1024; ++lead) {
    v1::JobState job;
    *job.mutable_failure() = failure_of({core::ErrorKind::server, std::string(lead, 'x') + "é…😀"}, "crawl", false);
    v1::JobState read;
    EXPECT_TRUE(read.ParseFromString(job.SerializeAsString())) << "its journal entry could not be read again";
  }
}

}  // namespace
}  // namespace stsync::sync
