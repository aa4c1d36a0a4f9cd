// One page of the API, repeated until it can be used: what goes out, what is tried again, what is waited for. In virtual time.
#include <gmock/gmock.h>

#include "api_play.hpp"
#include "codec/gzip.hpp"
#include "limits/pacer.hpp"
#include "tokens/http_source.hpp"

namespace stsync::servicetitan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

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

TEST_F(ApiTest, E10_WhatACommandSaysIsEncodedWhereverItStands) {
  auto& endpoint = resource.endpoints.front();
  endpoint.path = "/jpm/v2/tenant/{tenant}/jobs/{id}/notes";
  const std::string hostile = "7%2f?a=b&c#d\r\nX: y/@evil.example//\\{tenant}";
  auto request = Target{&resource, &endpoint, {{"id", hostile}}}.request();
  request.query = {{"q\r\n", hostile}};
  tasks.spawn("page", [](ApiTest& t, Request r) -> awaitable<void> {
    t.result = co_await t.api.get_page(t.account, std::move(r), t.log, t.watcher, t.stop.token());
  }(*this, std::move(request)));
  clock.run_for(1s);
  ASSERT_TRUE(result && *result);
  const std::string encoded = "7%252f%3Fa%3Db%26c%23d%0D%0AX%3A%20y%2F%40evil.example%2F%2F%5C%7Btenant%7D";
  EXPECT_EQ(vendor->seen.at(0).request.target, "/jpm/v2/tenant/1001/jobs/" + encoded + "/notes?q%0D%0A=" + encoded);
  EXPECT_THAT(vendor->origins, ElementsAre("https://api.example:8443"));
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
    if (co_await limiter.acquire({account.app, account.tenant}, stop.token())) granted.push_back(clock.now());
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
    EXPECT_LE(clock.now() - start, 30min) << "the breaker adds to the waits";
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
      {"quota", [&] { limiter.hold(account.app, account.tenant, clock.now() + 5min); }},
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

TEST_F(ApiTest, NoCallIsMadeOnceTheLeaseIsLostHoweverLongItWaited) {
  limiter.hold("acme", 1001, clock.now() + 1min);
  start();
  clock.run_for(30s);
  watcher.leased = false;
  clock.run_for(5min);
  EXPECT_EQ(vendor->seen.size(), 0u);
  watcher.leased = true;
  clock.run_for(1s);
  EXPECT_TRUE(result);
}

TEST_F(ApiTest, ACallThatHadToConnectWaitsForAnotherTurnWithItsConnection) {
  // Otherwise the vendor would see it long after its turn, between the calls of that time.
  vendor->connecting = 300ms;
  const auto before = clock.now();
  ASSERT_TRUE(page());
  EXPECT_EQ(vendor->connects, 1) << "it keeps its connection";
  EXPECT_EQ(vendor->seen.size(), 1u);
  EXPECT_GE(vendor->seen[0].at - before, 300ms);
}

TEST_F(ApiTest, AResourceMayHaveALimitOfItsOwn) {
  resource.requests_per_second = 0.1;
  ASSERT_TRUE(page());
  const auto first = clock.now();
  ASSERT_TRUE(page());
  EXPECT_GE(clock.now() - first, 9s);
  resource.requests_per_second = 0;
  EXPECT_TRUE(page(1s)) << "others of the tenant do not wait";
}

TEST_F(ApiTest, AQuotaBelongsToTheTenantOrTheApp) {
  EXPECT_NEAR(limiter.rate("acme", 1001), 60 * limits::Pacer::kUse, 0.01);
  limiter.hold("acme", 1001, clock.now() + 1h);
  account.tenant = 1002;
  EXPECT_TRUE(page(1s)) << "another tenant's quota";
}

TEST_F(ApiTest, AQuotaOfTheAppIsSharedAndDividedByTheWorkers) {
  config.apps[0].limits.scope = "app";
  config.expected_workers = 3;
  EXPECT_NEAR(limiter.rate("acme", 1001), 20 * limits::Pacer::kUse, 0.01);
  limiter.hold("acme", 1001, clock.now() + 1h);
  account.tenant = 1002;
  start();
  clock.run_for(59min);
  EXPECT_FALSE(result);
  clock.run_for(2min);
  EXPECT_TRUE(result);
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
