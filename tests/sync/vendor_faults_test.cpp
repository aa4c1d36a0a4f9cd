// What a job does about a vendor in trouble, numbered as in the list of faults that the project keeps: the whole client in virtual
// time, with a vendor in memory.
#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/gzip.hpp"
#include "core/text.hpp"
#include "servicetitan/classify.hpp"
#include "vendor_play.hpp"

namespace stsync::sync {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::Each;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr const char* kHtml = "<html><head><title>Error</title></head><body>Something went wrong</body></html>";

struct VendorFaults : ::testing::Test {
  /// Runs the usual job to its end.
  void run(v1::Mode mode = v1::full, core::Duration limit = 2h) {
    Life life(w);
    life.start(sync_command(mode));
    ASSERT_TRUE(life.run(limit));
  }
  void expect_completed() {
    EXPECT_EQ(w.job().phase(), v1::JobState::completed) << w.job().failure().message();
    EXPECT_THAT(w.statuses(), Not(Contains("failed")));
  }
  void expect_failed(const std::string& code) {
    EXPECT_EQ(w.job().phase(), v1::JobState::failed);
    EXPECT_EQ(w.job().failure().code(), code) << w.job().failure().message();
  }
  const core::TimePoint& at(std::size_t call) { return w.vendor->seen.at(call).at; }

