// Credentials that do not work, by the word of the endpoint or of the API: one alert, few requests, no wait that is too long.
#include <gmock/gmock.h>

#include "play.hpp"

namespace stsync::tokens {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

core::Error refusal() { return {ErrorKind::unauthorized, "invalid_client"}; }

TEST(Refusal, ADeadCredentialCostsFewRequestsForADay) {
  for (const bool two_at_a_time : {false, true}) {
    Play play;
    play.source.failure = refusal();
    int round = 0;
    if (two_at_a_time) play.source.another = [&] { return ++round % 2 == 1; };
    for (const auto start = play.clock.now(); play.clock.now() - start < 24h; play.clock.run_for(7s)) {
      const auto answer = play.get();
      ASSERT_FALSE(answer);
      ASSERT_EQ(answer.error().kind(), ErrorKind::unauthorized);
      ASSERT_FALSE(is_token_outage(answer.error())) << "a job must not wait for ever without a word";
    }
    EXPECT_LE(most_within(play.source.at, 1h), 20u);
    EXPECT_GE(play.source.calls, 24 * 3) << "and is tried again";
    EXPECT_THAT(play.notes.health, ElementsAre(Health::refused));
    play.source.failure.reset();
    play.clock.run_for(15min);
    EXPECT_TRUE(play.get());
    EXPECT_THAT(play.notes.health, ElementsAre(Health::refused, Health::working));
    EXPECT_THAT(play.notes.reasons, ElementsAre("invalid_client", ""));
  }
}

TEST(Refusal, ADeadCredentialWhoseEndpointAlsoFailsCostsNoMore) {
  Play play;
  play.source.answer = [&, n = 0](const Account&) mutable -> Result<Fetched> {
    if (++n % 2 == 0) return core::fail(ErrorKind::server, "down");
    return core::fail(refusal());
  };
  for (const auto start = play.clock.now(); play.clock.now() - start < 12h; play.clock.run_for(7s)) ASSERT_FALSE(play.get());
  EXPECT_LE(most_within(play.source.at, 1h), 20u);
  for (std::size_t i = 1; i < play.source.at.size(); ++i)
    EXPECT_LE(play.source.at[i] - play.source.at[i - 1], 16min) << "and is not left alone for an hour after twenty in a row";
}

TEST(Refusal, AnOutageAfterARefusalIsOverSoonAfterItsEnd) {
  Play play;
  play.source.failure = refusal();
  EXPECT_FALSE(play.get());
  play.source.failure = core::Error(ErrorKind::server, "down");
  for (const auto start = play.clock.now(); play.clock.now() - start < 3h; play.clock.run_for(1s)) ASSERT_FALSE(play.get());
  EXPECT_LE(most_within(play.source.at, 1h), 20u);
  for (std::size_t i = 1; i < play.source.at.size(); ++i) EXPECT_LE(play.source.at[i] - play.source.at[i - 1], 205s);
}

TEST(Refusal, B16_AnApiThatRefusesEveryTokenCausesNoStorm) {
  Play play;
  int refused = 0, served = 0;
  for (const auto start = play.clock.now(); play.clock.now() - start < 24h; play.clock.run_for(5s)) {
    if (const auto token = play.get()) {
      ++served;
      play.clock.run_for(300ms);
      for (int caller = 0; caller < 10; ++caller) play.tokens.drop(play.account, token->generation);
    } else {
      ++refused;
      ASSERT_EQ(token.error().kind(), ErrorKind::unauthorized);
      ASSERT_FALSE(is_token_outage(token.error()));
      ASSERT_THAT(token.error().message(), HasSubstr("the API refuses"));
      ASSERT_LT(*token.error().retry_after(), 2min);
    }
  }
  EXPECT_LE(most_within(play.source.at, 1h), 20u);
  EXPECT_GE(served, 24 * 3);
  EXPECT_GT(refused, served);
  EXPECT_THAT(play.notes.health, ElementsAre(Health::refused)) << "that there are new tokens says nothing";

  play.clock.run_for(15min);
  EXPECT_TRUE(play.get());
  play.clock.run_for(199s);
  EXPECT_TRUE(play.get());
  EXPECT_THAT(play.notes.health, ElementsAre(Health::refused));
  play.clock.run_for(1s);
  EXPECT_TRUE(play.get());
  EXPECT_THAT(play.notes.health, ElementsAre(Health::refused, Health::working)) << "a token has lived";
}

TEST(Refusal, TokensThatWorkForAWhileAndEndEarlyAreReplacedAtOnce) {
  Play play;
  for (const auto start = play.clock.now(); play.clock.now() - start < 12h;) {
    const auto token = play.get();
    ASSERT_TRUE(token);
    play.clock.run_for(201s);
    play.tokens.drop(play.account, token->generation);
  }
  EXPECT_LE(most_within(play.source.at, 1h), 20u);
  EXPECT_THAT(play.notes.health, IsEmpty());
}

TEST(Refusal, OneRefusedTokenNowAndThenIsNoReasonToWait) {
  Play play;
  for (int day = 0; day < 5; ++day) {
    play.tokens.drop(play.account, play.get().value().generation);
    EXPECT_TRUE(play.get()) << "a new one at once";
    play.clock.run_for(20min);  // it lives, and the next one replaces it
    EXPECT_TRUE(play.get());
  }
  EXPECT_THAT(play.notes.health, IsEmpty());
}

TEST(Refusal, AThousandRefusedCallersOneFetch) {
  Play play;
  const auto first = play.get().value();
  std::vector<Result<Token>> answers;
  for (int i = 0; i < 1000; ++i) {
    play.tokens.drop(play.account, first.generation);
    play.tasks.spawn("get", play.ask(play.account, {}, answers));
    if (i % 100 == 0) play.clock.run_for(20ms);
  }
  play.clock.run_for(1s);
  ASSERT_EQ(answers.size(), 1000u);
  for (const auto& a : answers) EXPECT_EQ(a.value().text.reveal(), "token 2 of acme");
  EXPECT_EQ(play.source.calls, 2);
}

TEST(Refusal, ADropDoesNotEndAWait) {
  Play play;
  const auto token = play.get().value();
  play.clock.run_for(800s);
  play.source.failure = refusal();
  EXPECT_TRUE(play.get()) << "the old one serves";
  play.clock.run_for(1s);
  EXPECT_EQ(play.source.calls, 2);
  play.tokens.drop(play.account, token.generation);
  EXPECT_EQ(play.get().error().message(), "invalid_client");
  play.clock.run_for(50s);
  EXPECT_FALSE(play.get());
  EXPECT_EQ(play.source.calls, 2);
}

TEST(Refusal, ADropOfAnUnknownTokenOrAccountIsNothing) {
  Play play;
  play.tokens.drop(play.account, 0);
  play.tokens.drop(play.account, 7);
  const auto token = play.get().value();
  play.tokens.drop(play.account, token.generation + 1);
  EXPECT_EQ(play.get().value().generation, token.generation);
}

TEST(Refusal, NewCredentialsEndTheWaitAtOnce) {
  Play play;
  play.source.failure = refusal();
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(play.get());
    play.clock.run_for(16min);
  }
  EXPECT_FALSE(play.get());
  play.clock.run_for(30s);  // of a quarter of an hour
  const auto calls = play.source.calls;
  play.source.other_files = true;
  play.source.failure.reset();
  EXPECT_TRUE(play.get());
  EXPECT_EQ(play.source.calls, calls + 1);
}

