// Tokens in virtual time: one fetch however many wait, renewed in time, never handed out too late.
#include "tokens/tokens.hpp"

#include <gmock/gmock.h>

#include "play.hpp"

namespace stsync::tokens {
namespace {

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
  play.clock.run_for(800s);
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
  play.clock.run_for(645s);
  EXPECT_EQ(play.text(), "token 1 of acme");
  EXPECT_EQ(play.source.calls, 1);
  play.clock.run_for(150s);
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
  while (play.clock.now() - start < 865s) {
    EXPECT_EQ(play.text(), "token 1 of acme");
    play.clock.run_for(1s);
  }
  EXPECT_GT(play.source.calls, 3);
  EXPECT_LT(play.source.calls, 15) << "failures are spaced out";
  play.clock.run_for(10s);
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
  play.clock.run_for(800s);
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
    EXPECT_LT(*answer.error().retry_after(), 2min) << "new credentials end the wait";
    EXPECT_FALSE(is_token_outage(answer.error()));
    if (play.source.calls != calls) asked.push_back(play.clock.now() - start);
    calls = play.source.calls;
    play.clock.run_for(1s);
  }
  EXPECT_LE(calls, 20);
  ASSERT_GE(asked.size(), 4u);
  EXPECT_NEAR(std::chrono::duration<double>(asked[1] - asked[0]).count(), 57, 5);
  EXPECT_NEAR(std::chrono::duration<double>(asked[2] - asked[1]).count(), 114, 8);
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
  EXPECT_LE(play.source.calls, 1 + 7 + 12) << "1 s, 2 s, … then once a minute";
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
  EXPECT_FALSE(is_token_outage(answers[0].error()));
  EXPECT_THAT(play.notes.outcomes, ::testing::IsEmpty()) << "the end of the worker is no failure";
  EXPECT_THAT(play.notes.health, ::testing::IsEmpty());
}

}  // namespace
}  // namespace stsync::tokens