  VendorWorld w;
};

struct Storm {
  const char* name;
  std::string retry_after;  ///< "date": seven seconds from then
  core::Duration wait;      ///< that it means
};
template <class T>
std::string name_of(const ::testing::TestParamInfo<T>& test) {
  return test.param.name;
}
/// A date some time after the start of the clock.
std::string http_date(core::Duration after) {
  const auto seconds = after / 1s;
  return fmt::format("Thu, 01 Jan 2026 00:{:02}:{:02} GMT", seconds / 60, seconds % 60);
}
class VendorFaultStorms : public VendorFaults, public ::testing::WithParamInterface<Storm> {};

TEST_P(VendorFaultStorms, B1_RefusalsAreSatOutAndFailNothing) {
  w.feed.rows = 1000;
  w.vendor->takes = 1s;
  std::vector<core::TimePoint> refused;
  std::uint64_t calls = 0;
  w.answer = [&](const http::Request& request) -> core::Result<http::Response> {
    if (w.now() > 60s || ++calls % 2 != 0) return w.good(request);
    refused.push_back(w.clock.now());
    const auto wait = GetParam().retry_after == "date" ? http_date(w.now() + 7s) : GetParam().retry_after;
    return VendorWorld::reply(429, R"({"title":"Rate limit is exceeded."})", {{"Date", http_date(w.now())}, {"Retry-After", wait}});
  };
  run();
  expect_completed();
  expect_every_row_once(w);
  ASSERT_FALSE(refused.empty());
  EXPECT_EQ(w.vendor->seen.size(), 100u + refused.size()) << "each refused call is made once more";
  EXPECT_EQ(w.job().counts().throttled(), static_cast<std::int64_t>(refused.size()));
  EXPECT_EQ(w.job().counts().retries(), 0) << "a refusal is no failure";
  EXPECT_THAT(w.statuses(), Contains("throttled"));
  for (const auto when : refused) {
    const auto next = std::find_if(w.vendor->seen.begin(), w.vendor->seen.end(), [&](const auto& seen) { return seen.at >= when; });
    ASSERT_NE(next, w.vendor->seen.end());
    EXPECT_GE(next->at - when, GetParam().wait);
    EXPECT_LE(next->at - when, GetParam().wait + 1s);
  }
}

INSTANTIATE_TEST_SUITE_P(RetryAfter, VendorFaultStorms,
                         ::testing::Values(Storm{"Second", "1", 1s}, Storm{"Date", "date", 7s}, Storm{"Garbage", "soon", 1s},
                                           Storm{"Day", "86400", 300s}, Storm{"Negative", "-5", 1s}),
                         name_of<Storm>);

class VendorFaultOutages : public VendorFaults, public ::testing::WithParamInterface<int> {};

TEST_P(VendorFaultOutages, B2_FiveMinutesOfErrorsAreWaitedOutAtTheSameToken) {
  for (const char* body : {kHtml, "", R"({"title":"An error occurred while processing your request."})"}) {
    VendorWorld world;
    std::vector<std::string> meanwhile;
    world.answer = [&](const http::Request& request) -> core::Result<http::Response> {
      if (world.now() < 200ms || world.now() > 300s) return world.good(request);
      meanwhile.push_back(VendorWorld::query_of(request)["from"]);
      return VendorWorld::reply(GetParam(), body);
    };
    Life life(world);
    life.start(sync_command());
    ASSERT_TRUE(life.run(2h));
    EXPECT_EQ(world.job().phase(), v1::JobState::completed) << world.job().failure().message();
    expect_every_row_once(world);
    ASSERT_FALSE(meanwhile.empty());
    EXPECT_THAT(meanwhile, Each(Eq(meanwhile.front()))) << "the crawl goes on from where it stood";
    EXPECT_LE(meanwhile.size(), 20u) << "the waits grow";
    EXPECT_LE(world.now(), 300s + 62s) << "to a minute at most";
    EXPECT_EQ(world.job().counts().retries(), static_cast<std::int64_t>(meanwhile.size()));
    EXPECT_THAT(world.statuses(), Contains("retrying"));
  }
}

/// A list of 300 rows.
http::Response list_page(const http::Request& request, int rows = 300) {
  auto q = VendorWorld::query_of(request);
  const auto size = *core::parse_int(q["pageSize"]), page = *core::parse_int(q["page"]);
  std::string data;
  for (auto i = (page - 1) * size; i < std::min<std::int64_t>(rows, page * size); ++i)
    data += fmt::format(R"({}{{"id":{},"modifiedOn":"2025-01-01T00:00:00Z"}})", data.empty() ? "" : ",", i + 1);
  return VendorWorld::reply(200, fmt::format(R"({{"hasMore":{},"page":{},"pageSize":{},"totalCount":{},"data":[{}]}})",
                                             page * size < rows, page, size, rows, data));
}

TEST_P(VendorFaultOutages, B2_AListIsReadOnceTheVendorIsBack) {
  std::size_t meanwhile = 0;
  w.answer = [&](const http::Request& request) -> core::Result<http::Response> {
    if (w.now() > 300s) return list_page(request);
    ++meanwhile;
    return VendorWorld::reply(GetParam(), kHtml);
  };
  auto command = sync_command();
  command.mutable_sync()->set_resource("inventory.vendors");
  Life life(w);
  life.start(command);
  ASSERT_TRUE(life.run(2h));
  expect_completed();
  std::set<std::string> keys;
  for (const auto& m : w.of("st.inventory.vendors")) EXPECT_TRUE(keys.insert(m.key).second) << m.key;
  EXPECT_THAT(keys, SizeIs(300));
  EXPECT_LE(meanwhile, 30u) << "and 504 asks for smaller pages first";
}

INSTANTIATE_TEST_SUITE_P(Status, VendorFaultOutages, ::testing::Values(500, 502, 503, 504),
                         [](const auto& test) { return std::to_string(test.param); });

/// A page of a feed that says there is more.
std::string page_with(const std::string& token, const std::string& data) {
  return fmt::format(R"({{"hasMore":true,"continueFrom":{},"data":[{}]}})", token, data);
}

/// What a feed answers that does not get on, once it has read two pages well.
struct Circle {
  const char* name;
  std::function<std::string(int call, const std::string& from)> page;
  bool rows;
};
class VendorFaultCircles : public VendorFaults, public ::testing::WithParamInterface<Circle> {};

TEST_P(VendorFaultCircles, B12_AFeedThatDoesNotGetOnIsNotReadForEver) {
  int calls = 0;
  w.answer = [&](const http::Request& request) -> core::Result<http::Response> {
    const auto from = VendorWorld::query_of(request)["from"];
    if (from.empty() || from == "r10") return w.good(request);
    return VendorWorld::reply(200, GetParam().page(calls++, from));
  };
  run();
  EXPECT_LE(calls, 30);
  if (GetParam().rows) {
    expect_failed("no_progress");
    EXPECT_THAT(w.statuses(), Contains("failed").Times(1));
    EXPECT_EQ(w.memory().stream(stream_journal_key("acme", 1001, "jpm.jobs")).token(), "") << "a full that failed moves no cursor";
  } else {
    expect_completed();
    const auto statuses = w.of("st.status");
    EXPECT_TRUE(std::any_of(statuses.begin(), statuses.end(), [](const Shown& m) {
      return m.value->find("the feed ended with hasMore but neither rows nor a new token") != std::string::npos;
    }));
  }
  const auto records = w.of("st.jpm.jobs");
  ASSERT_GE(records.size(), 20u) << "what was read before stays";
  for (std::size_t i = 0; i < records.size(); ++i) EXPECT_EQ(records[i].headers.at("st-job"), fmt::format("j1:{}", i));
}

/// Round by the token that is asked for, or by the call: then the same request is answered differently.
std::string circle_of_three(const std::string& from, const std::string& rows) {
  return page_with(from == "c1" ? R"("c2")" : from == "c2" ? R"("c3")" : R"("c1")", rows);
}
std::string circle_of_three(int call, const std::string& rows) { return page_with(fmt::format("\"c{}\"", call % 3), rows); }

const std::vector<Circle> kCircles{
    {"SameToken", [](int, const std::string& from) { return page_with("\"" + from + "\"", R"({"id":1})"); }, true},
    {"NullToken", [](int, const std::string&) { return page_with("null", R"({"id":1})"); }, true},
    {"EmptyToken", [](int, const std::string&) { return page_with("\"\"", R"({"id":1})"); }, true},
    {"CircleOfThree", [](int, const std::string& from) { return circle_of_three(from, R"({"id":1})"); }, true},
    {"CircleOfThreeByCall", [](int call, const std::string&) { return circle_of_three(call, R"({"id":1})"); }, true},
    {"CircleOfThreeWithoutRows", [](int, const std::string& from) { return circle_of_three(from, ""); }, true},
    {"CircleOfThreeByCallWithoutRows", [](int call, const std::string&) { return circle_of_three(call, ""); }, true},
    {"SameTokenWithoutRows", [](int, const std::string& from) { return page_with("\"" + from + "\"", ""); }, false},
    {"NullTokenWithoutRows", [](int, const std::string&) { return page_with("null", ""); }, false}};
INSTANTIATE_TEST_SUITE_P(Feeds, VendorFaultCircles, ::testing::ValuesIn(kCircles), name_of<Circle>);

TEST_F(VendorFaults, B13_EmptyPagesWithNewTokensEndAfterAThousand) {
  int empty = 0;
  w.answer = [&](const http::Request& request) -> core::Result<http::Response> {
    const auto from = VendorWorld::query_of(request)["from"];
    if (from.empty() || from == "r10") return w.good(request);
    return VendorWorld::reply(200, page_with(fmt::format("\"e{}\"", ++empty), ""));
  };
  run();
  expect_failed("no_progress");
  EXPECT_THAT(w.job().failure().message(), HasSubstr("1000 empty pages"));
  EXPECT_LE(empty, 1001 + servicetitan::kMaxBadPages);
  EXPECT_EQ(w.of("st.jpm.jobs").size(), 20u);
}

TEST_F(VendorFaults, B15_ATokenThatEndsInTheMiddleIsReplacedOnceAndThePageReadOnce) {
  bool ended = false;
  w.answer = [&](const http::Request& request) -> core::Result<http::Response> {
    ended = ended || VendorWorld::query_of(request)["from"] == "r20";
    if (ended && *http::find_header(request.headers, "Authorization") == "Bearer t1") return VendorWorld::reply(401, "");
    return w.good(request);
  };
  run();
  expect_completed();
  expect_every_row_once(w);
  EXPECT_EQ(w.desk.fetches, 2);
  EXPECT_EQ(w.vendor->seen.size(), 6u) << "five pages, one of them twice";
  EXPECT_EQ(w.job().counts().retries(), 0);
  EXPECT_THAT(w.statuses(), Not(Contains("auth_failed")));
}

TEST_F(VendorFaults, B15_TokensThatLiveAsLongAsTheySayAreNeverRefused) {
  w.vendor->takes = 10s;
  w.feed.rows = 2000;  // more than half an hour
  std::map<std::string, core::Duration> first_seen;
  int refused = 0;
  w.answer = [&](const http::Request& request) -> core::Result<http::Response> {
    const auto given = first_seen.try_emplace(*http::find_header(request.headers, "Authorization"), w.now()).first->second;
    refused += w.now() - given > 900s;
    return w.good(request);
  };
  run();
  expect_completed();
  EXPECT_EQ(refused, 0);
  EXPECT_GE(w.desk.fetches, 2);
  EXPECT_LE(w.desk.fetches, 4);
}

TEST_F(VendorFaults, B16_AnAccountThatIsRefusedForGoodWaitsAndIsToldOfOncePerStep) {
  bool good = false;
  w.answer = [&](const http::Request& request) -> core::Result<http::Response> {
    return good ? w.good(request) : VendorWorld::reply(401, R"({"title":"Application key is not valid."})");
  };
  Life life(w);
  life.start(sync_command());
  EXPECT_FALSE(life.run(1h));
  const auto told = w.statuses();
  const auto steps = static_cast<std::size_t>(std::count(told.begin(), told.end(), "auth_failed"));
  EXPECT_GE(steps, 4u);
  EXPECT_LE(steps, 61u);
  EXPECT_LE(static_cast<std::size_t>(w.desk.fetches), 2 * steps);
  EXPECT_LE(w.vendor->seen.size(), 2 * steps) << "one call and one with a new token";
  EXPECT_THAT(told, Not(Contains("failed")));
  EXPECT_EQ(w.job().phase(), v1::JobState::auth_failed);
  good = true;
  ASSERT_TRUE(life.run(20min)) << "nobody has to start it again";
  expect_completed();
  expect_every_row_once(w);
}

TEST_F(VendorFaults, B16_AForbiddenCallFailsTheJobAndSaysWhatToGrant) {
  w.answer = [&](const http::Request& request) -> core::Result<http::Response> {
    if (VendorWorld::query_of(request)["from"] != "r20") return w.good(request);
    return VendorWorld::reply(403, R"({"title":"Scope validation failed","status":403})");
  };
  run();
  expect_failed("forbidden");
  EXPECT_THAT(w.job().failure().message(), HasSubstr("HTTP 403: Scope validation failed"));
  EXPECT_THAT(w.job().failure().message(), HasSubstr("jpm.jobs needs the scope 'tn.jpm.jobs:r'"));
  EXPECT_THAT(w.statuses(), Contains("failed").Times(1));
  EXPECT_EQ(w.vendor->seen.size(), 3u);
  EXPECT_EQ(w.desk.fetches, 1) << "another token would not help";
  EXPECT_EQ(w.of("st.jpm.jobs").size(), 20u);
}

TEST_F(VendorFaults, B22_OddRowsAreKeptUnderKeysThatDoNotChange) {
  const std::string nameless = R"({"modifiedOn":"2025-01-01T00:00:00Z","n":1})",
                    future = R"({"id":3,"modifiedOn":"2101-01-01T00:00:00Z"})";
  const std::string rows = nameless + "," + R"({"id":2,"n":1},{"id":2,"n":2},{"id":null},)" + future;
  w.answer = [&](const http::Request&) -> core::Result<http::Response> {
    return VendorWorld::reply(200, R"({"hasMore":false,"continueFrom":"t","data":[)" + rows + "]}");
  };
  run();
  Life life(w);
  life.start(sync_command(v1::full, "j2"));
  ASSERT_TRUE(life.run());
  const auto records = w.of("st.jpm.jobs");
  ASSERT_EQ(records.size(), 10u);
  const auto hash = [](const std::string& row) { return "1001:#" + core::sha256_hex(row).substr(0, 32); };
  const std::vector<std::string> keys{hash(nameless), "1001:2", "1001:2", hash(R"({"id":null})"), "1001:3"};
  for (std::size_t i = 0; i < records.size(); ++i) EXPECT_EQ(records[i].key, keys[i % 5]) << i;
  EXPECT_EQ(records[0].value, nameless);
  EXPECT_EQ(records[2].value, R"({"id":2,"n":2})");
  EXPECT_EQ(records[4].value, future);
}

TEST_F(VendorFaults, B22_AWatermarkIsNeverTheTimeOfARow) {
  w.config.worker.settle = 5min;
  w.answer = [&](const http::Request&) -> core::Result<http::Response> {
    return VendorWorld::reply(200,
                              R"({"hasMore":false,"page":1,"pageSize":500,"totalCount":2,"data":[)"
                              R"({"id":1,"modifiedOn":"2101-01-01T00:00:00Z"},{"id":2,"modifiedOn":"2025-01-01T00:00:00Z"}]})");
  };
  auto command = sync_command();
  command.mutable_sync()->set_resource("inventory.vendors");
  Life life(w);
  life.start(command);
  ASSERT_TRUE(life.run());
  expect_completed();
  const auto watermark = w.memory().stream(stream_journal_key("acme", 1001, "inventory.vendors")).watermark_ms();
  EXPECT_EQ(watermark, 1767225600000 - 300'000) << "our clock less what settles";
  // The filter asks for what was modified before that: a row of the year 2101 is the next century's.
  const auto records = w.of("st.inventory.vendors");
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].key, "1001:2");
}

