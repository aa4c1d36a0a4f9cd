// Tokens in virtual time: one fetch however many wait, renewed in time, no storm after a failure.
#include "tokens/tokens.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "support/virtual_clock.hpp"
#include "tokens/http_source.hpp"

namespace stsync::tokens {
namespace {

using boost::asio::awaitable;
using core::Duration;
using core::ErrorKind;
using core::Result;
using namespace std::chrono_literals;

/// Answers after a while, as told.
struct FakeSource final : TokenSource {
  explicit FakeSource(core::Clock& c) : clock(c) {}
  awaitable<Result<Fetched>> fetch(Account account, core::StopToken stop) override {
    ++calls;
    const auto signal = clock.make_signal();
    const auto on_stop = stop.on_stop([&signal] { signal->notify(); });
    if (takes > Duration(0) && co_await signal->wait_until(clock.now() + takes) == core::Wake::notified)
      co_return core::fail(ErrorKind::cancelled, "stopped");
    if (failure) co_return core::fail(*failure);
    co_return Fetched{core::Secret("token " + std::to_string(calls) + " of " + account.app), life};
  }
  core::Clock& clock;
  int calls = 0;
  Duration takes = 100ms;
  Duration life = 900s;
  std::optional<core::Error> failure;
};

struct Play {
  boost::asio::io_context loop;
  test::VirtualClock clock{loop};
  core::Rng rng{5};
  FakeSource source{clock};
  std::vector<std::string> outcomes;
  Tokens tokens{loop.get_executor(), clock, rng, source, [this](const Account&, const char* o) { outcomes.emplace_back(o); }};
  core::TaskGroup tasks{loop.get_executor(), clock};
  const Account account{"acme", 1001};

