// One page of the API, repeated until it can be used: what goes out, what is tried again, what is waited for. In virtual time.
#include "servicetitan/api.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "codec/gzip.hpp"
#include "core/task_group.hpp"
#include "support/vendor.hpp"
#include "support/virtual_clock.hpp"
#include "tokens/http_source.hpp"

namespace stsync::servicetitan {
namespace {

using boost::asio::awaitable;
using core::Duration;
using core::ErrorKind;
using core::Result;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using namespace std::chrono_literals;

constexpr const char* kPage = R"({"hasMore":false,"continueFrom":"x","data":[{"id":1},{"id":2}]})";

Result<http::Response> answer(int status, std::string body, http::Headers headers = {}) {
  return http::Response{status, std::move(headers), std::move(body)};
}

struct Watcher final : CallObserver {
  void throttled(const core::Error&) override { ++throttles; }
  void retrying(const core::Error&, Duration wait) override { waits.push_back(wait); }
  bool may_call() override { return leased; }
  int throttles = 0;
  std::vector<Duration> waits;
  bool leased = true;
};

config::Config two_tenants() {
  config::Config c;
  c.worker.page_buffer = 256u << 10;
  c.worker.max_body = 1u << 20;
  c.environments["local"] = {"local", "https://api.example:8443", "https://auth.example/connect/token", ""};
  config::App app;
  app.name = "acme";
  app.app_key.value = core::Secret("ak1.secret");
  app.limits.requests_per_second = 60;
  for (const std::int64_t id : {1001, 1002}) {
    config::Tenant tenant;
    tenant.id = id;
    tenant.environment = "local";
    app.tenants.push_back(tenant);
  }
  c.apps.push_back(app);
  return c;
}

struct ApiTest : ::testing::Test {
  ApiTest() {
    auto owned = std::make_unique<test::Vendor>(clock);
    vendor = owned.get();
    vendor->answer = [](const auto&) { return answer(200, kPage); };
    clients["local"] = std::move(owned);
    resource.name = "jpm.jobs";
    Endpoint endpoint;
    endpoint.role = Role::export_feed;
    endpoint.path = "/jpm/v2/tenant/{tenant}/export/jobs";
    resource.endpoints.push_back(std::move(endpoint));
  }
  ~ApiTest() override {
    stop.request_stop();
    tasks.spawn("close", tokens.close());
    clock.run_for(10min);
    EXPECT_TRUE(tasks.running().empty());
  }
  awaitable<void> get(Query query) {
    auto request = Target{&resource, &resource.endpoints.front()}.request();
    request.query = std::move(query);
    request.page_size = page_size;
    result = co_await api.get_page(account, std::move(request), log, watcher, stop.token());
  }
  void start(Query query = {}) {
    result.reset();
    tasks.spawn("page", get(std::move(query)));
    clock.run_for(0s);
  }
  const Result<FetchedPage>& page(Duration limit = 1h) {
    start();
    EXPECT_TRUE(clock.run_until([&] { return result.has_value(); }, limit));
    return *result;
  }
  /// The first answers are these, all others the usual page.
  void first(std::deque<Result<http::Response>> answers) {
    vendor->answer = [answers = std::move(answers)](const auto&) mutable {
      if (answers.empty()) return answer(200, kPage);
      auto a = std::move(answers.front());
      answers.pop_front();
      return a;
    };
  }
  const std::string* sent(std::size_t i, const char* name) { return http::find_header(vendor->seen.at(i).request.headers, name); }

