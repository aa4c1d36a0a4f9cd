// Reports of a vendor in memory: pages, runs that take their time, get lost and change their columns, with crashes in between.
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "report_desk.hpp"
#include "servicetitan/catalogue.hpp"
#include "servicetitan/classify.hpp"
#include "servicetitan/plan.hpp"
#include "support/seeds.hpp"

namespace stsync::servicetitan {
namespace {

using core::ErrorKind;
using test::ReportDesk;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

v1::Sync report_sync() {
  v1::Sync sync;
  sync.set_resource("reporting.reports");
  sync.set_mode(v1::report);
  sync.mutable_report()->set_category("operations");
  sync.mutable_report()->set_id(17);
  return sync;
}

void add(v1::Sync& sync, const std::string& name, const std::string& value) {
  auto& parameter = *sync.mutable_report()->add_parameters();
  parameter.set_name(name);
  parameter.set_value(value);
}

/// What a job would make of the crawl: its state and the stream's, what is published, what is told.
struct Play {
  explicit Play(ReportDesk& d, v1::Sync s = report_sync()) : desk(d), sync(std::move(s)) { begin(); }

  /// A new job of the stream.
  void begin() {
    const auto plan = servicetitan::plan({catalogue, resource(), sync, stream, 0, 0}).value();
    state = plan.start;
    load();
  }
  /// As after a crash: from what is journalled.
  void load() { crawl = make_crawl(catalogue, resource(), state, sync).value(); }
  const Resource& resource() const { return *catalogue.find("reporting.reports"); }

  /// One call; an error ends the crawl. What it publishes counts when `commit` says so.
  core::Result<bool> step(bool commit = true) {
    const auto request = crawl->next();
    last = request;
    const auto answer = desk.answer(request);
    core::Result<Step> step = core::fail(ErrorKind::internal, "");
    codec::Page page;
    if (answer.status == 204) {
      step = crawl->on_page({"", page, 204});
    } else if (answer.status >= 300) {
      step = crawl->on_refusal(*error_of_status(answer.status, answer.body, nullptr, {}));
    } else {
      auto fields = request.fields;
      fields.columns = answer.status == 200;
      auto cut = codec::cut_page(answer.body, fields);
      if (!cut) return core::fail(cut.error());
      page = std::move(*cut);
      step = crawl->on_page({answer.body, page, answer.status});
    }
    if (!step) return core::fail(step.error());
    if (!commit) return step->done;
    for (const auto i : step->publish) {
      std::string scratch;
      published.emplace_back(step->context.published(page.records[i].bytes.in(answer.body), scratch));
    }
    if (!step->note.empty()) notes.push_back(step->note);
    const auto role = state.role();
    state = crawl->state();
    state.set_role(role);
    crawl->move_cursor(stream);
    return step->done;
  }
  /// Until it is done; the error that ended it.
  core::Result<void> run() {
    for (int i = 0; i < 1000; ++i) {
      const auto done = step();
      if (!done) return core::fail(done.error());
      if (*done) return {};
    }
    return core::fail(ErrorKind::internal, "endless");
  }
  std::vector<std::string> all_rows() const {
    std::vector<std::string> out;
    for (std::int64_t row = 0; row < desk.rows; ++row) out.push_back(desk.object(row));
    return out;
  }

  ReportDesk& desk;
  v1::Sync sync;
  Catalogue catalogue = Catalogue::load("resources: {reporting.reports: {report: {page_size: 10}}}", "over.yaml").value();
  v1::StreamState stream;
  v1::CrawlState state;
  std::unique_ptr<Crawl> crawl;
  Request last;
  std::vector<std::string> published, notes;
};

TEST(ReportCrawl, AsksWithoutWaitingAndGivesTheTokenBackWhenItsRowsArePublished) {
  ReportDesk desk;
  desk.rows = 15;
  Play play(desk);
  ASSERT_TRUE(play.run());
  EXPECT_EQ(play.published, play.all_rows());
  const std::string base = "/reporting/v2/tenant/{tenant}/";
  const auto run = "POST " + base + "report-category/operations/reports/17/data/query";
  const auto token = [&base](const char* method, const char* name) {
    return std::string(method) + " " + base + "data-queries/" + name;
  };
  EXPECT_THAT(desk.asked, ElementsAre(run, token("GET", "t1"), token("GET", "t1"), token("DELETE", "t1"), run, token("GET", "t2"),
                                      token("GET", "t2"), token("DELETE", "t2")));
  EXPECT_THAT(play.notes, IsEmpty());
}

TEST(ReportCrawl, PagesByTheQueryAndGivesParametersByTheBody) {
  ReportDesk desk;
  desk.quick = true;
  auto sync = report_sync();
  add(sync, "From", "2026-01-31");
  add(sync, "Ids", "5");
  add(sync, "Name", "\"5\"");
  add(sync, "Ids", "7");
  add(sync, "Quoted", "a\"b");
  Play play(desk, sync);
  ASSERT_TRUE(play.step());
  EXPECT_THAT(play.last.query, ElementsAre(std::pair("page", "1"), std::pair("pageSize", "10"), std::pair("includeTotal", "true")));
  EXPECT_EQ(desk.body, R"({"parameters":[{"name":"From","value":"2026-01-31"},{"name":"Ids","value":[5,7]},)"
                       R"({"name":"Name","value":"5"},{"name":"Quoted","value":"a\"b"}]})");
  ASSERT_TRUE(play.step());
  EXPECT_THAT(play.last.query, Contains(std::pair("page", "2")));
}