TEST_F(VendorFaults, B23_APageOfAnotherTenantFailsTheJobAndNothingOfItIsPublished) {
  const std::vector<std::string> foreign{
      R"({"hasMore":true,"continueFrom":"r30","data":[{"id":1,"tenantId":1001},{"id":2,"tenantId":1002}]})",
      R"({"hasMore":true,"continueFrom":"r30","data":[{"id":1}],"tenantId":1002})",
      R"({"tenantId": 1002 ,"hasMore":true,"continueFrom":"r30","data":[{"id":1}]})"};
  for (const auto& page : foreign) {
    VendorWorld world;
    world.answer = [&](const http::Request& request) -> core::Result<http::Response> {
      return VendorWorld::query_of(request)["from"] == "r20" ? VendorWorld::reply(200, page) : world.good(request);
    };
    Life life(world);
    life.start(sync_command(v1::incremental));
    ASSERT_TRUE(life.run());
    EXPECT_EQ(world.job().failure().code(), "tenant_mismatch") << page;
    EXPECT_THAT(world.job().failure().message(), HasSubstr("tenant 1002 instead of 1001"));
    EXPECT_EQ(world.of("st.jpm.jobs").size(), 20u);
    EXPECT_EQ(world.job().crawl().feed().token(), "r20") << "it can go on where it was right";
    EXPECT_EQ(world.vendor->seen.size(), 3u) << "it is not asked for again: somebody has to look";
  }
}

