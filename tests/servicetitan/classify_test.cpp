#include "servicetitan/classify.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stsync::servicetitan {
namespace {

using core::ErrorKind;
using namespace std::chrono_literals;

const core::WallTime kNow{std::chrono::milliseconds(1'795'454'096'000)};  // 2026-11-23T17:14:56Z

TEST(ErrorOfStatus, NamesWhatAStatusMeans) {
  const std::vector<std::tuple<int, std::string, ErrorKind>> cases{
      {204, "", ErrorKind::protocol},     {206, "", ErrorKind::protocol},
      {301, "", ErrorKind::protocol},     {400, "", ErrorKind::bad_request},
      {401, "", ErrorKind::unauthorized}, {403, "", ErrorKind::forbidden},
      {404, "", ErrorKind::not_found},    {408, "", ErrorKind::timeout},
      {409, "", ErrorKind::bad_request},  {409, "The service is suspended for maintenance", ErrorKind::maintenance},
      {418, "", ErrorKind::bad_request},  {429, "", ErrorKind::throttled},
      {500, "<html>", ErrorKind::server}, {503, "", ErrorKind::server},
      {599, "", ErrorKind::server},
  };
  for (const auto& [status, body, kind] : cases) {
    const auto error = error_of_status(status, body, nullptr, kNow);
    ASSERT_TRUE(error) << status;
    EXPECT_EQ(error->kind(), kind) << status << " " << body;
    EXPECT_EQ(error->http_status(), status);
  }
  EXPECT_FALSE(error_of_status(200, "{}", nullptr, kNow));
}

TEST(ErrorOfStatus, QuotesTheVendorsTitleOnOneLine) {
  EXPECT_EQ(error_of_status(403, R"({"title":"Missing\nscope","status":403})", nullptr, kNow)->message(),
            "HTTP 403: Missing\\x0ascope");
  EXPECT_EQ(error_of_status(404, R"({"message":"Resource not found"})", nullptr, kNow)->message(), "HTTP 404: Resource not found");
  EXPECT_EQ(error_of_status(500, "<html>no</html>", nullptr, kNow)->message(), "HTTP 500");
  EXPECT_LT(error_of_status(500, R"({"title":")" + std::string(100'000, 'x') + R"("})", nullptr, kNow)->message().size(), 300u);
}

TEST(WithAdvice, SaysWhatToGrantWhereACallIsForbidden) {
  Resource resource;
  resource.name = "crm.heads";
  resource.api = "crm";
  Endpoint endpoint;
  const auto forbidden = *error_of_status(403, R"({"title":"Scope validation failed"})", nullptr, kNow);
  const auto module = with_advice(forbidden, resource, endpoint);
  EXPECT_EQ(module.message(),
            "HTTP 403: Scope validation failed (crm.heads needs the module 'crm': grant it to the app for this tenant)");
  EXPECT_EQ(module.kind(), ErrorKind::forbidden);
  EXPECT_EQ(module.http_status(), 403);
  endpoint.scope = "tn.crm.heads:r";
  EXPECT_EQ(with_advice(forbidden, resource, endpoint).message(),
            "HTTP 403: Scope validation failed (crm.heads needs the scope 'tn.crm.heads:r': grant it to the app for this tenant)");
  EXPECT_EQ(with_advice(core::Error(ErrorKind::server, "HTTP 500"), resource, endpoint).message(), "HTTP 500");
}

TEST(RetryAfter, IsSecondsADateOrInTheText) {
  const auto of = [](const char* header, std::string_view body = {}) -> std::int64_t {
    const std::string text = header == nullptr ? "" : header;
    const auto wait = retry_after(header == nullptr ? nullptr : &text, body, kNow);
    return wait ? wait->count() : -1;
  };
  EXPECT_EQ(of("7"), 7000);
  EXPECT_EQ(of("Mon, 23 Nov 2026 17:15:06 GMT"), 10'000);
  EXPECT_EQ(of(nullptr, R"({"title":"Rate limit is exceeded. Try again in 12 seconds."})"), 12'000);
  EXPECT_EQ(of("soon", "Try again in 3 seconds"), 3000);
  EXPECT_EQ(of("2", "Try again in 30 seconds"), 2000) << "the header wins";
  EXPECT_EQ(of(nullptr, "nothing"), -1);
  EXPECT_EQ(of("soon"), -1);
  EXPECT_EQ(of(""), -1);
}

TEST(RetryAfter, IsNeverAbsurd) {
  for (const std::string header : {"0", "-5", "Thu, 01 Jan 1970 00:00:00 GMT"})
    EXPECT_EQ(retry_after(&header, "", kNow), 1s) << header;
  for (const std::string header : {"999999999", "9223372036854775807", "Fri, 31 Dec 9999 23:59:59 GMT"})
    EXPECT_EQ(retry_after(&header, "", kNow), 5min) << header;
  EXPECT_FALSE(retry_after(nullptr, "Try again in 99999999999999999999 seconds", kNow));
  EXPECT_FALSE(retry_after(nullptr, "Try again in ", kNow));
}

Verdict verdict(ErrorKind kind, Attempts& attempts) {
  core::Rng rng(7);
  return classify(core::Error(kind, "x"), attempts, rng);
}

/// How often a call is made again before it is given up.
int retries_of(ErrorKind kind, Remedy remedy) {
  Attempts attempts;
  int n = 0;
  while (n < 10'000 && verdict(kind, attempts).remedy == remedy) ++n;
  EXPECT_EQ(verdict(kind, attempts).remedy, n == 10'000 ? remedy : Remedy::give_up);
  return n;
}

TEST(Classify, TriesAgainWhatMayPass) {
  for (const auto kind : {ErrorKind::timeout, ErrorKind::network, ErrorKind::tls, ErrorKind::server, ErrorKind::maintenance})
    EXPECT_EQ(retries_of(kind, Remedy::retry), kMaxRetries) << core::to_string(kind);
  for (const auto kind : {ErrorKind::malformed, ErrorKind::protocol, ErrorKind::no_progress})
    EXPECT_EQ(retries_of(kind, Remedy::retry), kMaxBadPages) << core::to_string(kind);
  EXPECT_EQ(retries_of(ErrorKind::throttled, Remedy::slow_down), kMaxRefusals);
  EXPECT_EQ(retries_of(ErrorKind::unauthorized, Remedy::new_token), 1);
}

TEST(Classify, DoesNotRepeatWhatWillFailAgain) {
  for (const auto kind :
       {ErrorKind::forbidden, ErrorKind::not_found, ErrorKind::bad_request, ErrorKind::unstable_list, ErrorKind::tenant_mismatch,
        ErrorKind::spool_full, ErrorKind::too_large, ErrorKind::cancelled, ErrorKind::doubt, ErrorKind::fenced}) {
    Attempts attempts;
    EXPECT_EQ(verdict(kind, attempts).remedy, Remedy::give_up) << core::to_string(kind);
  }
}

TEST(Classify, WaitsGrowToAMinuteAndDiffer) {
  core::Rng rng(3);
  Attempts attempts;
  std::vector<double> waits;
  for (int i = 0; i < kMaxRetries; ++i)
    waits.push_back(std::chrono::duration<double>(classify(core::Error(ErrorKind::server, "x"), attempts, rng).wait).count());
  for (std::size_t i = 0; i < waits.size(); ++i) {
    const auto ceiling = std::min(60.0, 0.5 * static_cast<double>(1u << i));
    EXPECT_LE(waits[i], ceiling) << i;
    EXPECT_GE(waits[i], ceiling * 0.5) << i;
  }
  core::Rng other(4);
  Attempts again;
  EXPECT_NE(classify(core::Error(ErrorKind::server, "x"), again, other).wait, std::chrono::duration<double>(waits[0]));
}

TEST(HttpDate, IsReadStrictly) {
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT")->time_since_epoch(), 784111777s);
  for (const auto* text : {"", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 GMT+1", "1994-11-06T08:49:37Z", "\xff\xff"})
    EXPECT_FALSE(parse_http_date(text)) << text;
}

}  // namespace
}  // namespace stsync::servicetitan