TEST(ReportCrawl, OnlyRunsCountAsRuns) {
  ReportDesk desk;
  Play play(desk);
  ASSERT_TRUE(play.step());
  EXPECT_TRUE(play.last.turn->run);
  ASSERT_TRUE(play.step());
  EXPECT_FALSE(play.last.turn->run);
  const auto first = play.last.turn->wait;
  EXPECT_GE(first, std::chrono::seconds(1));
  desk.runs["t1"].first = 20;
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(play.step());
  EXPECT_GT(play.last.turn->wait, first) << "waits grow";
}

TEST(ReportCrawl, TakesTheOldWayWhereThereIsNoOther) {
  ReportDesk desk;
  desk.async = false;
  Play play(desk);
  ASSERT_TRUE(play.step());
  ASSERT_TRUE(play.step());
  EXPECT_TRUE(play.last.turn->at_once) << "what the gateway turned away was no run";
  EXPECT_TRUE(play.last.path.ends_with("/data"));
  ASSERT_TRUE(play.step());
  EXPECT_FALSE(play.last.turn->at_once);
  ASSERT_TRUE(play.run());
  EXPECT_EQ(play.published, play.all_rows());
  EXPECT_EQ(desk.started, 3);
}

TEST(ReportCrawl, FailsForAReportThatIsNotThere) {
  ReportDesk desk;
  Play play(desk);
  const auto missing = play.crawl->on_refusal(*error_of_status(404, R"({"title":"Not Found"})", nullptr, {}));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::not_found);
  EXPECT_THAT(missing.error().message(), HasSubstr("report operations/17"));
  const auto wrong = error_of_status(400, R"({"title":"Bad","errors":{"From":["The From field is required."]}})", nullptr, {});
  const auto refused = play.crawl->on_refusal(*wrong);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(), "HTTP 400: Bad (From: The From field is required.)");
}

TEST(ReportCrawl, RunsAReportAgainWhoseRunWasLostButNotForEver) {
  ReportDesk desk;
  desk.loses = 3;
  Play play(desk);
  ASSERT_TRUE(play.run());
  EXPECT_EQ(play.published, play.all_rows());
  EXPECT_THAT(play.notes, SizeIs(3));
  desk.loses = 4;
  play.begin();
  const auto end = play.run();
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().kind(), ErrorKind::server);
}

TEST(ReportCrawl, DoesNotPollForEver) {
  ReportDesk desk;
  desk.polls = 1'000'000;
  Play play(desk);
  const auto end = play.run();
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().kind(), ErrorKind::server);
  const auto farewell = play.crawl->farewell();
  ASSERT_TRUE(farewell) << "its place is given back";
  EXPECT_EQ(farewell->method, "DELETE");
}

TEST(ReportCrawl, TellsOfColumnsThatChangedSinceTheLastTime) {
  ReportDesk desk;
  Play play(desk);
  ASSERT_TRUE(play.run());
  play.begin();
  ASSERT_TRUE(play.run());
  EXPECT_THAT(play.notes, IsEmpty()) << "the first learns, the second sees the same";
  desk.columns = {"Name", "Id"};
  play.published.clear();
  play.begin();
  ASSERT_TRUE(play.run());
  EXPECT_THAT(play.notes, ElementsAre("report operations/17: its columns changed since it was read last; other order or number"));
  EXPECT_EQ(play.published, play.all_rows());
  desk.columns = {"Name", "Total"};
  play.begin();
  ASSERT_TRUE(play.run());
  ASSERT_FALSE(play.notes.empty());
  EXPECT_THAT(play.notes.back(), HasSubstr(R"(; new: "Total"; gone: "Id")"));
}