TEST(Refusal, FilesAreLookedAtSeldomAndOnlyWhereTheClientIsRefused) {
  Play play;
  for (int i = 0; i < 600; ++i, play.clock.run_for(1s)) play.get();
  EXPECT_EQ(play.source.looks, 0);
  play.source.failure = core::Error(ErrorKind::server, "down");
  for (int i = 0; i < 600; ++i, play.clock.run_for(1s)) play.get();
  EXPECT_EQ(play.source.looks, 0);
  play.source.failure = refusal();
  play.clock.run_for(1min);
  for (int i = 0; i < 1000; ++i, play.clock.run_for(100ms)) play.get();
  EXPECT_GE(play.source.looks, 15);
  EXPECT_LE(play.source.looks, 20);
}

TEST(Refusal, FilesThatChangeAllTheTimeCostNoMore) {
  Play play;
  play.source.failure = refusal();
  play.source.other_files = true;
  for (const auto start = play.clock.now(); play.clock.now() - start < 12h; play.clock.run_for(3s)) ASSERT_FALSE(play.get());
  EXPECT_LE(most_within(play.source.at, 1h), 20u);
  EXPECT_GE(play.source.calls, 12 * 15);
  EXPECT_THAT(play.notes.health, ElementsAre(Health::refused));
}

}  // namespace
}  // namespace stsync::tokens
