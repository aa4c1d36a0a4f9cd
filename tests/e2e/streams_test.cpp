// Cursors: what becomes of them when an environment is overwritten by a copy, and how people look at them and move them.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

constexpr const char* kSome = "jpm.jobs,crm.customers,marketing.campaigns";

std::vector<std::string> differences(const Stage& stage) {
  // Only the records of the last jobs: what stood there before is another company's.
  const auto checked = check_records(stage.read({"st.jpm.jobs", "st.crm.customers", "st.marketing.campaigns"}));
  EXPECT_TRUE(checked.problems.empty()) << checked.problems.front();
  std::vector<std::string> out;
  for (const auto& row : json_rows(stage.control(std::string("/__sim/truth?rows=true&resource=") + kSome))) {
    const auto at = checked.tallies.find("1001 " + row.at("resource"));
    if (at == checked.tallies.end() || at->second.count() < json_rows(row.at("rows")).size()) out.push_back(row.at("resource"));
  }
  return out;
}

TEST(Streams, OfAnEnvironmentThatWasOverwrittenBeginAnewByThemselves) {
  Stage stage({.records = 80, .export_page = 25});
  const auto worker = stage.start_worker({"worker.settle=0s"});
  ASSERT_EQ(stage.stsync({"sync", "--resource", kSome, "--mode", "full", "--wait"}).code, 0);
  const auto streams = stage.stsync({"streams", "list", "--output", "json"});
  EXPECT_EQ(streams.code, 0) << streams.err;
  const auto stream = [](const std::string& resource, const std::string& cursor, const std::string& more = "") {
    return R"(\{"app":"acme","tenant":1001,"resource":")" + resource + R"(",")" + cursor +
           R"(":"[^"]+","newest_record":"20[^"]+",)" + more + R"("moved":"20[^"]+","version":1\})";
  };
  EXPECT_THAT(streams.out, MatchesRegex("\\[" + stream("crm.customers", "token") + "," + stream("jpm.jobs", "token") + "," +
                                        stream("marketing.campaigns", "watermark", R"("last_full":"20[^"]+",)") + "\\]\n"));
  stage.control("/__sim/refresh", R"({"tenant":1001,"records":90})");
  const auto again = stage.stsync({"sync", "--resource", "jpm.jobs,crm.customers", "--wait"});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.err, HasSubstr("cursor_lost"));
  EXPECT_THAT(again.err, HasSubstr("goes on as job"));
  EXPECT_EQ(differences(stage), std::vector<std::string>{"marketing.campaigns"}) << "a list has no token that could be unknown";
  const auto reset = stage.stsync({"streams", "reset", "--all", "--wait"});
  EXPECT_EQ(reset.code, 0) << reset.err;
  ASSERT_EQ(stage.stsync({"sync", "--resource", kSome, "--wait"}).code, 0);
  EXPECT_EQ(differences(stage), std::vector<std::string>{});
}

TEST(Streams, OfALaterCopyAreFoundToBeAhead) {
  Stage stage({.records = 60});
  const auto worker = stage.start_worker({"worker.settle=0s"});
  ASSERT_EQ(stage.stsync({"sync", "--resource", "marketing.campaigns", "--mode", "full", "--wait"}).code, 0);
  stage.control("/__sim/touch", R"({"tenant":1001,"resource":"marketing.campaigns","count":3,"minutes_ago":0})");
  const auto changed = stage.stsync({"sync", "--resource", "marketing.campaigns", "--wait"});
  EXPECT_THAT(changed.out, HasSubstr("\"records\":3"));
  stage.control("/__sim/refresh", R"({"tenant":1001})");
  const auto again = stage.stsync({"sync", "--resource", "marketing.campaigns", "--wait"});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.err, HasSubstr("overwritten by a copy"));
  EXPECT_THAT(again.out, HasSubstr("\"records\":60"));
}

TEST(Streams, AreShownSetAndReset) {
  Stage stage({.records = 40});
  const auto worker = stage.start_worker({"worker.settle=0s"});
  EXPECT_EQ(stage.stsync({"streams", "show", "jpm.jobs"}).code, 3) << "none yet";
  EXPECT_EQ(stage.stsync({"streams", "reset", "--all"}).code, 3);
  EXPECT_EQ(stage.stsync({"streams", "reset"}).code, 2);
  EXPECT_EQ(stage.stsync({"streams", "reset", "jpm.nothing"}).code, 3);
  ASSERT_EQ(stage.stsync({"streams", "set", "marketing.campaigns", "2025-01-01T00:00:00Z", "--wait"}).code, 0);
  const auto shown = stage.stsync({"streams", "show", "marketing.campaigns"});
  EXPECT_EQ(shown.code, 0) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("2025-01-01T00:00:00"));
  const auto some = stage.stsync({"sync", "--resource", "marketing.campaigns", "--wait"});
  EXPECT_EQ(some.code, 0) << some.err;
  EXPECT_THAT(some.out, Not(HasSubstr("\"records\":40"))) << "only what changed since";
  ASSERT_EQ(stage.stsync({"streams", "reset", "marketing.campaigns", "--wait"}).code, 0);
  EXPECT_THAT(stage.stsync({"sync", "--resource", "marketing.campaigns", "--wait"}).out, HasSubstr("\"records\":40"));
}

}  // namespace
}  // namespace stsync::test