TEST(ReportCrawl, BeginsAnewWhenColumnsChangeBetweenItsPages) {
  for (const bool async : {true, false}) {
    ReportDesk desk;
    desk.async = async;
    Play play(desk);
    while (play.published.empty()) ASSERT_TRUE(play.step());
    desk.columns = {"Name", "Id"};
    play.published.clear();
    ASSERT_TRUE(play.run());
    EXPECT_EQ(play.published, play.all_rows()) << "none of the page with which it was noticed before the first one";
    EXPECT_THAT(play.notes, SizeIs(1)) << "once";
    EXPECT_THAT(desk.runs, IsEmpty()) << "the run with which it was noticed is given back too";
  }
}

TEST(ReportCrawl, FailsWhenColumnsChangeAllTheTime) {
  ReportDesk desk;
  desk.quick = true;
  Play play(desk);
  core::Result<bool> done = false;
  for (int i = 0; i < 100 && done && !*done; ++i) {
    done = play.step();
    std::swap(desk.columns[0], desk.columns[1]);
  }
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind(), ErrorKind::unstable_list);
}

TEST(ReportCrawl, GoesOnInPagesOfAnotherSize) {
  for (const int size : {7, 3, 10, 1}) {
    ReportDesk desk;
    Play play(desk);
    while (play.published.empty()) ASSERT_TRUE(play.step());
    play.crawl->resize(*play.crawl->next().endpoint, size);
    ASSERT_TRUE(play.run());
    EXPECT_EQ(play.published, play.all_rows()) << size;
  }
}

TEST(ReportCrawl, TakesSmallerPagesThanItAskedFor) {
  for (const int most : {9, 4}) {
    ReportDesk desk;
    Play play(desk);
    if (most == 4)
      while (play.published.empty()) ASSERT_TRUE(play.step());
    desk.most = most;
    ASSERT_TRUE(play.run());
    EXPECT_EQ(play.published, play.all_rows()) << most;
  }
}

TEST(ReportCrawl, RefusesWhatIsNoPage) {
  ReportDesk desk;
  desk.quick = true;
  Play play(desk);
  for (const std::string body : {R"({"data":[["a","b"]],"fields":[{"name":"Id"},{"name":"Name"}],"pageSize":10})",
                                 R"({"hasMore":false})", R"({"data":[],"fields":[{"name":"Id"}],"hasMore":true,"pageSize":10})"}) {
    const auto page = codec::cut_page(body, play.crawl->next().fields).value();
    EXPECT_FALSE(play.crawl->on_page({body, page})) << body;
  }
  ASSERT_TRUE(play.run()) << "nothing has moved";
  EXPECT_EQ(play.published, play.all_rows());
}

/// Columns that change and workers that die at any moment: in the end every row was published once as it was last.
TEST(ReportProperty, EveryRowOnceAsItWasLastWhateverDies) {
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(300); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    ReportDesk desk;
    desk.rows = static_cast<std::int64_t>(random() % 60);
    desk.async = random() % 3 != 0;
    desk.quick = random() % 4 == 0;
    desk.polls = static_cast<int>(random() % 3);
    desk.loses = static_cast<std::int64_t>(random() % 3);
    if (random() % 4 == 0) desk.most = 1 + static_cast<std::int64_t>(random() % 12);
    Play play(desk);
    int changes = static_cast<int>(random() % 3);
    std::size_t since = 0;  // published before the columns changed last
    bool done = false;
    for (int i = 0; i < 2000 && !done; ++i) {
      if (changes > 0 && random() % 8 == 0) {
        --changes;
        std::swap(desk.columns[0], desk.columns[1]);
      }
      if (random() % 5 == 0) {  // dies between the answer and the commit, or right after the commit
        ASSERT_TRUE(play.step(random() % 2 == 0));
        play.load();
        if (play.state.report().done() && play.state.report().token().empty()) done = true;
        continue;
      }
      const auto step = play.step();
      ASSERT_TRUE(step) << step.error().message();
      done = *step;
    }
    ASSERT_TRUE(done);
    // All that has the columns of the end, one after the other; what was published before them stays and is told.
    const auto& order = play.state.report().layout();
    std::vector<std::string> wanted;
    ReportDesk last = desk;
    if (!order.empty() && !order.starts_with("\"" + last.columns[0])) std::swap(last.columns[0], last.columns[1]);
    for (std::int64_t row = 0; row < desk.rows; ++row) wanted.push_back(last.object(row));
    ASSERT_GE(play.published.size(), wanted.size());
    since = play.published.size() - wanted.size();
    EXPECT_EQ(std::vector(play.published.begin() + static_cast<std::ptrdiff_t>(since), play.published.end()), wanted);
    if (play.state.report().restarts() == 0) EXPECT_EQ(since, 0u);
    EXPECT_LE(desk.runs.size(), 20u);
  }
}

}  // namespace
}  // namespace stsync::servicetitan
