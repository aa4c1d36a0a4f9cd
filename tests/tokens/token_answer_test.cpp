// What the answers of the token endpoint mean.
#include "tokens/token_answer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stsync::tokens {
namespace {

using core::ErrorKind;
using namespace std::chrono_literals;

TEST(TokenAnswer, IsReadFromWhatTheVendorSends) {
  const auto good = read_token_answer(200, R"({"access_token":"abc","expires_in":900,"token_type":"Bearer","scope":""})");
  ASSERT_TRUE(good);
  EXPECT_EQ(good->token.reveal(), "abc");
  EXPECT_EQ(good->life, 900s);
  EXPECT_EQ(read_token_answer(200, R"({"access_token":"abc"})")->life, 900s);
  EXPECT_EQ(read_token_answer(200, R"({"access_token":"abc","expires_in":-9})")->life, 0s);
  EXPECT_EQ(read_token_answer(200, R"({"access_token":"abc","expires_in":99999999999})")->life, 365 * 24h);
}

TEST(TokenAnswer, B17_SaysWhatIsWrongAndNoSecret) {
  const std::vector<std::tuple<int, std::string, ErrorKind>> cases{
      {200, "", ErrorKind::server},
      {200, "null", ErrorKind::server},
      {200, "[]", ErrorKind::server},
      {200, "<html>", ErrorKind::server},
      {200, R"({"access_token":""})", ErrorKind::server},
      {200, R"({"access_token":7})", ErrorKind::server},
      {200, R"({"access_token":"SECRET")", ErrorKind::server},
      {400, R"({"error":"invalid_client"})", ErrorKind::unauthorized},
      {401, "", ErrorKind::unauthorized},
      {403, "<html>", ErrorKind::unauthorized},
      {429, "", ErrorKind::throttled},
      {500, R"({"access_token":"SECRET"})", ErrorKind::server},
      {302, "", ErrorKind::server},
  };
  for (const auto& [status, body, kind] : cases) {
    const auto answer = read_token_answer(status, body);
    ASSERT_FALSE(answer) << status << body;
    EXPECT_EQ(answer.error().kind(), kind) << status << body;
    EXPECT_EQ(answer.error().http_status(), status);
    EXPECT_THAT(answer.error().message(), ::testing::Not(::testing::HasSubstr("SECRET")));
  }
  EXPECT_THAT(read_token_answer(400, R"({"error":"invalid_client"})").error().message(),
              ::testing::HasSubstr("400 invalid_client"));
  EXPECT_LT(read_token_answer(400, R"({"error":")" + std::string(10'000, 'x') + R"("})").error().message().size(), 300u);
}

TEST(TokenAnswer, B17_ATokenThatFitsNoHeaderIsNone) {
  // It would fail every call until its end; a failed fetch is soon tried again.
  for (const char* body : {R"({"access_token":"a\r\nX-Evil: 1"})", R"({"access_token":"a b"})", R"({"access_token":"a\u0000"})",
                           R"({"access_token":"\u00fc"})", R"({"access_token":" "})"}) {
    const auto answer = read_token_answer(200, body);
    ASSERT_FALSE(answer) << body;
    EXPECT_EQ(answer.error().kind(), ErrorKind::server);
  }
  EXPECT_TRUE(read_token_answer(200, R"({"access_token":"eyJh.bGci-Oi_J/+~="})"));
}

TEST(TokenAnswer, B17_ALifeThatIsNoNumberIsTheUsualOne) {
  for (const char* life : {"null", "\"900\"", "1e3", "899.5", "{}", "99999999999999999999", "true", "\"abc\"", "1e9"})
    EXPECT_EQ(read_token_answer(200, std::string(R"({"access_token":"a","expires_in":)") + life + "}")->life, 900s) << life;
}

TEST(TokenAnswer, B17_TellsHowLongToWait) {
  const auto wait = [](int status, http::Headers headers) { return read_token_answer(status, "", headers).error().retry_after(); };
  EXPECT_EQ(wait(429, {{"Retry-After", "17"}}), 17s);
  EXPECT_EQ(wait(503, {{"retry-after", "0"}}), 0s);
  EXPECT_EQ(wait(429, {{"Retry-After", "99999999"}}), 24h);
  const std::string date = "Sun, 06 Nov 1994 08:49:37 GMT";
  EXPECT_EQ(wait(429, {{"Retry-After", "Sun, 06 Nov 1994 08:50:07 GMT"}, {"Date", date}}), 30s);
  EXPECT_EQ(wait(429, {{"Retry-After", date}, {"Date", "Sun, 06 Nov 1994 08:50:07 GMT"}}), std::nullopt) << "in the past";
  EXPECT_EQ(wait(429, {{"Retry-After", date}}), std::nullopt) << "nothing to compare it with";
  for (const char* odd : {"", "-1", "soon", "1.5", "99999999999999999999"})
    EXPECT_EQ(wait(429, {{"Retry-After", odd}}), std::nullopt) << odd;
  EXPECT_EQ(wait(400, {{"Retry-After", "17"}}), std::nullopt) << "who is refused waits as we see fit";
}

}  // namespace
}  // namespace stsync::tokens
