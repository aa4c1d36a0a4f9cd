#include <gmock/gmock.h>

#include <cstdio>
#include <fstream>

#include "fixture.hpp"
#include "sim/describe.hpp"

namespace stsync::sim {
namespace {

using core::ErrorKind;
using ::testing::HasSubstr;

struct Control : SimTest {
  void SetUp() override { start_with(small()); }
  void fault(const std::string& json) { EXPECT_EQ(post("/__sim/faults", json).status, 200) << json; }
};

TEST_F(Control, FaultsHitAsManyCallsAsAskedFor) {
  credentials(1001);
  fault(R"({"status":500,"count":2,"path_contains":"export/jobs","body":"html"})");
  EXPECT_EQ(get(1001, "jpm", "export/projects").status, 200);
  const auto first = get(1001, "jpm", "export/jobs");
  EXPECT_EQ(first.status, 500);
  EXPECT_THAT(first.body, HasSubstr("<html>"));
  EXPECT_EQ(get(1001, "jpm", "export/jobs").status, 500);
  EXPECT_EQ(get(1001, "jpm", "export/jobs").status, 200);
  fault(R"({"status":429,"retry_after":"7","body":"apim"})");
  const auto throttled = get(1001, "jpm", "export/jobs");
  EXPECT_EQ(throttled.status, 429);
  EXPECT_EQ(*http::find_header(throttled.headers, "Retry-After"), "7");
  EXPECT_THAT(throttled.body, HasSubstr("\"statusCode\": 429"));
  fault(R"({"status":409})");
  EXPECT_THAT(get(1001, "jpm", "export/jobs").body, HasSubstr("suspended for maintenance"));
  fault(R"({"status":401})");
  EXPECT_EQ(get(1001, "jpm", "export/jobs").body, "");
  fault(R"({"status":503,"count":100,"path_contains":"connect/token"})");
  tokens.clear();
  EXPECT_EQ(post("/connect/token", form(sim->tenants().front())).status, 503);
  EXPECT_THAT(plain_get("/__sim/faults").body, HasSubstr("\"count\":99"));
  fault(R"({"clear":true})");
  EXPECT_EQ(plain_get("/__sim/faults").body, "[]");
}

TEST_F(Control, BodiesCanBeCutOrGarbage) {
  credentials(1001);
  fault(R"({"cut_body":100})");
  const auto cut = send(api_request(1001, "jpm", "export/jobs"));
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().kind(), ErrorKind::network);
  for (const auto* how : {R"({"reset":true})", R"({"reset":true,"cut_body":100})"}) {
    fault(how);
    const auto reset = send(api_request(1001, "jpm", "export/jobs"));
    ASSERT_FALSE(reset);
    EXPECT_THAT(reset.error().message(), HasSubstr("Connection reset by peer"));
  }
  EXPECT_EQ(plain_get("/__sim/fetches").body, "[]") << "a page that does not arrive";
  fault(R"({"garbage":true})");
  const auto garbage = get(1001, "jpm", "export/jobs");
  EXPECT_EQ(garbage.status, 200);
  EXPECT_EQ(garbage.body.find("hasMore"), std::string::npos);
}

TEST_F(Control, ATokenCanRepeatItself) {
  const auto token = text_member(get(1001, "jpm", "export/jobs").body, "continueFrom");
  fault(R"({"repeat_token":true,"count":2})");
  get(1001, "marketing", "campaigns");  // is no feed and does not use the fault up
  for (int i = 0; i < 2; ++i) {
    const auto page = get(1001, "jpm", "export/jobs?from=" + token).body;
    EXPECT_EQ(text_member(page, "continueFrom"), token);
    EXPECT_EQ(member(page, "hasMore"), "true");
  }
  EXPECT_NE(text_member(get(1001, "jpm", "export/jobs?from=" + token).body, "continueFrom"), token);
}

TEST_F(Control, ARecordCanGrow) {
  Tally before;
  crawl(1001, "jpm", "export/jobs", "", before);
  fault(R"({"oversize_record":100000})");
  Tally after;
  crawl(1001, "jpm", "export/jobs", "", after);
  std::size_t larger = 0;
  for (const auto& [key, record] : after.rows) larger += record.size() > 100'000 ? 1 : 0;
  EXPECT_EQ(larger, 1u);
  EXPECT_EQ(after.rows.size(), before.rows.size());
  EXPECT_EQ(after.hash(), truth(1001, "jpm.jobs").hash);
}

asio::awaitable<void> slow_get(SimTest& test, http::Request request, core::Result<http::Response>& out, bool& done) {
  co_await SimTest::exchange(*test.client, http::parse_url(test.sim->url()).value().origin, std::move(request), out);
  done = true;
}

TEST_F(Control, AnAnswerCanBeDelayed) {
  fault(R"({"delay_ms":60000,"path_contains":"export"})");
  core::Result<http::Response> out = core::fail(ErrorKind::internal, "not run");
  bool done = false;
  asio::co_spawn(loop, slow_get(*this, api_request(1001, "jpm", "export/jobs"), out, done), [](const std::exception_ptr&) {});
  loop.restart();
  while (clock.waiting() == 0 && loop.run_one_for(10s) > 0) {
  }
  EXPECT_FALSE(done);
  clock.run_for(60s);
  loop.restart();
  while (!done && loop.run_one_for(10s) > 0) {
  }
  EXPECT_EQ(out.value().status, 200);
}

TEST_F(Control, PagesThatWereReadTwiceAreCounted) {
  const auto token = text_member(get(1001, "jpm", "export/jobs").body, "continueFrom");
  get(1001, "jpm", "export/jobs?from=" + token);
  get(1001, "jpm", "export/jobs?from=" + token);
  get(1001, "marketing", "campaigns?modifiedOnOrAfter=2024-01-01&page=1");
  get(1001, "marketing", "campaigns?modifiedOnOrAfter=2024-01-01&page=2");
  fault(R"({"status":500})");
  get(1001, "jpm", "export/jobs?from=" + token);
  const auto fetches = plain_get("/__sim/fetches").body;
  EXPECT_THAT(fetches,
              HasSubstr(R"("resource":"jpm.jobs","requests":3,"distinct":2,"repeated":[{"page":")" + token + R"(","count":2}])"));
  EXPECT_THAT(fetches, HasSubstr(R"("resource":"marketing.campaigns","requests":2,"distinct":2,"repeated":[])"));
  EXPECT_EQ(post("/__sim/fetches", R"({"clear":true})").body, "[]");
}

TEST_F(Control, TruthOverHttpIsTheTruth) {
  const auto expected = truth(1001, "crm.customers");
  const auto body = plain_get("/__sim/truth?tenant=1001&resource=crm.customers").body;
  EXPECT_EQ(body, R"([{"tenant":1001,"resource":"crm.customers","count":120,"hash":")" + expected.hash + R"("}])");
  const auto all = plain_get("/__sim/truth").body;
  EXPECT_THAT(all, HasSubstr(expected.hash));
  EXPECT_EQ(std::count(all.begin(), all.end(), '{'), static_cast<std::ptrdiff_t>(Schema::get().resources().size()));
  EXPECT_THAT(plain_get("/__sim/truth?resource=crm.customers&rows=true").body, HasSubstr(R"("rows":[{"key":"1001:)"));
}

TEST_F(Control, NonsenseIs400) {
  for (const auto* json : {"", "[5]", "{", "5", R"({"status":99})", R"({"statuss":500})", R"({"count":-1})", R"({"a":{}})",
                           R"({"body":"x"})", R"({"oversize_record":1,"resource":"no.such"})", R"({"oversize_record":99999999999})",
                           R"({"delay_ms":9999999999})", R"({"count":9223372036854775807})"})
    EXPECT_EQ(post("/__sim/faults", json).status, std::string(json).empty() ? 200 : 400) << json;
  EXPECT_EQ(post("/__sim/touch", R"({"resource":"no.such"})").status, 400);
  EXPECT_EQ(plain_get("/__sim/nothing").status, 404);
}

TEST_F(Control, DescribesItselfInOneLine) {
  const auto json = describe(*sim, "/tmp/ca \"x\".pem");
  EXPECT_EQ(json.find('\n'), std::string::npos);
  EXPECT_EQ(text_member(json, "url"), sim->url());
  EXPECT_EQ(text_member(json, "token_url"), sim->url() + "/connect/token");
  EXPECT_THAT(json, HasSubstr(R"("ca_file":"/tmp/ca \"x\".pem")"));
  EXPECT_THAT(json,
              HasSubstr(R"("apps":[{"name":"acme","app_key":")" + sim->app_key() + R"(","tenants":[{"id":1001,"client_id":"cid.)"));
}

TEST_F(Control, WritesAWorkersConfig) {
  const auto yaml = worker_config(*sim, {"localhost:9092"});
  EXPECT_THAT(yaml, HasSubstr("bootstrap_servers: \"localhost:9092\""));
  EXPECT_THAT(yaml, HasSubstr("api_url: \"" + sim->url() + "\""));
  EXPECT_THAT(yaml, HasSubstr("- id: 1001\n        environment: local\n        client_id: \"cid."));
  EXPECT_THAT(yaml, HasSubstr("requests_per_second: 1000\n")) << "no quota";
  EXPECT_EQ(yaml.find("ca_file"), std::string::npos);
  EXPECT_EQ(yaml.find("webhook"), std::string::npos);
}

TEST_F(Control, WritesWhatAReceiverOfItsWebhooksNeeds) {
  const auto yaml = worker_config(*sim, {"localhost:9092", "", "/run/hook", "X-Signature", "base64"});
  EXPECT_THAT(yaml, HasSubstr("webhook_secret_files: [\"/run/hook\"]\n"));
  EXPECT_THAT(yaml, HasSubstr("webhook:\n  signature:\n    header: \"X-Signature\"\n    encoding: \"base64\"\n"));
}

asio::awaitable<void> get_into(http::Client& c, std::string url, core::Result<http::Response>& out) {
  const auto target = http::parse_url(url).value();
  http::Request request;
  request.target = target.target;
  co_await SimTest::exchange(c, target.origin, std::move(request), out);
}

TEST(SimTls, ServesWithItsOwnCertificate) {
  asio::io_context loop;
  const auto clock = core::make_system_clock(loop.get_executor());
  Options options;
  options.records = 5;
  const auto sim = start(loop.get_executor(), *clock, options).value();
  EXPECT_THAT(sim->url(), HasSubstr("https://127.0.0.1:"));
  const auto ca_file = ::testing::TempDir() + "stsync_sim_ca_" + std::to_string(http::parse_url(sim->url()).value().origin.port);
  std::ofstream(ca_file) << sim->ca_pem();
  http::ClientOptions client_options;
  client_options.ca_file = ca_file;
  const auto client = http::make_client(loop.get_executor(), *clock, client_options).value();
  std::remove(ca_file.c_str());
  core::Result<http::Response> out = core::fail(ErrorKind::internal, "not run");
  bool done = false;
  asio::co_spawn(loop, test::mark(get_into(*client, sim->url() + "/__sim/stats", out), done), [](const std::exception_ptr&) {});
  while (!done && loop.run_one_for(10s) > 0) {
  }
  ASSERT_TRUE(out) << out.error().message();
  EXPECT_EQ(out->status, 200);
}

}  // namespace
}  // namespace stsync::sim