  ~Play() {
    tasks.spawn("close", tokens.close());
    clock.run_for(1min);
    EXPECT_TRUE(tasks.running().empty());
  }
  awaitable<void> ask(Account a, core::StopToken stop, std::vector<Result<Token>>& answers) {
    answers.push_back(co_await tokens.get(a, stop));
  }
  /// One get(), waited for.
  Result<Token> get() {
    std::vector<Result<Token>> answers;
    tasks.spawn("get", ask(account, {}, answers));
    EXPECT_TRUE(clock.run_until([&] { return !answers.empty(); }, 1h));
    return answers.at(0);
  }
  std::string text() { return get().value().text.reveal(); }
};

TEST(Tokens, AThousandCallersOneFetch) {
  Play play;
  std::vector<Result<Token>> answers;
  for (int i = 0; i < 1000; ++i) play.tasks.spawn("get", play.ask(play.account, {}, answers));
  play.clock.run_for(1s);
  ASSERT_EQ(answers.size(), 1000u);
  EXPECT_EQ(play.source.calls, 1);
  for (const auto& a : answers) EXPECT_EQ(a.value().text.reveal(), "token 1 of acme");
}

TEST(Tokens, ASourceThatAnswersAtOnceIsBelieved) {
  Play play;
  play.source.takes = 0s;
  EXPECT_EQ(play.text(), "token 1 of acme");
  play.clock.run_for(730s);
  EXPECT_EQ(play.text(), "token 2 of acme");
  play.tokens.drop(play.account, play.get().value().generation);
  play.source.failure = core::Error(ErrorKind::server, "down");
  EXPECT_EQ(play.get().error().message(), "down");
  EXPECT_EQ(play.source.calls, 3);
}

TEST(Tokens, EveryAppAndTenantHasItsOwn) {
  Play play;
  std::vector<Result<Token>> answers;
  for (const auto& a : {Account{"a", 1}, Account{"a", 2}, Account{"b", 1}}) play.tasks.spawn("get", play.ask(a, {}, answers));
  play.clock.run_for(1s);
  EXPECT_EQ(answers.size(), 3u);
  EXPECT_EQ(play.source.calls, 3);
}

TEST(Tokens, AreRenewedAtFourFifthsWhileTheOldOneServes) {
  Play play;
  EXPECT_EQ(play.text(), "token 1 of acme");
  play.clock.run_for(600s);
  EXPECT_EQ(play.text(), "token 1 of acme");
  EXPECT_EQ(play.source.calls, 1);
  play.clock.run_for(130s);
  const auto before = play.clock.now();
  EXPECT_EQ(play.text(), "token 1 of acme");
  EXPECT_EQ(play.clock.now(), before) << "nobody waits for the renewal";
  play.clock.run_for(1s);
  EXPECT_EQ(play.source.calls, 2);
  EXPECT_EQ(play.text(), "token 2 of acme");
}

TEST(Tokens, B17_ARenewalThatFailsHarmsNobodyUntilTheOldTokenEnds) {
  Play play;
  play.text();
  play.source.failure = core::Error(ErrorKind::server, "down");
  const auto start = play.clock.now();
  while (play.clock.now() - start < 880s) {
    EXPECT_EQ(play.text(), "token 1 of acme");
    play.clock.run_for(1s);
  }
  EXPECT_GT(play.source.calls, 3);
  EXPECT_LT(play.source.calls, 15) << "failures are spaced out";
  play.clock.run_for(20s);
  EXPECT_FALSE(play.get());
}

TEST(Tokens, ARefusedTokenIsDroppedOnce) {
  Play play;
  const auto first = play.get().value();
  play.tokens.drop(play.account, first.generation);
  const auto second = play.get().value();
  EXPECT_NE(first.text.reveal(), second.text.reveal());
  for (int i = 0; i < 100; ++i) play.tokens.drop(play.account, first.generation);  // others that had the old one
  EXPECT_EQ(play.get().value().text.reveal(), second.text.reveal());
  EXPECT_EQ(play.source.calls, 2);
}

TEST(Tokens, ATokenRefusedDuringItsRenewalWaitsForTheNewOne) {
  Play play;
  const auto first = play.get().value();
  play.clock.run_for(730s);
  play.source.takes = 10s;
  play.get();  // starts the renewal
  play.tokens.drop(play.account, first.generation);
  const auto start = play.clock.now();
  EXPECT_EQ(play.text(), "token 2 of acme");
  EXPECT_EQ(play.clock.now() - start, 10s);
  EXPECT_EQ(play.source.calls, 2);
}

TEST(Tokens, AFailureIsOneFetchForAllAndSoIsTheNextTry) {
  Play play;
  play.source.failure = core::Error(ErrorKind::server, "down");
  std::vector<Result<Token>> answers;
  const auto ask = [&] {
    answers.clear();
    for (int i = 0; i < 1000; ++i) play.tasks.spawn("get", play.ask(play.account, {}, answers));
  };
  ask();
  play.clock.run_for(500ms);
  ASSERT_EQ(answers.size(), 1000u);
  for (const auto& a : answers) EXPECT_EQ(a.error().message(), "down");
  ask();
  play.clock.run_for(0s);
  EXPECT_EQ(answers.size(), 1000u) << "nobody waits in the cool-down";
  EXPECT_EQ(play.source.calls, 1);
  play.source.failure.reset();
  play.clock.run_for(1s);
  ask();
  play.clock.run_for(1s);
  ASSERT_EQ(answers.size(), 1000u);
  for (const auto& a : answers) EXPECT_TRUE(a);
  EXPECT_EQ(play.source.calls, 2);
}

TEST(Tokens, B17_LiveFromTheMomentTheyWereAskedFor) {
  Play play;
  play.source.takes = 40s;
  play.source.life = 60s;
  const auto start = play.clock.now();
  play.get();
  play.clock.run_until(start + 44s);
  EXPECT_EQ(play.text(), "token 1 of acme");
  play.clock.run_until(start + 46s);
  EXPECT_EQ(play.text(), "token 2 of acme") << "it could end while a call is under way";
}

TEST(Tokens, ARefusedClientIsLeftAloneForAGrowingTime) {
  Play play;
  play.source.failure = core::Error(ErrorKind::unauthorized, "invalid_client");
  const auto start = play.clock.now();
  std::vector<Duration> asked;
  int calls = 0;
  while (play.clock.now() - start < 3600s) {
    const auto answer = play.get();
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind(), ErrorKind::unauthorized);
    ASSERT_TRUE(answer.error().retry_after());
    EXPECT_LE(*answer.error().retry_after(), 15min);
    if (play.source.calls != calls) asked.push_back(play.clock.now() - start);
    calls = play.source.calls;
    play.clock.run_for(1s);
  }
  EXPECT_LE(calls, 20);
  ASSERT_GE(asked.size(), 4u);
  EXPECT_NEAR(std::chrono::duration<double>(asked[1] - asked[0]).count(), 60, 2);
  EXPECT_NEAR(std::chrono::duration<double>(asked[2] - asked[1]).count(), 120, 2);
  play.source.failure.reset();
  play.clock.run_for(15min);
  EXPECT_TRUE(play.get());
}

TEST(Tokens, B17_OddLivesAreBroughtIntoRange) {
  for (const auto life : {Duration(0), Duration(-5s), Duration(1s)}) {
    Play play;
    play.source.life = life;
    for (int i = 0; i < 100; ++i) {
      EXPECT_TRUE(play.get());
      play.clock.run_for(1s);
    }
    EXPECT_LE(play.source.calls, 10) << "no storm";
  }
  Play play;
  play.source.life = 24h * 365;
  play.text();
  play.clock.run_for(25h);
  EXPECT_EQ(play.text(), "token 2 of acme");
}

TEST(Tokens, B17_AnEndpointThatIsDownForTenMinutesIsAskedSeldomAndComesBack) {
  Play play;
  play.text();
  play.clock.run_for(700s);
  play.source.failure = core::Error(ErrorKind::server, "down");
  const auto start = play.clock.now();
  int served = 0, refused = 0;
  for (; play.clock.now() - start < 10min; play.clock.run_for(1s)) {
    const auto answer = play.get();
    answer ? ++served : ++refused;
    if (answer) continue;
    ASSERT_TRUE(answer.error().retry_after());
    EXPECT_LE(*answer.error().retry_after(), 1min);
  }
  EXPECT_GT(served, 150) << "as long as the old token lives";
  EXPECT_GT(refused, 350);
  EXPECT_LE(play.source.calls, 1 + 6 + 10) << "1 s, 2 s, … then once a minute";
  play.source.failure.reset();
  play.clock.run_for(1min);
  EXPECT_TRUE(play.get()) << "a minute after it is back at the latest";
}

TEST(Tokens, B17_AnEndpointThatTakesHalfAMinuteIsAskedOnce) {
  Play play;
  play.source.takes = 30s;
  std::vector<Result<Token>> answers;
  for (int i = 0; i < 30; ++i) {
    play.tasks.spawn("get", play.ask(play.account, {}, answers));
    play.clock.run_for(999ms);
  }
  EXPECT_TRUE(answers.empty());
  play.clock.run_for(1s);
  EXPECT_EQ(answers.size(), 30u);
  EXPECT_EQ(play.source.calls, 1);
}

TEST(Tokens, B18_AWallClockThatJumpsChangesNothing) {
  for (const Duration jump : {Duration(1h), Duration(-1h), Duration(24h * 365)}) {
    Play play;
    EXPECT_EQ(play.text(), "token 1 of acme");
    play.clock.jump_wall(jump);
    for (int i = 0; i < 600; ++i, play.clock.run_for(1s)) EXPECT_EQ(play.text(), "token 1 of acme");
    EXPECT_EQ(play.source.calls, 1);
    play.clock.run_for(400s);
    EXPECT_EQ(play.text(), "token 2 of acme");
  }
}

TEST(Tokens, ACallerThatStopsLeavesTheFetchToTheOthers) {
  Play play;
  core::StopSource stop;
  std::vector<Result<Token>> stopped, answers;
  play.tasks.spawn("stopped", play.ask(play.account, stop.token(), stopped));
  play.tasks.spawn("other", play.ask(play.account, {}, answers));
  play.clock.run_for(10ms);
  stop.request_stop();
  play.clock.run_for(10ms);
  ASSERT_EQ(stopped.size(), 1u);
  EXPECT_EQ(stopped[0].error().kind(), ErrorKind::cancelled);
  EXPECT_TRUE(answers.empty());
  play.clock.run_for(1s);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_TRUE(answers[0]);
  EXPECT_EQ(play.source.calls, 1);
}

TEST(Tokens, CloseTurnsWaitersAway) {
  Play play;
  play.source.takes = 1h;
  std::vector<Result<Token>> answers;
  play.tasks.spawn("get", play.ask(play.account, {}, answers));
  play.clock.run_for(1s);
  play.tasks.spawn("close", play.tokens.close());
  play.clock.run_for(1s);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].error().kind(), ErrorKind::cancelled);
}

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

}  // namespace
}  // namespace stsync::tokens