  boost::asio::io_context loop;
  stsync::test::VirtualClock clock{loop};
  core::Rng rng{5};
  config::Config config = two_tenants();
  std::map<std::string, std::unique_ptr<http::Client>> clients, storage;
  test::Vendor* vendor = nullptr;
  test::TokenDesk desk;
  tokens::Tokens tokens{loop.get_executor(), clock, rng, desk, [](const auto&, const char*) {}};
  limits::Limiter limiter{clock};
  telemetry::Metrics metrics{true};
  core::ThreadPool helpers{"helpers", 1}, large_helpers{"large", 1};
  core::Spool spool{::testing::TempDir()};
  Api api{{clock, rng, config, clients, storage, tokens, limiter, metrics, helpers, large_helpers, spool}};
  core::TaskGroup tasks{loop.get_executor(), clock};
  core::StopSource stop;
  int page_size = 0;
  tokens::Account account{"acme", 1001};
  Resource resource;
  CallLog log;
  Watcher watcher;
  std::optional<Result<FetchedPage>> result;
};

using VendorFaults = ApiTest;  // numbered as in the list of faults that the project keeps

/// A call about a report: its answers are its caller's business.
struct ReportCalls : ApiTest {
  ReportCalls() {
    request = Target{&resource, &resource.endpoints.front()}.request();
    request.turn = Turn{.run = true};
    request.method = "POST";
    request.path = "/reporting/v2/tenant/{tenant}/x/{id}";
    request.places = {{"id", "a/b"}};
    request.fields.columns = true;
  }
  awaitable<void> call() { result = co_await api.get_page(account, request, log, watcher, stop.token()); }
  const Result<FetchedPage>& answer_of_call() {
    result.reset();
    tasks.spawn("call", call());
    for (int i = 0; i < 1000 && !result; ++i) {
      clock.run_for(1s);
      loop.restart();
      loop.run_one_for(10ms);  // another thread may inflate it
    }
    return *result;
  }
  Request request;
};

TEST_F(ReportCalls, GoWhereTheyAreToldAndComeBackWithTheirStatus) {
  const std::string rows = R"({"fields":[{"name":"A"}],"hasMore":false,"data":[[1]]})";
  first({answer(202, R"({"status":"NotStarted","token":"q1"})"), answer(204, ""), answer(200, codec::gzip(rows))});
  const auto& started = answer_of_call();
  ASSERT_TRUE(started) << started.error().message();
  EXPECT_EQ(started->status, 202);
  EXPECT_EQ(codec::json_field(started->view().body, "token"), "\"q1\"");
  EXPECT_EQ(vendor->seen[0].request.method, "POST");
  EXPECT_EQ(vendor->seen[0].request.target, "/reporting/v2/tenant/1001/x/a%2Fb");
  EXPECT_EQ(answer_of_call()->status, 204);
  const auto& data = answer_of_call();
  ASSERT_TRUE(data) << "a gzip file, whatever its headers say: " << data.error().message();
  EXPECT_EQ(data->view().body, rows);
  EXPECT_THAT(data->page.columns->names(), ElementsAre("\"A\""));
}

TEST_F(ReportCalls, LeaveRefusalsToTheirCallerAndTheQuotaAlone) {
  first({answer(429, "{}", {{"Retry-After", "40"}}), answer(500, "{}")});
  const auto before = clock.now();
  const auto& refused = answer_of_call();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::throttled);
  EXPECT_EQ(refused.error().retry_after(), 40s);
  EXPECT_EQ(answer_of_call().error().kind(), ErrorKind::server) << "not tried again here";
  ASSERT_TRUE(page(1s)) << "other calls of the tenant go on";
  EXPECT_LT(clock.now() - before, 5s);
  EXPECT_EQ(vendor->seen.size(), 3u);
}

TEST_F(ReportCalls, TakeNoOtherAnswerFor200ThanThoseOfReports) {
  request.turn.reset();
  first({answer(202, R"({"token":"q1"})"), answer(202, "{}"), answer(202, "{}"), answer(202, "{}")});
  EXPECT_EQ(answer_of_call().error().kind(), ErrorKind::protocol);
}

TEST_F(ApiTest, SendsWhatTheVendorWants) {
  start({{"from", "a+b/c=ü"}, {"sort", "+Id"}});
  clock.run_for(1s);
  ASSERT_TRUE(result && *result);
  EXPECT_EQ((*result)->page.records.size(), 2u);
  EXPECT_EQ((*result)->body->view(), kPage);
  ASSERT_EQ(vendor->seen.size(), 1u);
  const auto& request = vendor->seen[0].request;
  EXPECT_THAT(vendor->origins, ElementsAre("https://api.example:8443"));
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.target, "/jpm/v2/tenant/1001/export/jobs?from=a%2Bb%2Fc%3D%C3%BC&sort=%2BId");
  EXPECT_THAT(request.headers,
              ::testing::UnorderedElementsAre(Pair("Accept", "application/json"), Pair("Accept-Encoding", "gzip"),
                                              Pair("ST-App-Key", "ak1.secret"), Pair("Authorization", "Bearer t1")));
  EXPECT_EQ(vendor->seen[0].limits.max_body, 1u << 20);
  EXPECT_EQ(log.calls, 1);
}

