// The vendor's faults that end with one call, numbered as in docs/reliability.md. In virtual time.
#include <gmock/gmock.h>

#include "api_play.hpp"
#include "codec/gzip.hpp"
#include "tokens/http_source.hpp"

namespace stsync::servicetitan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using VendorFaults = ApiTest;

TEST_F(VendorFaults, B17_ATokenEndpointThatIsDownForTenMinutesEndsNoCall) {
  EXPECT_TRUE(page());
  // As bad as it can be: nothing in hand, and what comes back is a page of a proxy.
  desk.failure = tokens::read_token_answer(200, "<html>maintenance</html>").error();
  for (const std::uint64_t seed : {1, 2, 3, 4, 5}) {
    rng = core::Rng(seed);
    clock.run_for(705s);  // the token in hand is being renewed
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

}  // namespace
}  // namespace stsync::servicetitan
