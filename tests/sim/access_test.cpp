#include <gmock/gmock.h>

#include "fixture.hpp"

namespace stsync::sim {
namespace {

using ::testing::HasSubstr;

struct Access : SimTest {
  void SetUp() override {
    auto options = small();
    options.tenants = {1001, 1002};
    start_with(options);
  }
};

TEST_F(Access, TokensAreGivenForTheRightSecretOnly) {
  const auto who = sim->tenants().front();
  const auto good = post("/connect/token", form(who));
  EXPECT_EQ(good.status, 200);
  EXPECT_EQ(member(good.body, "expires_in"), "900");
  EXPECT_EQ(text_member(good.body, "token_type"), "Bearer");
  auto wrong = who;
  wrong.client_secret += "\n";
  const auto refused = post("/connect/token", form(wrong));
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.body, R"({"error":"invalid_client"})");
  EXPECT_EQ(post("/connect/token", "grant_type=password").body, R"({"error":"unsupported_grant_type"})");
  EXPECT_EQ(post("/connect/token", "").body, R"({"error":"invalid_request"})");
  EXPECT_THAT(plain_get("/__sim/stats").body, HasSubstr(R"("token_calls":4)"));
}

TEST_F(Access, AKeyAndALivingTokenAreNeeded) {
  const std::string target = "/jpm/v2/tenant/1001/export/jobs";
  const auto good = credentials(1001);
  EXPECT_EQ(plain_get(target, good).status, 200);
  const auto no_key = plain_get(target, {good[0]});
  EXPECT_EQ(no_key.status, 401);
  EXPECT_EQ(text_member(no_key.body, "title"), "Application key not present, check ST-App-Key header value.");
  EXPECT_EQ(plain_get(target, {good[0], {"ST-App-Key", "ak1.wrong"}}).status, 401);
  EXPECT_EQ(plain_get(target, {good[1]}).status, 401);
  EXPECT_EQ(plain_get(target, {{"Authorization", "Bearer nonsense"}, good[1]}).status, 401);
  EXPECT_EQ(plain_get("/jpm/v2/tenant/1002/export/jobs", good).status, 403);
  EXPECT_EQ(plain_get("/jpm/v2/tenant/9999/export/jobs", good).status, 403);
  clock.run_for(899s);
  EXPECT_EQ(plain_get(target, good).status, 200);
  clock.run_for(1s);
  EXPECT_EQ(plain_get(target, good).status, 401);
}

TEST_F(Access, UnknownRoutesAre404) {
  for (const auto* rest : {"jpm/v2/tenant/1001/export/nothing", "jpm/v3/tenant/1001/export/jobs", "jpm/v2/tenant/x/export/jobs",
                           "task-management/v2/tenant/1001/data", "", "tenant/1001/export/jobs", "jpm/v2/tenant/1001"}) {
    const auto response = plain_get(std::string("/") + rest, credentials(1001));
    EXPECT_EQ(response.status, 404) << rest;
    EXPECT_THAT(response.body, HasSubstr("Unable to match incoming request to an operation.")) << rest;
  }
}

TEST_F(Access, EveryAnswerCarriesTheDate) {
  const auto response = plain_get("/__sim/stats");
  ASSERT_NE(http::find_header(response.headers, "date"), nullptr);
  EXPECT_EQ(*http::find_header(response.headers, "date"), "Thu, 01 Jan 2026 00:00:00 GMT");
}

struct Quota : SimTest {};

TEST_F(Quota, ExactlyTheCallsAboveTheLimitAreRefused) {
  auto options = small();
  options.tenants = {1001, 1002};
  options.requests_per_second = 3;
  start_with(options);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(get(1001, "jpm", "job-types").status, 200);
  const auto refused = get(1001, "jpm", "job-types");
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(*http::find_header(refused.headers, "Retry-After"), "1");
  EXPECT_EQ(text_member(refused.body, "title"), "Rate limit is exceeded. Try again in 1 seconds.");
  EXPECT_EQ(get(1002, "jpm", "job-types").status, 200) << "another tenant has its own";
  clock.run_for(999ms);
  EXPECT_EQ(get(1001, "jpm", "job-types").status, 429);
  clock.run_for(1ms);
  EXPECT_EQ(get(1001, "jpm", "job-types").status, 200);
  const auto stats = plain_get("/__sim/stats").body;
  EXPECT_THAT(stats, HasSubstr(R"("tenant":1001,"calls":6,"ok":4,"refused_429":2,"max_calls_in_one_second":5)"));
  EXPECT_THAT(stats, HasSubstr(R"("resources":{"jpm.job-types":7})"));
}

TEST_F(Quota, OneOfTheAppIsForAllItsTenants) {
  auto options = small();
  options.tenants = {1001, 1002};
  options.requests_per_second = 3;
  options.quota_of_app = true;
  start_with(options);
  EXPECT_EQ(get(1001, "jpm", "job-types").status, 200);
  EXPECT_EQ(get(1002, "jpm", "job-types").status, 200);
  EXPECT_EQ(get(1001, "jpm", "job-types").status, 200);
  EXPECT_EQ(get(1002, "jpm", "job-types").status, 429);
  EXPECT_THAT(plain_get("/__sim/stats").body, HasSubstr(R"("unauthorized":0,"max_calls_in_one_second":4,)"));
}

TEST(SimOptions, NonsenseIsABadConfig) {
  asio::io_context loop;
  test::VirtualClock clock(loop);
  const auto kind = [&](auto change) {
    Options options;
    change(options);
    const auto sim = start(loop.get_executor(), clock, options);
    return sim ? core::ErrorKind::internal : sim.error().kind();
  };
  EXPECT_EQ(kind([](Options& o) { o.tenants = {}; }), core::ErrorKind::bad_config);
  EXPECT_EQ(kind([](Options& o) { o.tenants = {1, 1}; }), core::ErrorKind::bad_config);
  EXPECT_EQ(kind([](Options& o) { o.tenants = {-1}; }), core::ErrorKind::bad_config);
  EXPECT_EQ(kind([](Options& o) { o.export_page = 0; }), core::ErrorKind::bad_config);
  EXPECT_EQ(kind([](Options& o) { o.tls_cert_file = "x"; }), core::ErrorKind::bad_config);
  EXPECT_EQ(kind([](Options& o) { o.listen = "nowhere"; }), core::ErrorKind::bad_config);
}

}  // namespace
}  // namespace stsync::sim
