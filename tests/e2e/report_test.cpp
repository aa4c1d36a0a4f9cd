// Reports with the real program and a real Kafka; a minute of the vendor's is a second here.
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/page.hpp"
#include "http/message.hpp"
#include "sim/store.hpp"
#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kTopic = "st.reporting.reports";

/// A stage whose reports have so many rows, and so many a page.
struct Reports {
  explicit Reports(std::size_t records, int page_size, int partitions = 3) {
    overrides = testing::TempDir() + fmt::format("stsync-reports-{}.yaml", ::getpid());
    std::ofstream(overrides) << fmt::format("resources: {{reporting.reports: {{report: {{page_size: {}}}}}}}\n", page_size);
    StageOptions options;
    options.records = records;
    options.partitions = partitions;
    options.sim = {"--time-scale", "60"};
    options.sets = {"catalogue.overrides=" + overrides};
    stage = std::make_unique<Stage>(options);
    worker = stage->start_worker();
    const auto found = stage->stsync({"sync", "--resource", "reporting.category-reports", "--mode", "full", "--wait"});
    EXPECT_EQ(found.code, 0) << found.err;
    for (const auto& m : stage->read({"st.reporting.category-reports"}))
      if (m.header("st-control") == nullptr) keys.push_back(m.key->substr(m.key->find(':') + 1));
    // The names of categories are anything here; in keys some of it is encoded.
    for (const auto& key : keys) names.push_back(http::parse_query("x=" + key).front().second);
  }
  ~Reports() { std::filesystem::remove(overrides); }

