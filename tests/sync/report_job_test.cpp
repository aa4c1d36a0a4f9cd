// Jobs that read reports: one run a minute whoever runs it, nothing twice after a crash, nothing left at the vendor.
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../servicetitan/report_desk.hpp"
#include "job_play.hpp"
#include "servicetitan/classify.hpp"
#include "support/seeds.hpp"

namespace stsync::sync {
namespace {

using namespace std::chrono_literals;
using core::ErrorKind;
using servicetitan::test::ReportDesk;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

v1::Command report_command(const std::string& id = "j1") {
  auto c = sync_command(v1::report, id);
  c.mutable_sync()->set_resource("reporting.reports");
  c.mutable_sync()->mutable_report()->set_category("operations");
  c.mutable_sync()->mutable_report()->set_id(17);
  return c;
}

/// The vendor's desk behind the jobs of a world, with its quota.
struct ReportWorld : World {
  ReportWorld() {
    catalogue = servicetitan::Catalogue::load("resources: {reporting.reports: {report: {page_size: 10}}}", "over.yaml").value();
    feed.any = [this](const servicetitan::Request& request) { return answer(request); };
  }

  core::Result<servicetitan::FetchedPage> answer(const servicetitan::Request& request) {
    if (request.turn && request.turn->run) {
      runs.push_back(clock.wall_now());
      if (refusals > 0) {
        --refusals;
        return core::fail(core::Error(ErrorKind::throttled, "HTTP 429").with_status(429).with_retry_after(retry_after));
      }
    }
    if (failure) return core::fail(*failure);
    const auto got = desk.answer(request);
    if (got.status == 204) return servicetitan::FetchedPage{std::make_shared<const core::Body>(), {}, 204};
    if (auto error = servicetitan::error_of_status(got.status, got.body, nullptr, {}); error && got.status != 202)
      return core::fail(*error);
    auto fields = request.fields;
    fields.columns = got.status == 200;
    servicetitan::FetchedPage out{std::make_shared<const core::Body>(got.body), {}, got.status};
    auto cut = codec::cut_page(out.body->view(), fields);
    if (!cut) return core::fail(cut.error());
    out.page = std::move(*cut);
    return out;
  }
  /// The end of a life takes 70 seconds; what comes next is to come right behind it.
  void at_once() { clock.jump_wall(-70s); }
  core::Duration closest_runs() const {
    core::Duration out = 1000h;
    for (std::size_t i = 1; i < runs.size(); ++i) out = std::min<core::Duration>(out, runs[i] - runs[i - 1]);
    return out;
  }
  std::vector<v1::StatusEvent> events(v1::StatusEvent::Type type) const {
    std::vector<v1::StatusEvent> out;
    for (const auto& m : of("st.status")) {
      v1::StatusEvent e;
      if (codec::from_json(*m.value, e) && e.type() == type) out.push_back(e);
    }
    return out;
  }
  std::vector<std::string> published() const {
    std::vector<std::string> out;
    for (const auto& m : of("st.reporting.reports")) out.push_back(m.value.value_or(""));
    return out;
  }
  std::vector<std::string> all_rows() const {
    std::vector<std::string> out;
    for (std::int64_t row = 0; row < desk.rows; ++row) out.push_back(desk.object(row));
    return out;
  }