TEST_F(ApiTest, ARefusedTokenIsReplacedOnce) {
  first({answer(401, "")});
  EXPECT_TRUE(page());
  ASSERT_EQ(vendor->seen.size(), 2u);
  EXPECT_EQ(*sent(0, "Authorization"), "Bearer t1");
  EXPECT_EQ(*sent(1, "Authorization"), "Bearer t2");
  EXPECT_EQ(log.retries, 0);
}

TEST_F(ApiTest, AnAccountThatStaysRefusedIsReportedAfterTheSecondTime) {
  vendor->answer = [](const auto&) { return answer(401, R"({"title":"Application key not present"})"); };
  const auto& refused = page();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::unauthorized);
  EXPECT_EQ(refused.error().message(), "HTTP 401: Application key not present");
  EXPECT_EQ(vendor->seen.size(), 2u);
}

TEST_F(ApiTest, A429HoldsTheWholeQuotaAndThenTheSameCallIsMade) {
  first({answer(429, "", {{"Retry-After", "7"}}), answer(429, R"({"title":"Try again in 3 seconds."})")});
  EXPECT_TRUE(page());
  ASSERT_EQ(vendor->seen.size(), 3u);
  EXPECT_GE(vendor->seen[1].at - vendor->seen[0].at, 7s);
  EXPECT_LE(vendor->seen[1].at - vendor->seen[0].at, 7200ms);
  EXPECT_GE(vendor->seen[2].at - vendor->seen[1].at, 3s);
  EXPECT_EQ(vendor->seen[2].request.target, vendor->seen[0].request.target);
  EXPECT_EQ(log.throttled, 2);
  EXPECT_EQ(log.retries, 0) << "a refusal is no failure";
  EXPECT_EQ(watcher.throttles, 2);
}

TEST_F(ApiTest, A429HoldsTheOtherCallersOfTheQuotaToo) {
  first({answer(429, "", {{"Retry-After", "7"}})});
  start();
  clock.run_for(100ms);
  ASSERT_EQ(vendor->seen.size(), 1u);
  std::vector<core::TimePoint> granted;
  const auto other = [&]() -> awaitable<void> {
    if (co_await api.bucket(account).acquire(stop.token())) granted.push_back(clock.now());
  };
  tasks.spawn("other", other());
  clock.run_for(20s);
  ASSERT_EQ(granted.size(), 1u);
  EXPECT_GE(granted[0] - vendor->seen[0].at, 7s);
}

TEST_F(ApiTest, ATokenEndpointThatIsThrottledIsWaitedFor) {
  desk.failure = core::Error(ErrorKind::throttled, "the token endpoint answered 429");
  desk.failures = 5;
  const auto& got = page();
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(desk.fetches, 6);
  EXPECT_LE(watcher.throttles, 20) << "the user hears of it, but not a thousand times";
}

TEST_F(ApiTest, ATokenEndpointThatIsDownIsWaitedFor) {
  desk.failures = 3;
  EXPECT_TRUE(page());
  EXPECT_EQ(desk.fetches, 4);
}

