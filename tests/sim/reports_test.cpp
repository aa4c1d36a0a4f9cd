// Reports with their quota and their runs that are asked for later, and files behind a redirect.
#include <gmock/gmock.h>

#include "fixture.hpp"

namespace stsync::sim {
namespace {

using ::testing::HasSubstr;

constexpr const char* kParameters = R"({"parameters":[{"name":"From","value":"2026-01-01"},{"name":"To","value":"2026-02-01"}]})";

struct Reports : SimTest {
  void SetUp() override {
    start_with(small());
    for (const auto& category : records_of(get(1001, "reporting", "report-categories?pageSize=500").body)) {
      const auto where = "report-category/" + http::percent_encode(text_member(category, "id")) + "/reports";
      for (const auto& report : records_of(get(1001, "reporting", where).body))
        reports.push_back(where + "/" + member(report, "id"));
      if (reports.size() >= 2) break;
    }
    ASSERT_GE(reports.size(), 2u);
  }
  http::Response ask(const std::string& method, const std::string& rest, const std::string& body = kParameters) {
    auto request = api_request(1001, "reporting", rest);
    request.method = method;
    request.body = method == "POST" ? body : "";
    return send(std::move(request)).value();
  }

  std::vector<std::string> reports;
};

TEST_F(Reports, HaveTheirColumnsAndArraysOfCells) {
  const auto definition = get(1001, "reporting", reports[0]).body;
  EXPECT_THAT(definition, HasSubstr(R"("name":"From")"));
  const auto page = ask("POST", reports[0] + "/data?pageSize=50&includeTotal=true").body;
  EXPECT_THAT(page, HasSubstr(R"("fields":[{"name":"JobId")"));
  EXPECT_EQ(member(page, "totalCount"), "120");
  EXPECT_EQ(member(page, "hasMore"), "true");
  const auto rows = records_of(page);
  ASSERT_EQ(rows.size(), 50u);
  for (const auto& row : rows) EXPECT_EQ(row.front(), '[');
  EXPECT_EQ(post("/__sim/layout", R"({"tenant":1001})").status, 200);
  clock.run_for(1min);
  EXPECT_THAT(ask("POST", reports[0] + "/data?pageSize=50").body, HasSubstr(R"("fields":[{"name":"Total")"));
}

TEST_F(Reports, OneRunOfAReportAMinute) {
  EXPECT_EQ(ask("POST", reports[0] + "/data").status, 200);
  clock.run_for(20s);
  const auto refused = ask("POST", reports[0] + "/data");
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(*http::find_header(refused.headers, "Retry-After"), "40");
  EXPECT_THAT(refused.body, HasSubstr("Try again in 40 seconds"));
  EXPECT_EQ(ask("POST", reports[1] + "/data").status, 200) << "another report has its own";
  EXPECT_EQ(ask("POST", reports[0] + "/data/query").status, 429) << "however it is asked for";
  clock.run_for(40s);
  EXPECT_EQ(ask("POST", reports[0] + "/data").status, 200);
}

TEST_F(Reports, ARunCanBeAskedForLater) {
  const auto now = ask("POST", reports[0] + "/data").body;
  clock.run_for(1min);
  const auto accepted = ask("POST", reports[0] + "/data/query");
  EXPECT_EQ(accepted.status, 202);
  const auto token = text_member(accepted.body, "token");
  ASSERT_NE(token, "");
  EXPECT_EQ(ask("GET", "data-queries/" + token).status, 202);
  clock.run_for(10s);
  const auto ready = ask("GET", "data-queries/" + token);
  EXPECT_EQ(ready.status, 200);
  EXPECT_EQ(ready.body, now);
  EXPECT_EQ(ask("DELETE", "data-queries/" + token).status, 204);
  EXPECT_EQ(ask("DELETE", "data-queries/" + token).status, 404);
  EXPECT_EQ(ask("GET", "data-queries/" + token).status, 404);
  EXPECT_EQ(ask("GET", "data-queries/q00").status, 404);
}

TEST_F(Reports, WhatIsMissingIsNamed) {
  EXPECT_EQ(ask("POST", reports[0] + "/data", "{}").status, 400);
  const auto half = ask("POST", reports[0] + "/data", R"({"parameters":[{"name":"From","value":"2026-01-01"}]})");
  EXPECT_EQ(half.status, 400);
  EXPECT_THAT(half.body, HasSubstr("The To field is required."));
  EXPECT_EQ(ask("POST", "report-category/nothing/reports/1/data").status, 404);
  EXPECT_EQ(ask("POST", reports[0] + "/data").status, 200) << "none of those was a run";
}

struct Files : SimTest {
  void SetUp() override { start_with(small()); }
};

TEST_F(Files, LieBehindARedirectThatWantsNoCredentials) {
  const auto moved = get(1001, "pricebook", "images?path=Images%2Fpump.png");
  ASSERT_EQ(moved.status, 302) << moved.body;
  EXPECT_EQ(moved.body, "");
  const auto* where = http::find_header(moved.headers, "Location");
  ASSERT_NE(where, nullptr);
  const auto file = plain_get(*where);
  EXPECT_EQ(file.status, 200);
  EXPECT_GT(file.body.size(), 2000u);
  EXPECT_EQ(plain_get(*where).body, file.body);
  EXPECT_EQ(plain_get(*where, credentials(1001)).status, 400) << "credentials are not for the storage";
  EXPECT_NE(*http::find_header(get(1001, "pricebook", "images?path=other").headers, "Location"), *where);
  EXPECT_EQ(get(1001, "pricebook", "images").status, 400);
}

}  // namespace
}  // namespace stsync::sim
