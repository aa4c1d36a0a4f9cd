// A job from its start to its end in virtual time: what it publishes, what it tells, and that it survives any crash.
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.hpp"
#include "job_play.hpp"
#include "servicetitan/classify.hpp"
#include "support/seeds.hpp"

namespace stsync::sync {
namespace {

using namespace std::chrono_literals;
using core::ErrorKind;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const std::string kJob = job_journal_key("acme", 1001, "j1");
const std::string kStream = stream_journal_key("acme", 1001, "jpm.jobs");

TEST(Job, PublishesAFeedAndMovesTheCursorWithItsEnd) {
  World w;
  Life life(w);
  life.start(sync_command());
  ASSERT_TRUE(life.run());
  EXPECT_EQ(*life.end, JobEnd::finished);
  expect_every_row_once(w);
  const auto memory = w.memory();
  EXPECT_EQ(memory.job(kJob)->phase(), v1::JobState::completed);
  EXPECT_EQ(memory.job(kJob)->counts().records(), 50);
  EXPECT_EQ(memory.job(kJob)->counts().pages(), 5);
  EXPECT_EQ(memory.job(kJob)->counts().calls(), 5);
  EXPECT_FALSE(memory.job(kJob)->has_crawl()) << "nobody goes on from there";
  EXPECT_EQ(memory.stream(kStream).token(), "r50");
  EXPECT_EQ(w.statuses().front(), "started");
  EXPECT_EQ(w.statuses().back(), "completed");
}

TEST(Job, C1_to_C8_SurvivesCrashesAtAnyMoment) {
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(100); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    World w;
    w.feed.rows = 1 + static_cast<int>(random() % 300);
    w.feed.page = 1 + static_cast<int>(random() % 40);
    w.feed.takes = core::Duration(std::chrono::milliseconds(random() % 200));
    int lives = 0;
    for (bool done = false; !done && lives < 200; ++lives) {
      Life life(w);
      life.start(sync_command(random() % 2 == 0 ? v1::full : v1::incremental));
      const auto lifetime = std::chrono::milliseconds(random() % 1500);
      done = life.run_and_die(lifetime, random() % 2 == 0, kJob);
    }
    ASSERT_LT(lives, 200);
    const auto memory = w.memory();
    // The last commit may have been the one nobody heard of.
    ASSERT_EQ(memory.job(kJob)->phase(), v1::JobState::completed);
    expect_every_row_once(w);
    EXPECT_EQ(memory.stream(kStream).token(), fmt::format("r{}", w.feed.rows));
    EXPECT_EQ(memory.job(kJob)->counts().records(), w.feed.rows);
  }
}

TEST(Job, AnIncrementalGoesOnFromTheCursorAndWithoutOneReadsEverything) {
  World w;
  {
    Life life(w);
    life.start(sync_command(v1::incremental));
    ASSERT_TRUE(life.run());
  }
  expect_every_row_once(w);
  w.feed.rows = 53;
  Life life(w);
  life.start(sync_command(v1::incremental, "j2"));
  ASSERT_TRUE(life.run());
  const auto records = w.of("st.jpm.jobs");
  ASSERT_EQ(records.size(), 53u);
  EXPECT_EQ(records.back().headers.at("st-job"), "j2:2");
  EXPECT_EQ(w.memory().stream(kStream).token(), "r53");
}

TEST(Job, AFullLeavesACursorAloneThatWasMovedMeanwhile) {
  World w;
  Life life(w);
  life.start(sync_command());
  w.clock.run_for(100ms);
  v1::StreamState moved;
  moved.set_token("r7");
  moved.set_version(9);
  life.memory().apply({kStream, moved});
  ASSERT_TRUE(life.run());
  EXPECT_EQ(life.memory().stream(kStream).token(), "r7");
}

TEST(Job, AWindowLeavesTheCursorAlone) {
  World w;
  auto command = sync_command(v1::window);
  command.mutable_sync()->mutable_from()->set_seconds(1'700'000'000);
  command.mutable_sync()->mutable_to()->set_seconds(1'900'000'000);
  Life life(w);
  life.start(command);
  ASSERT_TRUE(life.run());
  expect_every_row_once(w);
  EXPECT_EQ(w.memory().stream(kStream).token(), "");
  EXPECT_EQ(w.feed.asked.front(), "2023-11-14T22:13:20.000Z");
}

TEST(Job, AListsWindowEndsBeforeTheVendorsNowEvenWhenOurClockIsAhead) {
  World w;
  w.config.worker.settle = 1min;
  w.feed.tells_behind = 1h;
  std::vector<std::string> ends;
  w.feed.list = [&](const servicetitan::Query& query) {
    for (const auto& [name, value] : query)
      if (name == "modifiedBefore") ends.push_back(value);
    return std::string(R"({"hasMore":false,"page":1,"pageSize":500,"totalCount":0,"data":[]})");
  };
  auto command = sync_command();
  command.mutable_sync()->set_resource("marketing.campaigns");
  Life life(w);
  life.start(command);
  ASSERT_TRUE(life.run());
  EXPECT_THAT(ends, ElementsAre("2025-12-31T23:59:00.000Z", "2025-12-31T22:59:00.040Z"));
  EXPECT_EQ(w.memory().stream(stream_journal_key("acme", 1001, "marketing.campaigns")).watermark_ms(), 1767225600040 - 3'660'000);
}

TEST(Job, AsksForHalfAsMuchWhereAPageTakesTooLong) {
  World w;
  std::vector<std::int64_t> sizes;
  w.feed.list = [&](const servicetitan::Query& query) -> core::Result<std::string> {
    std::map<std::string, std::string> q(query.begin(), query.end());
    const auto size = *core::parse_int(q.at("pageSize")), page = *core::parse_int(q.at("page"));
    sizes.push_back(size);
    if (size > 150)
      return core::fail(core::Error(core::ErrorKind::timeout, "no answer for 120 s").with_status(servicetitan::kTooSlow));
    std::string data;
    for (auto i = (page - 1) * size; i < std::min<std::int64_t>(300, page * size); ++i)
      data += fmt::format(R"({}{{"id":{},"modifiedOn":"2025-01-01T00:00:00Z"}})", data.empty() ? "" : ",", i + 1);
    return fmt::format(R"({{"hasMore":{},"page":{},"pageSize":{},"totalCount":300,"data":[{}]}})", page * size < 300, page, size,
                       data);
  };
  auto command = sync_command();
  command.mutable_sync()->set_resource("inventory.vendors");
  Life life(w);
  life.start(command);
  ASSERT_TRUE(life.run());
  EXPECT_EQ(w.of("st.inventory.vendors").size(), 300u);
  ASSERT_GE(sizes.size(), 5u);
  EXPECT_THAT(std::vector(sizes.begin(), sizes.begin() + 3), ElementsAre(500, 250, 125));
  EXPECT_EQ(*std::max_element(sizes.begin() + 2, sizes.end()), 125) << "it does not grow back to what took too long";
}

TEST(Job, AsksAgainForAPageThatCannotBeUsedAndThenFails) {
  World w;
  int bad = 2;
  w.feed.answer = [&](const std::string& from) -> core::Result<std::string> {
    if (from == "r20" && bad-- > 0) return std::string(R"({"hasMore":true,"continueFrom":"x"})");
    return w.feed.page_at(from);
  };
  {
    Life life(w);
    life.start(sync_command());
    ASSERT_TRUE(life.run());
    expect_every_row_once(w);
    EXPECT_THAT(w.statuses(), Contains("retrying").Times(2));
  }
  w.log.clear();
  bad = 1000;
  Life life(w);
  life.start(sync_command());
  ASSERT_TRUE(life.run());
  EXPECT_EQ(*life.end, JobEnd::finished);
  const auto memory = w.memory();
  EXPECT_EQ(memory.job(kJob)->phase(), v1::JobState::failed);
  EXPECT_EQ(memory.job(kJob)->failure().code(), "malformed");
  EXPECT_EQ(memory.job(kJob)->counts().records(), 20);
  EXPECT_EQ(w.of("st.jpm.jobs").size(), 20u) << "what was read before stays";
  EXPECT_EQ(memory.stream(kStream).token(), "") << "a full that failed moves no cursor";
  EXPECT_EQ(w.statuses().back(), "failed");
}

TEST(Job, FailsAtOnceWhereTheVendorWillNeverAnswer) {
  World w;
  w.feed.answer = [](const std::string&) -> core::Result<std::string> { return core::fail(ErrorKind::forbidden, "no scope"); };
  Life life(w);
  life.start(sync_command());
  ASSERT_TRUE(life.run());
  EXPECT_EQ(w.feed.asked.size(), 1u);
  EXPECT_EQ(w.memory().job(kJob)->failure().code(), "forbidden");
  EXPECT_THAT(w.of("st.status").back().value.value(), HasSubstr("no scope"));
}

TEST(Job, WaitsForCredentialsThatWork) {
  World w;
  bool good = false;
  w.feed.answer = [&](const std::string& from) -> core::Result<std::string> {
    if (good) return w.feed.page_at(from);
    core::Error e(ErrorKind::unauthorized, "invalid_client");
    return core::fail(e.with_retry_after(60s));
  };
  Life life(w);
  life.start(sync_command());
  EXPECT_FALSE(life.run(10min));
  EXPECT_GE(w.feed.asked.size(), 10u);
  EXPECT_LE(w.feed.asked.size(), 11u) << "once a minute";
  EXPECT_THAT(w.statuses(), Contains("auth_failed"));
  good = true;
  ASSERT_TRUE(life.run(2min));
  expect_every_row_once(w);
}

TEST(Job, ItsIdsAreInTheJournalAsTheyWereInTheCommandAndCountedWithItsPages) {
  World w;
  auto command = sync_command(v1::ids);
  for (int i = 0; i < 3; ++i) command.mutable_sync()->add_ids(std::to_string(100 + i));
  std::vector<std::string> asked;
  w.feed.takes = 10s;
  w.feed.any = [&](const servicetitan::Request& r) -> core::Result<servicetitan::FetchedPage> {
    for (const auto& [name, value] : r.query)
      if (name == "ids") asked.push_back(value);
    return core::fail(ErrorKind::forbidden, "no scope");
  };
  Life life(w);
  pack_ids(*command.mutable_sync());
  life.start(command);
  w.clock.run_for(1s);
  EXPECT_EQ(life.page_memory().used(), 2 * w.config.worker.page_buffer + 3 * 12) << "a page takes its entry of the journal with it";
  ASSERT_TRUE(life.run());
  EXPECT_THAT(asked, ElementsAre("100,101,102"));
  v1::JobState first;
  ASSERT_TRUE(first.ParseFromString(w.of("st.journal").front().value.value()));
  EXPECT_THAT(first.command().sync().ids(), ElementsAre("100", "101", "102"));
}

TEST(Job, WhoeverTakesItOverKeepsThePauseThatItWasIn) {
  World w;
  int refused = 0;
  w.feed.answer = [&](const std::string& from) -> core::Result<std::string> {
    if (from != "r20" || refused++ > 0) return w.feed.page_at(from);
    return core::fail(core::Error(ErrorKind::unauthorized, "no such client").with_retry_after(5min));
  };
  {
    Life life(w);
    life.start(sync_command());
    w.clock.run_for(1s);
    const auto* job = life.memory().job(kJob);
    EXPECT_EQ(job->phase(), v1::JobState::auth_failed);
    EXPECT_EQ(job->not_before_ms() - job->stalled_ms(), 300'000);
    ASSERT_FALSE(life.run_and_die(1min, true, kJob));
  }
  const auto died = w.clock.now();
  Life life(w);
  life.start(sync_command());
  const auto calls = w.feed.asked.size();
  EXPECT_FALSE(life.run(2min));
  EXPECT_EQ(w.feed.asked.size(), calls) << "it is still to wait";
  ASSERT_TRUE(life.run(5min));
  EXPECT_LT(w.clock.now() - died, 5min);
  expect_every_row_once(w);
  EXPECT_EQ(w.memory().job(kJob)->not_before_ms(), 0) << "it got on";
}

TEST(Job, IsGivenUpWhenItHasNotGotOnForTooLong) {
  World w;
  w.config.worker.give_up_after = 2h;
  w.feed.answer = [&](const std::string& from) -> core::Result<std::string> {
    if (from.empty()) return w.feed.page_at(from);
    return core::fail(ErrorKind::unauthorized, "no such client");
  };
  Life life(w);
  life.start(sync_command());
  EXPECT_FALSE(life.run(119min));
  ASSERT_TRUE(life.run(3min));
  EXPECT_EQ(w.memory().job(kJob)->phase(), v1::JobState::failed);
  EXPECT_EQ(w.memory().job(kJob)->failure().code(), "unauthorized");
  EXPECT_THAT(w.memory().job(kJob)->failure().message(), HasSubstr("2h"));
  EXPECT_EQ(w.of("st.jpm.jobs").size(), 10u);
}

TEST(Job, WhileNobodyWorksOnItItsPatienceDoesNotRunOut) {
  World w;
  w.config.worker.give_up_after = 2h;
  int refused = 0;
  w.feed.answer = [&](const std::string& from) -> core::Result<std::string> {
    if (from != "r20" || refused++ > 2) return w.feed.page_at(from);
    return core::fail(ErrorKind::unauthorized, "no such client");
  };
  {
    Life life(w);
    life.start(sync_command());
    w.clock.run_for(30s);
    EXPECT_EQ(life.memory().job(kJob)->phase(), v1::JobState::auth_failed);
    ASSERT_FALSE(life.run_and_die(1s, true, kJob));
  }
  w.clock.run_for(48h);  // without any worker
  Life life(w);
  life.start(sync_command());
  ASSERT_TRUE(life.run(1h));
  EXPECT_EQ(w.memory().job(kJob)->phase(), v1::JobState::completed);
  EXPECT_EQ(refused, 4) << "it was refused again after that";
}

TEST(Job, GivenUpItFailsWithWhatItIsToldUnlessItIsCancelled) {
  for (const bool cancelled : {false, true}) {
    World w;
    Life life(w);
    auto& job = life.start(sync_command());
    w.clock.run_for(100ms);
    job.pause();
    if (cancelled) job.cancel();
    job.give_up(core::Error(ErrorKind::expired, "the job was to end by now"));
    ASSERT_TRUE(life.run(1s));
    EXPECT_EQ(w.statuses().back(), cancelled ? "cancelled" : "failed");
    EXPECT_EQ(w.memory().job(kJob)->failure().code(), cancelled ? "" : "expired");
  }
}

TEST(Job, TooManyDeadLettersWithinAnHourEndIt) {
  for (const bool slowly : {false, true}) {
    World w;
    w.config.worker.max_dead_letters = 25;
    if (slowly) w.feed.takes = 31min;
    Life life(w);
    life.record_topic.record_limit = 100;  // no record fits
    life.start(sync_command());
    ASSERT_TRUE(life.run(5h));
    const auto job = *w.memory().job(kJob);
    EXPECT_EQ(job.phase(), slowly ? v1::JobState::completed : v1::JobState::failed);
    EXPECT_EQ(job.failure().code(), slowly ? "" : "dead_letters");
    EXPECT_EQ(w.of("st.dlq").size(), slowly ? 50u : 20u) << "the page that would cross the line is not published";
    EXPECT_EQ(job.counts().dead_letters(), slowly ? 50 : 20);
  }
}

TEST(Job, ItsEndIsSaidAgainUntilItCanBeWritten) {
  World w;
  w.feed.answer = [](const std::string&) -> core::Result<std::string> { return core::fail(ErrorKind::forbidden, "no scope"); };
  Life life(w);
  bool gone = true;
  life.answer = [&](const kafka::Batch& batch) {
    for (const auto& m : batch.messages)
      if (gone && m.topic == "st.status") return FakeRunner::failed(kafka::Outcome::aborted, ErrorKind::not_found);
    return FakeRunner::ok();
  };
  auto& job = life.start(sync_command());
  EXPECT_FALSE(life.run(10min)) << "a lane would take it for ended and never look at it again";
  EXPECT_TRUE(job.ending());
  gone = false;
  ASSERT_TRUE(life.run(1min));
  EXPECT_EQ(*life.end, JobEnd::finished);
  EXPECT_EQ(w.memory().job(kJob)->phase(), v1::JobState::failed);
  EXPECT_THAT(w.statuses(), ElementsAre("failed"));
}

TEST(Job, StopsSayingItsEndWhenTheLaneStops) {
  World w;
  w.feed.answer = [](const std::string&) -> core::Result<std::string> { return core::fail(ErrorKind::forbidden, "no scope"); };
  Life life(w);
  life.answer = [&](const kafka::Batch&) { return FakeRunner::failed(kafka::Outcome::aborted, ErrorKind::not_found); };
  life.start(sync_command());
  EXPECT_FALSE(life.run(1min));
  life.stop.request_stop();
  ASSERT_TRUE(life.run(1s));
  EXPECT_EQ(*life.end, JobEnd::lane_stopped);
}

TEST(Job, PausedBehindAPageThatCannotBePublishedItFailsAndNeverStepsOverThePage) {
  World w;
  w.feed.takes = 1ms;
  w.feed.answer = [&](const std::string& from) -> core::Result<std::string> {
    if (from == "r10") return std::string(R"({"hasMore":true,"continueFrom":"x"})");  // to be asked for again after a pause
    return w.feed.page_at(from);
  };
  Life life(w);
  life.answer = [](const kafka::Batch& batch) {
    return batch.runs.empty() ? FakeRunner::ok() : FakeRunner::failed(kafka::Outcome::aborted, ErrorKind::not_found);
  };
  auto& job = life.start(sync_command());
  ASSERT_TRUE(w.clock.run_until([&] { return w.feed.asked.size() == 2; }, 1s));
  job.pause();  // the first page is on its way to the broker
  ASSERT_TRUE(life.run(10s));
  EXPECT_EQ(*life.end, JobEnd::finished);
  const auto memory = w.memory();
  EXPECT_EQ(memory.job(kJob)->phase(), v1::JobState::failed);
  EXPECT_EQ(memory.job(kJob)->counts().records(), 0);
  EXPECT_EQ(memory.job(kJob)->crawl().feed().token(), "") << "it would go on behind a page that nobody published";
}

TEST(Job, ARecordThatItsTopicDoesNotTakeIsADeadLetter) {
  World w;
  w.feed.answer = [&](const std::string&) -> core::Result<std::string> {
    return R"({"hasMore":false,"continueFrom":"x","data":[{"id":1},{"id":2,"x":")" + std::string(2000, 'x') + R"("},{"id":3}]})";
  };
  Life life(w);
  life.record_topic.record_limit = 1000;
  life.start(sync_command());
  ASSERT_TRUE(life.run());
  EXPECT_EQ(w.of("st.jpm.jobs").size(), 2u);
  EXPECT_EQ(w.of("st.jpm.jobs").back().headers.at("st-job"), "j1:1") << "no gap in the sequence";
  const auto letters = w.of("st.dlq");
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].key, "1001:2");
  EXPECT_EQ(letters[0].headers.at("st-error-code"), "too_large");
  EXPECT_EQ(w.memory().job(kJob)->counts().dead_letters(), 1);
}

TEST(Job, APageInAFileIsPublishedAsAnyOther) {
  core::Spool spool(::testing::TempDir());
  World w;
  w.feed.spool = &spool;
  Life life(w);
  int failures = 2;
  life.answer = [&](const kafka::Batch& batch) {
    for (const auto& m : shown(batch)) EXPECT_NE(m.key, "");
    return failures-- > 0 ? FakeRunner::failed(kafka::Outcome::aborted, ErrorKind::broker) : FakeRunner::ok();
  };
  life.start(sync_command());
  ASSERT_TRUE(life.run());
  expect_every_row_once(w);
}

TEST(Job, APageInAFileTakesTheMemoryOfItsListOfRecordsAndOfAQueue) {
  constexpr std::size_t kRow = 1'000'000;
  core::Spool spool(::testing::TempDir());
  World w;
  w.config.worker.page_buffer = 1u << 20;
  std::string rows;
  for (int i = 0; i < 40; ++i) rows += fmt::format(R"({}{{"id":{},"x":"{}"}})", i == 0 ? "" : ",", i, std::string(kRow, 'x'));
  w.feed.answer = [&](const std::string&) -> core::Result<std::string> {
    return R"({"hasMore":false,"continueFrom":"x","data":[)" + rows + "]}";
  };
  for (const bool in_file : {false, true}) {
    w.feed.spool = in_file ? &spool : nullptr;
    Life life(w);
    life.record_topic.record_limit = 2 * kRow;
    std::size_t most = 0;
    life.answer = [&](const kafka::Batch& batch) {
      if (!batch.runs.empty()) most = std::max(most, life.page_memory().used());
      return FakeRunner::ok();
    };
    life.start(sync_command(v1::full, in_file ? "j2" : "j1"));
    ASSERT_TRUE(life.run());
    if (in_file) {
      EXPECT_LT(most, kafka::kQueueBytes + (5u << 20));
      EXPECT_GE(most, kafka::kQueueBytes);
    } else {
      EXPECT_GE(most, 2 * 40 * kRow) << "itself, and in the producer's queue";
    }
  }
  EXPECT_EQ(w.of("st.jpm.jobs").size(), 80u);
}

TEST(Job, ThoseThatWaitForMemoryDoNotKeepThatOfTheirCommittedPages) {
  World w;
  auto other = w.config.apps[0].tenants[0];
  other.id = 1002;
  w.config.apps[0].tenants.push_back(other);
  w.config.worker.page_buffer = w.feed.page_at("").size();
  w.page_memory = 4 * w.feed.page_at("").size() + 100;  // for one page of each, twice
  Life life(w);
  auto second = sync_command(v1::full, "j2");
  second.set_tenant(1002);
  life.start(sync_command(v1::full, "j1"));
  life.start(second);
  ASSERT_TRUE(life.run());
  EXPECT_EQ(w.of("st.jpm.jobs").size(), 100u);
}

TEST(Job, C14_ADiskWithoutRoomFailsItAndNothingMoves) {
  World w;
  w.feed.answer = [](const std::string&) -> core::Result<std::string> { return core::fail(ErrorKind::spool_full, "no room"); };
  Life life(w);
  life.start(sync_command(v1::incremental));
  ASSERT_TRUE(life.run());
  EXPECT_EQ(w.feed.asked.size(), 1u) << "whether there is room again is for a person to say";
  EXPECT_EQ(w.memory().job(kJob)->phase(), v1::JobState::failed);
  EXPECT_EQ(w.memory().job(kJob)->failure().code(), "spool_full");
  EXPECT_EQ(w.memory().stream(kStream).token(), "");
}

TEST(Job, ATopicThatIsGoneFailsItAndNothingMoves) {
  World w;
  Life life(w);
  life.answer = [](const kafka::Batch& batch) {
    return batch.runs.empty() ? FakeRunner::ok() : FakeRunner::failed(kafka::Outcome::aborted, ErrorKind::not_found);
  };
  life.start(sync_command(v1::incremental));
  ASSERT_TRUE(life.run());
  EXPECT_EQ(w.memory().job(kJob)->phase(), v1::JobState::failed);
  EXPECT_EQ(w.memory().job(kJob)->counts().records(), 0);
  EXPECT_EQ(w.memory().stream(kStream).token(), "");
  EXPECT_THAT(w.of("st.jpm.jobs"), IsEmpty());
}

TEST(Job, AskedToStopItEndsWithinTheCallAndSaysNothing) {
  World w;
  w.feed.takes = 60s;
  Life life(w);
  life.start(sync_command());
  w.clock.run_for(1s);
  life.stop.request_stop();
  ASSERT_TRUE(life.run(1s));
  EXPECT_EQ(*life.end, JobEnd::lane_stopped);
  EXPECT_THAT(w.statuses(), Not(Contains("failed")));
}

}  // namespace
}  // namespace stsync::sync