TEST_F(VendorFaults, B17_ATokenEndpointThatIsDownForTenMinutesEndsNoCall) {
  EXPECT_TRUE(page());
  // As bad as it can be: nothing in hand, and what comes back is a page of a proxy.
  desk.failure = tokens::read_token_answer(200, "<html>maintenance</html>").error();
  for (const std::uint64_t seed : {1, 2, 3, 4, 5}) {
    rng = core::Rng(seed);
    clock.run_for(715s);  // the token in hand is being renewed
    desk.failures = 1'000'000;
    const auto down = clock.now();
    while (clock.now() - down < 160s) EXPECT_TRUE(page()), clock.run_for(10s);
    clock.run_for(10s);  // and has ended
    vendor->seen.clear();
    start();
    clock.run_until(down + 10min);
    ASSERT_FALSE(result) << "seed " << seed << ": given up after " << (clock.now() - down) / 1s << " s";
    EXPECT_TRUE(vendor->seen.empty());
    desk.failures = 0;
    EXPECT_TRUE(clock.run_until([&] { return result.has_value(); }, 2min));
    EXPECT_TRUE(*result);
  }
}

TEST_F(ApiTest, ARefusedClientCostsNoCallAndSaysWhenToAskAgain) {
  desk.failure = core::Error(ErrorKind::unauthorized, "the token endpoint refuses the client: 400 invalid_client");
  desk.failures = 1000;
  const auto start = clock.now();
  const auto& refused = page();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::unauthorized);
  EXPECT_TRUE(refused.error().retry_after());
  EXPECT_EQ(clock.now(), start) << "the job waits, not the call";
  EXPECT_EQ(desk.fetches, 1);
  EXPECT_TRUE(vendor->seen.empty());
}

TEST_F(ApiTest, TroubleOutsideIsTriedAgainForMinutesAndThenReported) {
  for (const auto& trouble : std::vector<Result<http::Response>>{
           answer(503, "<html>"), core::fail(ErrorKind::timeout, "no answer"),
           answer(409, R"({"title":"The service is suspended for maintenance. Please try again later."})")}) {
    vendor->answer = [&](const auto&) { return trouble; };
    vendor->seen.clear();
    log = {};
    watcher.waits.clear();
    const auto start = clock.now();
    ASSERT_FALSE(page());
    EXPECT_EQ(vendor->seen.size(), 1u + kMaxRetries);
    EXPECT_EQ(log.retries, kMaxRetries);
    EXPECT_THAT(watcher.waits, ::testing::SizeIs(kMaxRetries));
    EXPECT_GE(clock.now() - start, 9min) << "a maintenance of minutes is waited for";
    EXPECT_LE(clock.now() - start, 19min);
  }
}

TEST_F(ApiTest, AnUnreachableHostIsTriedAgain) {
  vendor->unreachable = true;
  start();
  clock.run_for(3s);
  EXPECT_FALSE(result);
  vendor->unreachable = false;
  EXPECT_TRUE(clock.run_until([&] { return result.has_value(); }, 1h));
  EXPECT_TRUE(*result);
  EXPECT_EQ(log.calls, 1) << "what never left is no call";
}

TEST_F(ApiTest, WhatWillFailAgainIsAskedOnce) {
  for (const int status : {400, 403, 404, 409, 422}) {
    vendor->answer = [&](const auto&) { return answer(status, ""); };
    vendor->seen.clear();
    const auto& refused = page();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().http_status(), status);
    EXPECT_EQ(vendor->seen.size(), 1u) << status;
  }
}

TEST_F(VendorFaults, B5_AnAnswerThatCannotBeReadIsAskedForAFewTimes) {
  for (const char* body : {"", "<html>", R"({"hasMore":false,"data":[1]})", R"({"data":[{"id":1})"}) {
    vendor->answer = [&](const auto&) { return answer(200, body); };
    vendor->seen.clear();
    const auto& bad = page();
    ASSERT_FALSE(bad) << body;
    EXPECT_EQ(bad.error().kind(), ErrorKind::malformed);
    EXPECT_EQ(vendor->seen.size(), 1u + kMaxBadPages);
  }
}