  std::vector<std::string> command(const std::string& report, std::vector<std::string> more = {"--wait"}) const {
    std::vector<std::string> out{"sync", "--report", report, "--param", "From=2026-01-01", "--param", "To=2026-01-31"};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
  Finished sync(const std::string& report) const { return stage->stsync(command(report)); }
  std::string stats() const { return stage->control("/__sim/stats"); }

  std::string overrides;
  std::unique_ptr<Stage> stage;
  std::unique_ptr<Process> worker;
  std::vector<std::string> keys, names;  ///< "category/id"
};

/// Every row that the simulator answered is there, as an object, and none is there twice by one job.
void expect_every_row_once(const Stage& stage, std::size_t rows) {
  std::map<std::string, std::string> truth;
  for (const auto& resource : json_rows(stage.control("/__sim/truth?rows=true&resource=reporting.reports")))
    for (const auto& row : json_rows(resource.at("rows"))) truth[row.at("key")] = row.at("hash");
  EXPECT_EQ(truth.size(), rows);
  std::map<std::string, std::string> published;
  std::set<std::string> seen;
  std::set<std::string> sequence;
  for (const auto& m : stage.read({kTopic})) {
    published[*m.key] = sim::record_hash(*m.key, *m.value).hex();
    const auto& job = *m.header("st-job");
    EXPECT_TRUE(seen.insert(job.substr(0, job.rfind(':')) + *m.key).second) << "twice: " << *m.key;
    EXPECT_TRUE(sequence.insert(job).second) << "twice: " << job;
  }
  EXPECT_EQ(published, truth);
}

TEST(Report, IsPublishedRowByRowWithoutWaitingForIt) {
  Reports r(45, 20);
  const auto done = r.sync(r.names.front());
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_THAT(done.out, HasSubstr("\"pages\":3,\"records\":45"));
  expect_every_row_once(*r.stage, 45);
  const auto records = r.stage->read({kTopic});
  ASSERT_FALSE(records.empty());
  EXPECT_THAT(*records.front().key, HasSubstr("1001:" + r.keys.front() + ":#"));
  EXPECT_FALSE(codec::json_field(*records.front().value, "CustomerName").empty());
  EXPECT_THAT(r.stats(), HasSubstr(R"("report_runs_held":0)"));
  EXPECT_THAT(r.stats(), HasSubstr(R"("refused_429":0)")) << "the vendor was never asked too early";
}

TEST(Report, ItsValueSetsAreReadToo) {
  Reports r(30, 25'000);
  const auto values = r.stage->stsync({"sync", "--resource", "reporting.dynamic-value-sets", "--ids", "business-units", "--wait"});
  EXPECT_EQ(values.code, 0) << values.err;
  EXPECT_EQ(r.stage->read({"st.reporting.dynamic-value-sets"}).size(), 30u) << "rows that are arrays, as they came";
}

TEST(Report, IsReadTheOldWayWhereThereIsNoOther) {
  Reports r(45, 20);
  r.stage->control(
      "/__sim/faults",
      R"({"path_contains":"/data/query","status":404,"count":1000,"text":"{\"statusCode\":404,\"message\":\"Unable to match incoming request to an operation.\"}"})");
  EXPECT_EQ(r.sync(r.names.front()).code, 0);
  expect_every_row_once(*r.stage, 45);
}

TEST(Report, RunsOfTheSameWaitAndOtherJobsGoOnMeanwhile) {
  Reports r(30, 25'000, 1);
  ASSERT_EQ(r.sync(r.names.front()).code, 0);
  r.stage->control("/__sim/faults", R"({"path_contains":"/data/query","status":429,"retry_after":"8","count":1})");
  Process second(r.stage->command(r.command(r.names.front())));
  ASSERT_TRUE(second.wait_for_text("throttled", 30s)) << second.err();
  const auto other = r.stage->stsync({"sync", "--resource", "jpm.jobs", "--mode", "full", "--wait"});
  EXPECT_EQ(other.code, 0);
  EXPECT_EQ(r.sync(r.names.back()).code, 0) << "another report too";
  EXPECT_EQ(second.wait(0ms), std::nullopt) << "the report still waits";
  EXPECT_EQ(second.wait(30s), 0) << second.err();
  EXPECT_THAT(second.out() + second.err(), HasSubstr("may be run again at"));
}

TEST(Report, TellsOfColumnsThatChanged) {
  Reports r(30, 25'000);
  ASSERT_EQ(r.sync(r.names.front()).code, 0);
  r.stage->control("/__sim/layout", R"({"tenant":1001})");
  const auto second = r.sync(r.names.front());
  EXPECT_EQ(second.code, 0) << second.err;
  EXPECT_THAT(second.err, HasSubstr("its columns changed since it was read last"));
  EXPECT_EQ(r.stage->read({kTopic}).size(), 60u);
  EXPECT_THAT(r.sync(r.names.front()).err, Not(HasSubstr("its columns changed"))) << "told once";
}

TEST(Report, FailsWithWhatTheVendorSays) {
  Reports r(5, 25'000);
  const auto bad = r.stage->stsync({"sync", "--report", r.names.front(), "--param", "From=2026-01-01", "--wait"});
  EXPECT_EQ(bad.code, 1);
  EXPECT_THAT(bad.out + bad.err, HasSubstr("To: The To field is required."));
  const auto missing = r.sync(r.names.front() + "9999");
  EXPECT_NE(missing.code, 0);
  EXPECT_THAT(missing.out + missing.err, HasSubstr("not_found"));
  EXPECT_EQ(r.stage->stsync({"sync", "--report", "x"}).code, 2);
  EXPECT_EQ(r.stage->stsync({"sync", "--report", "a/1", "--resource", "jpm.jobs"}).code, 2);
  EXPECT_EQ(r.stage->stsync({"sync", "--report", "a/1", "--param", "From"}).code, 2);
}

TEST(Report, C4_EveryRowOnceWhenTheWorkerIsKilledInTheMiddle) {
  Reports r(200, 25);
  Process follower(r.stage->command(r.command(r.names.front())));
  ASSERT_TRUE(follower.wait_for_text("sent, waiting", 30s)) << follower.err();
  for (int i = 0; i < 3; ++i) {
    const auto before = r.stage->read({kTopic}).size();
    for (int tries = 0; tries < 200 && r.stage->read({kTopic}).size() == before; ++tries) continue;
    r.worker->signal(SIGKILL);
    r.worker->wait(10s);
    r.worker = r.stage->start_worker();
  }
  EXPECT_EQ(follower.wait(120s), 0) << follower.err();
  expect_every_row_once(*r.stage, 200);
}

}  // namespace
}  // namespace stsync::test