  ReportDesk desk;
  std::vector<core::WallTime> runs;
  int refusals = 0;
  std::chrono::milliseconds retry_after{7000};
  std::optional<core::Error> failure;
};

const std::string kJob = job_journal_key("acme", 1001, "j1");
const std::string kStream = "stream/acme/1001/reporting.reports/operations/17";

TEST(ReportJob, PublishesRowsAsObjectsUnderTheNameOfTheReport) {
  ReportWorld w;
  Life life(w);
  life.start(report_command());
  ASSERT_TRUE(life.run());
  EXPECT_EQ(*life.end, JobEnd::finished);
  EXPECT_EQ(w.published(), w.all_rows());
  const auto records = w.of("st.reporting.reports");
  EXPECT_THAT(records.front().key, ::testing::MatchesRegex("1001:operations/17:#[0-9a-f]+"));
  EXPECT_EQ(records.front().headers.at("st-source"), "acme/1001/integration/reporting.reports");
  EXPECT_EQ(records.back().headers.at("st-job"), "j1:24");
  const auto memory = w.memory();
  EXPECT_EQ(memory.job(kJob)->phase(), v1::JobState::completed);
  EXPECT_EQ(memory.job(kJob)->counts().pages(), 3) << "answers without rows are no pages";
  EXPECT_EQ(memory.stream(kStream).report_layout(), "\"Id\"\n\"Name\"");
  EXPECT_THAT(w.desk.runs, IsEmpty()) << "nothing stays at the vendor";
}

TEST(ReportJob, EveryPageIsARunAndRunsAreAMinuteApart) {
  ReportWorld w;
  Life life(w);
  life.start(report_command());
  ASSERT_TRUE(life.run());
  EXPECT_THAT(w.runs, SizeIs(3));
  EXPECT_GE(w.closest_runs(), 60s);
  const auto waits = w.events(v1::StatusEvent::throttled);
  ASSERT_THAT(waits, SizeIs(2)) << "a wait is told once";
  EXPECT_THAT(waits[0].failure().message(), HasSubstr("reporting.reports/operations/17 may be run again at 2026-01-01T00:01:"));
  EXPECT_EQ(waits[0].counts().throttled(), 0) << "no 429 was needed";
}

TEST(ReportJob, ASecondJobOfTheReportWaitsTooAndAnotherWorkerDoes) {
  ReportWorld w;
  w.desk.rows = 5;
  for (const auto* id : {"j1", "j2"}) {
    Life life(w);  // another worker
    life.start(report_command(id));
    ASSERT_TRUE(life.run());
    w.at_once();
  }
  EXPECT_THAT(w.runs, SizeIs(2));
  EXPECT_GE(w.closest_runs(), 60s);
}

TEST(ReportJob, AWorkerThatDiesInItsRunLeavesItsTimeBehind) {
  ReportWorld w;
  w.feed.takes = 5s;
  {
    Life life(w);
    life.start(report_command());
    w.clock.run_for(1s);  // the call is under way, nothing of it is committed
    life.give_up.request_stop();
    w.at_once();
  }
  EXPECT_GT(w.memory().stream(kStream).report_run_ms(), 0);
  w.feed.takes = 40ms;
  const auto died = w.memory().stream(kStream).report_run_ms();
  Life life(w);
  life.start(report_command());
  ASSERT_TRUE(life.run());
  EXPECT_GE(w.runs.front().time_since_epoch().count(), died + 60'000);
  EXPECT_EQ(w.published(), w.all_rows());
}

TEST(ReportJob, WaitsAsLongAsARefusalSays) {
  ReportWorld w;
  w.desk.rows = 5;
  w.refusals = 2;
  Life life(w);
  life.start(report_command());
  ASSERT_TRUE(life.run());
  ASSERT_THAT(w.runs, SizeIs(3));
  EXPECT_GE(w.closest_runs(), 7s);
  EXPECT_LT(w.closest_runs(), 8s);
  EXPECT_EQ(w.published(), w.all_rows());
}

TEST(ReportJob, HoldsNoMemoryOfPagesWhileItWaits) {
  ReportWorld w;
  Life life(w);
  life.start(report_command());
  ASSERT_TRUE(w.clock.run_until([&w] { return w.published().size() == 10; }, 1h));
  w.clock.run_for(20s);
  EXPECT_EQ(w.runs.size(), 1u) << "it waits for its turn";
  EXPECT_EQ(life.page_memory().used(), 0u);
}

TEST(ReportJob, CancelledGivesItsRunBack) {
  for (const auto asked : {JobEnd::cancelled, JobEnd::paused}) {
    ReportWorld w;
    w.desk.polls = 1000;
    Life life(w);
    auto& job = life.start(report_command());
    w.clock.run_for(10s);
    EXPECT_THAT(w.desk.runs, SizeIs(1));
    asked == JobEnd::cancelled ? job.cancel() : job.pause();
    ASSERT_TRUE(life.run());
    EXPECT_EQ(*life.end, asked);
    EXPECT_THAT(w.desk.runs, IsEmpty());
    EXPECT_EQ(w.memory().job(kJob)->crawl().report().token(), "");
    if (asked == JobEnd::cancelled) continue;
    w.desk.polls = 1;
    Life again(w);
    v1::JobState state = *again.memory().job(kJob);
    state.set_phase(v1::JobState::waiting);
    again.memory().apply({kJob, state});
    again.start(report_command());
    ASSERT_TRUE(again.run());
    EXPECT_EQ(w.published(), w.all_rows()) << "resumed";
  }
}

TEST(ReportJob, FailsWithWhatTheVendorSays) {
  ReportWorld w;
  w.failure =
      *servicetitan::error_of_status(400, R"({"title":"Bad","errors":{"From":["The From field is required."]}})", nullptr, {});
  Life life(w);
  life.start(report_command());
  ASSERT_TRUE(life.run());
  const auto failed = w.events(v1::StatusEvent::failed);
  ASSERT_THAT(failed, SizeIs(1));
  EXPECT_EQ(failed[0].failure().code(), "bad_request");
  EXPECT_THAT(failed[0].failure().message(), HasSubstr("From: The From field is required."));
  EXPECT_THAT(w.runs, SizeIs(1)) << "not tried again";
}

TEST(ReportJob, TellsOfChangedColumnsInANote) {
  ReportWorld w;
  Life life(w);
  life.start(report_command());
  ASSERT_TRUE(w.clock.run_until([&w] { return w.published().size() == 10; }, 1h));
  w.desk.columns = {"Name", "Id"};
  ASSERT_TRUE(life.run());
  auto all = w.published();
  ASSERT_EQ(all.size(), 10u + 25u);
  all.erase(all.begin(), all.begin() + 10);
  EXPECT_EQ(all, w.all_rows());
  std::vector<std::string> notes;
  for (const auto& e : w.events(v1::StatusEvent::progress))
    if (!e.note().empty()) notes.push_back(e.note());
  EXPECT_THAT(notes, ::testing::ElementsAre(HasSubstr("its columns changed while it was read, all of it is read again")));
}

TEST(ReportJob, C1_to_C8_SurvivesCrashesAtAnyMoment) {
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(60); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    ReportWorld w;
    w.config.apps.front().limits.reports_per_minute = 1 + static_cast<int>(random() % 60);
    w.desk.rows = static_cast<std::int64_t>(random() % 60);
    w.desk.async = random() % 3 != 0;
    w.desk.quick = random() % 4 == 0;
    w.desk.polls = static_cast<int>(random() % 3);
    w.feed.takes = core::Duration(std::chrono::milliseconds(random() % 500));
    int lives = 0;
    for (bool done = false; !done && lives < 300; ++lives) {
      Life life(w);
      life.start(report_command());
      const auto lifetime = std::chrono::milliseconds(random() % 20'000);
      done = life.run_and_die(lifetime, random() % 2 == 0, kJob);
    }
    ASSERT_LT(lives, 300);
    EXPECT_EQ(w.memory().job(kJob)->phase(), v1::JobState::completed);
    EXPECT_EQ(w.published(), w.all_rows());
    std::int64_t seq = 0;
    for (const auto& m : w.of("st.reporting.reports")) EXPECT_EQ(m.headers.at("st-job"), fmt::format("j1:{}", seq++));
    if (w.desk.async) EXPECT_GE(w.closest_runs(), 60s / w.config.apps.front().limits.reports_per_minute);
  }
}

}  // namespace
}  // namespace stsync::sync