TEST_F(VendorFaults, B4_APageThatWasCutIsAskedForAgainWhole) {
  first({core::fail(ErrorKind::network, "the connection ended while reading the response body")});
  start({{"from", "token"}});
  EXPECT_TRUE(clock.run_until([&] { return result.has_value(); }, 1h));
  ASSERT_TRUE(*result);
  EXPECT_EQ((*result)->body->view(), kPage);
  ASSERT_EQ(vendor->seen.size(), 2u);
  EXPECT_EQ(vendor->seen[0].request.target, vendor->seen[1].request.target);
  EXPECT_EQ(log.retries, 1);
}

TEST_F(ApiTest, AConnectionThatWasClosedIsReplacedAtOnce) {
  vendor->all_stale = true;
  const auto start = clock.now();
  EXPECT_TRUE(page());
  ASSERT_EQ(vendor->seen.size(), 2u);
  EXPECT_FALSE(vendor->seen[0].fresh);
  EXPECT_TRUE(vendor->seen[1].fresh);
  EXPECT_EQ(log.retries, 0);
  EXPECT_EQ(log.calls, 2) << "the vendor may have counted both";
  EXPECT_LE(clock.now() - start, 200ms);
}

TEST_F(ApiTest, WithoutTheLeaseNothingIsSent) {
  watcher.leased = false;
  start();
  clock.run_for(1min);
  EXPECT_TRUE(vendor->seen.empty());
  EXPECT_EQ(desk.fetches, 0);
  watcher.leased = true;
  clock.run_for(1s);
  EXPECT_TRUE(result && *result);
}

TEST_F(ApiTest, StopsAtOnceWhateverItWaitsFor) {
  const std::vector<std::pair<const char*, std::function<void()>>> places{
      {"lease", [&] { watcher.leased = false; }},
      {"answer",
       [&] {
         watcher.leased = true;
         vendor->takes = 1h;
       }},
      {"back-off",
       [&] {
         vendor->takes = 0s;
         vendor->answer = [](const auto&) { return answer(500, ""); };
       }},
      {"quota", [&] { api.bucket(account).refused(5min); }},
  };
  for (const auto& [name, arrange] : places) {
    arrange();
    stop = core::StopSource();
    start();
    clock.run_for(name == std::string("back-off") ? 30s : 1s);
    ASSERT_FALSE(result) << name;
    const auto before = clock.now();
    stop.request_stop();
    clock.run_for(0s);
    ASSERT_TRUE(result) << name;
    ASSERT_FALSE(*result);
    EXPECT_EQ(result->error().kind(), ErrorKind::cancelled) << name;
    EXPECT_EQ(clock.now(), before);
  }
}

TEST_F(VendorFaults, B7_CompressedPagesAreInflatedUpToTheLimit) {
  const auto compressed = [&](const std::string& text) {
    vendor->answer = [text](const auto&) { return answer(200, codec::gzip(text), {{"content-encoding", "gzip"}}); };
    start();
    clock.run_for(1s);
    while (!result) loop.restart(), loop.run_one();  // another thread inflates it
  };
  compressed(kPage);
  ASSERT_TRUE(*result) << result->error().message();
  EXPECT_EQ((*result)->body->view(), kPage);
  vendor->seen.clear();
  compressed(R"({"hasMore":false,"data":[{"id":")" + std::string(2u << 20, 'x') + R"("}]})");
  ASSERT_FALSE(*result);
  EXPECT_EQ(result->error().kind(), ErrorKind::too_large);
  EXPECT_EQ(vendor->seen.size(), 1u);
}

/// Two rows of half a megabyte, an envelope behind them.
std::string large_page() {
  const std::string text(500'000, 'x');
  return R"({"data":[{"id":1,"t":")" + text + R"(","modifiedOn":"2026-01-01T00:00:00Z"},{"t":")" + text +
         R"(","id":"b\u0061"}],"hasMore":false,"continueFrom":"x"})";
}