TEST_F(VendorFaults, B23_ATenantThatIsTheRightOneIsNoMismatch) {
  w.answer = [&](const http::Request&) -> core::Result<http::Response> {
    return VendorWorld::reply(200, R"({"tenantId":1001,"data":[{"campaignName":"c","warningType":"w","tenantId":1001},)"
                                   R"({"campaignName":"d","warningType":"w","lead":{"tenantId":7},"tenantId":"x"}]})");
  };
  auto command = sync_command();
  command.mutable_sync()->set_resource("marketing-ads.capacity-warnings");
  Life life(w);
  life.start(command);
  ASSERT_TRUE(life.run());
  expect_completed();
  EXPECT_EQ(w.job().counts().records(), 2);
}

/// How long jobs of the fast tenants take, with jobs of a tenant beside them whose pages take half a minute, or without.
std::map<std::string, core::Duration> times_of_fast_tenants(int slow_jobs) {
  VendorWorld w;
  w.page_memory = 300u << 20;
  w.feed.rows = 2000;
  w.vendor->takes_for = [](const http::Request& request) -> core::Duration {
    return request.target.find("/tenant/1001/") != std::string::npos ? core::Duration(30s) : core::Duration(40ms);
  };
  const auto tenant = w.config.apps[0].tenants[0];
  for (const std::int64_t id : {1002, 1003, 1004}) {
    w.config.apps[0].tenants.push_back(tenant);
    w.config.apps[0].tenants.back().id = id;
  }
  Life life(w);
  for (const auto& [name, resource] : w.catalogue.all()) {
    if (slow_jobs == 0) break;
    if (resource.endpoint(servicetitan::Role::export_feed) == nullptr) continue;
    auto command = sync_command(v1::full, fmt::format("slow{}", slow_jobs--));
    command.mutable_sync()->set_resource(name);
    life.start(command);
  }
  for (const std::int64_t id : {1002, 1003, 1004}) {
    auto command = sync_command(v1::full, fmt::format("fast{}", id));
    command.set_tenant(id);
    life.start(command);
  }
  w.clock.run_until([&] { return life.ended.size() == 3; }, 1h);
  std::map<std::string, core::Duration> out;
  for (const auto& [id, when] : life.ended) out[id] = when.time_since_epoch();
  return out;
}

TEST(VendorFaultsBeside, B25_ASlowTenantDoesNotSlowTheOthers) {
  const auto alone = times_of_fast_tenants(0), beside = times_of_fast_tenants(32);
  ASSERT_EQ(alone.size(), 3u);
  ASSERT_EQ(beside.size(), 3u);
  for (const auto& [id, time] : alone) {
    ASSERT_TRUE(beside.contains(id)) << id << " is not one of the first to end";
    // The slow tenant's token was asked for first, which is one turn of five a second.
    EXPECT_LE(beside.at(id), time + time / 50 + 200ms) << id;
  }
}

}  // namespace
}  // namespace stsync::sync