TEST_F(ApiTest, APageThatIsTooLargeForMemoryIsReadFromAFile) {
  const auto text = large_page();
  const auto in_file = [&](const std::string& body) {
    auto file = spool.create().value();
    EXPECT_TRUE(file->append(body));
    return http::Response{200, {}, "", std::move(file)};
  };
  auto plain = in_file(text), packed_in_file = in_file(codec::gzip(text));
  packed_in_file.headers = {{"Content-Encoding", "gzip"}};
  for (const auto& response : {plain, answer(200, codec::gzip(text), {{"Content-Encoding", "gzip"}}).value(), packed_in_file}) {
    vendor->answer = [&](const auto&) { return response; };
    start();
    clock.run_for(1s);
    while (!result) loop.restart(), loop.run_one_for(10ms);
    ASSERT_TRUE(*result) << result->error().message();
    const auto& got = **result;
    EXPECT_TRUE(got.body->spooled());
    const auto body = got.view().body;
    EXPECT_EQ(body.substr(0, text.size()), text);
    ASSERT_EQ(got.page.records.size(), 2u);
    const auto& [first, second] = std::tie(got.page.records[0], got.page.records[1]);
    EXPECT_EQ(first.bytes.in(body), text.substr(9, first.bytes.length));
    EXPECT_EQ(first.key.in(body), "1");
    EXPECT_EQ(first.modified.in(body), "\"2026-01-01T00:00:00Z\"");
    EXPECT_EQ(second.key.in(body), R"("b\u0061")");
    EXPECT_TRUE(second.modified.empty());
    EXPECT_EQ(got.page.continue_from.in(body), "\"x\"");
    for (const auto& slice : {first.key, first.modified, second.key})
      EXPECT_GE(slice.offset, text.size()) << "crawls would look all over the page for them";
  }
  EXPECT_EQ(vendor->seen[0].limits.in_memory, 256u << 10);
  EXPECT_EQ(vendor->seen[0].limits.spool, &spool);
}

TEST_F(VendorFaults, B5_ALargePageIsCheckedAsASmallOne) {
  const auto text = large_page();
  for (auto bad : {text.substr(0, text.size() - 1), text + "x", text + text}) {
    vendor->answer = [&](const auto&) { return answer(200, codec::gzip(bad), {{"Content-Encoding", "gzip"}}); };
    vendor->seen.clear();
    start();
    while (!result) {
      clock.run_for(10s);
      loop.restart();
      loop.run_one_for(10ms);
    }
    ASSERT_FALSE(*result);
    EXPECT_EQ(vendor->seen.size(), bad.size() > 1u << 20 ? 1u : 1u + kMaxBadPages);
    EXPECT_EQ(result->error().kind(), bad.size() > 1u << 20 ? ErrorKind::too_large : ErrorKind::malformed);
  }
}

TEST_F(VendorFaults, B7_WhatCannotBeUnpackedIsNoPage) {
  const std::string page = kPage;
  for (const auto& [body, encoding, kind] : std::vector<std::tuple<std::string, const char*, ErrorKind>>{
           {page, "br", ErrorKind::protocol},
           {codec::gzip(codec::gzip(page)), "gzip, gzip", ErrorKind::protocol},
           {codec::gzip(codec::gzip(page)), "gzip", ErrorKind::malformed},
           {page, "gzip", ErrorKind::malformed},
           {codec::gzip(page), "identity", ErrorKind::malformed},
           {codec::gzip(page).substr(0, 30), "gzip", ErrorKind::malformed}}) {
    vendor->answer = [&](const auto&) { return answer(200, body, {{"Content-Encoding", encoding}}); };
    vendor->seen.clear();
    start();
    while (!result) {
      clock.run_for(10s);
      loop.restart();
      loop.run_one_for(10ms);  // another thread unpacks it
    }
    ASSERT_FALSE(*result) << encoding;
    EXPECT_EQ(result->error().kind(), kind) << encoding << ": " << result->error().message();
    EXPECT_EQ(vendor->seen.size(), 1u + kMaxBadPages) << encoding;
  }
}

TEST_F(VendorFaults, B8_APageAboveTheLimitIsAskedForOnce) {
  vendor->answer = [](const auto&) { return core::fail(ErrorKind::too_large, "the response body is above its limit"); };
  const auto& large = page();
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().kind(), ErrorKind::too_large);
  ASSERT_EQ(vendor->seen.size(), 1u) << "it will not be smaller next time";
  EXPECT_EQ(vendor->seen[0].limits.max_body, 1u << 20);
}

TEST_F(ApiTest, ACompressedRefusalIsUnderstood) {
  // Accept-Encoding holds for errors, too.
  const http::Headers gzip{{"Content-Encoding", "gzip"}};
  first({answer(409, codec::gzip(R"({"title":"The service is suspended for maintenance. Please try again later."})"), gzip),
         answer(429, codec::gzip(R"({"statusCode":429,"message":"Rate limit is exceeded. Try again in 20 seconds."})"), gzip)});
  const auto& got = page();
  ASSERT_TRUE(got) << got.error().message();
  ASSERT_EQ(vendor->seen.size(), 3u);
  EXPECT_GE(vendor->seen[2].at - vendor->seen[1].at, 20s);
  vendor->answer = [&](const auto&) { return answer(403, codec::gzip(R"({"title":"Scope validation failed"})"), gzip); };
  EXPECT_THAT(page().error().message(), ::testing::StartsWith("HTTP 403: Scope validation failed"));
}

TEST_F(VendorFaults, B7_AnErrorThatDoesNotInflateIsStillAnError) {
  const http::Headers gzip{{"Content-Encoding", "gzip"}};
  for (const auto& body : {std::string("no gzip"), codec::gzip(std::string(10u << 20, 'x'))}) {
    vendor->answer = [&](const auto&) { return answer(403, body, gzip); };
    const auto& refused = page();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::forbidden);
    EXPECT_THAT(refused.error().message(), ::testing::StartsWith("HTTP 403 ("));
  }
}

TEST_F(VendorFaults, B18_TimeIsTheVendorsWhereItIsBehind) {
  const auto after = [&](const char* date) {
    vendor->answer = [date](const auto&) { return answer(200, kPage, {{"Date", date}}); };
    EXPECT_TRUE(page());
    return (clock.wall_now() - api.vendor_now()) / 1s;
  };
  // The clock starts at Thu, 01 Jan 2026 00:00:00.
  EXPECT_EQ(after("Thu, 01 Jan 2026 00:00:00 GMT"), 0) << "a Date is whole seconds";
  EXPECT_EQ(after("Wed, 31 Dec 2025 23:59:00 GMT"), 59);
  EXPECT_EQ(after("Thu, 01 Jan 2026 09:00:00 GMT"), 0) << "never ahead of our own";
  EXPECT_EQ(after("Wed, 31 Dec 2025 23:59:00 GMT"), 59);
  EXPECT_EQ(after("yesterday"), 59);
}

TEST_F(VendorFaults, B18_AfterAJumpOfTheWallClockTimeIsTheVendorsAgain) {
  vendor->answer = [](const auto&) { return answer(200, kPage, {{"Date", "Thu, 01 Jan 2026 00:00:00 GMT"}}); };
  clock.jump_wall(1h);
  EXPECT_TRUE(page());
  EXPECT_EQ((clock.wall_now() - api.vendor_now()) / 1s, 3599);
  clock.jump_wall(-1h);
  EXPECT_TRUE(page());
  EXPECT_EQ((clock.wall_now() - api.vendor_now()) / 1s, 0);
  EXPECT_EQ(desk.fetches, 1) << "and nobody needs a new token";
}

TEST_F(VendorFaults, B18_TheDateOfARetryAfterIsOnTheVendorsClock) {
  for (const auto jump : {Duration(0), Duration(1h), Duration(-2h)}) {
    clock.jump_wall(jump);
    vendor->seen.clear();
    first({answer(429, "", {{"Date", "Thu, 01 Jan 2026 12:00:00 GMT"}, {"Retry-After", "Thu, 01 Jan 2026 12:00:07 GMT"}})});
    EXPECT_TRUE(page());
    ASSERT_EQ(vendor->seen.size(), 2u);
    EXPECT_GE(vendor->seen[1].at - vendor->seen[0].at, 7s);
    EXPECT_LE(vendor->seen[1].at - vendor->seen[0].at, 8s);
  }
}

TEST_F(VendorFaults, B21_NoRedirectIsFollowed) {
  for (const int status : {301, 302, 303, 307, 308})
    for (const char* target : {"http://169.254.169.254/latest/meta-data", "https://evil.example/", "/jpm/v2/elsewhere"}) {
      vendor->answer = [&](const auto&) { return answer(status, kPage, {{"Location", target}}); };
      vendor->seen.clear();
      const auto& moved = page();
      ASSERT_FALSE(moved) << status << " " << target;
      EXPECT_EQ(moved.error().kind(), ErrorKind::protocol);
      EXPECT_EQ(moved.error().http_status(), status);
      for (const auto& call : vendor->seen) EXPECT_EQ(call.request.target, "/jpm/v2/tenant/1001/export/jobs");
      EXPECT_EQ(vendor->seen.size(), 1u + kMaxBadPages);
    }
  EXPECT_THAT(vendor->origins, ElementsAre("https://api.example:8443"));
}

TEST_F(VendorFaults, B24_NothingButA200IsAPage) {
  for (const int status : {201, 202, 203, 204, 206, 226, 304})
    for (const char* body : {kPage, ""}) {
      vendor->answer = [&](const auto&) { return answer(status, body); };
      vendor->seen.clear();
      const auto& odd = page();
      ASSERT_FALSE(odd) << status;
      EXPECT_EQ(odd.error().kind(), ErrorKind::protocol) << status;
      EXPECT_EQ(odd.error().http_status(), status);
      EXPECT_EQ(vendor->seen.size(), 1u + kMaxBadPages) << status;
    }
}

TEST_F(ApiTest, AQuotaBelongsToTheTenantOrTheApp) {
  EXPECT_NE(&api.bucket({"acme", 1001}), &api.bucket({"acme", 1002}));
  EXPECT_NEAR(api.bucket({"acme", 1001}).rate(), 60 * limits::Gcra::kUse, 0.01);
}

TEST_F(ApiTest, AQuotaOfTheAppIsSharedAndDividedByTheWorkers) {
  config.apps[0].limits.scope = "app";
  config.expected_workers = 3;
  EXPECT_EQ(&api.bucket({"acme", 1001}), &api.bucket({"acme", 1002}));
  EXPECT_NEAR(api.bucket({"acme", 1001}).rate(), 20 * limits::Gcra::kUse, 0.01);
}

TEST_F(ApiTest, AnAnswerThatTakesTooLongIsNotAskedForAgainInTheSameSize) {
  page_size = 500;
  first({core::fail(core::ErrorKind::timeout, "no answer for 120 s")});
  const auto slow = page();
  ASSERT_FALSE(slow);
  EXPECT_TRUE(took_too_long(slow.error()));
  EXPECT_EQ(vendor->seen.size(), 1u);
}

TEST_F(ApiTest, ATokenThatTakesTooLongSaysNothingOfThePage) {
  page_size = 500;
  desk.failure = core::Error(core::ErrorKind::timeout, "no token for 30 s");
  desk.failures = 1;
  EXPECT_TRUE(page()) << "the call is made again as it was";
}

}  // namespace
}  // namespace stsync::servicetitan
