// A token endpoint that is away, throttles or freezes: it ends no call, and its end is noticed soon.
#include <gmock/gmock.h>

#include "play.hpp"

namespace stsync::tokens {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A call as its user makes it: waits as long as there is an outage, and only then.
awaitable<void> call(Play& play, Account account, std::vector<std::pair<TimePoint, bool>>& ends) {
  for (;;) {
    const auto token = co_await play.tokens.get(account, {});
    if (token || !is_token_outage(token.error())) {
      ends.emplace_back(play.clock.now(), bool(token));
      co_return;
    }
    EXPECT_GT(*token.error().retry_after(), 0ms);
    co_await play.clock.sleep_for(*token.error().retry_after());
  }
}

TEST(Outage, B17_TenMinutesEndNoCallAndAllHaveATokenAMinuteLater) {
  for (const auto kind : {ErrorKind::network, ErrorKind::tls, ErrorKind::timeout, ErrorKind::protocol, ErrorKind::server,
                          ErrorKind::throttled, ErrorKind::too_large, ErrorKind::malformed}) {
    Play play(static_cast<std::uint64_t>(kind));
    play.source.failure = core::Error(kind, "down").with_status(504);
    std::vector<std::pair<TimePoint, bool>> ends;
    for (int i = 0; i < 1000; ++i) play.tasks.spawn("call", call(play, {"acme", 1 + i % 20}, ends));
    play.clock.run_for(10min);
    EXPECT_THAT(ends, IsEmpty());
    EXPECT_LE(play.source.calls, 20 * 25);
    play.source.failure.reset();
    const auto back = play.clock.now();
    play.clock.run_for(2min);
    ASSERT_EQ(ends.size(), 1000u);
    for (const auto& [when, good] : ends) {
      EXPECT_TRUE(good);
      EXPECT_LE(when - back, 65s) << "the longest wait, and the turns of twenty";
    }
  }
}

TEST(Outage, IsToldOnceAndSoIsItsEnd) {
  Play play;
  play.get();
  play.source.failure = core::Error(ErrorKind::server, "down");
  for (const auto start = play.clock.now(); play.clock.now() - start < 30min; play.clock.run_for(1s)) play.get();
  EXPECT_THAT(play.notes.health, ElementsAre(Health::down));
  play.source.failure.reset();
  play.clock.run_for(1min);
  play.get();
  EXPECT_THAT(play.notes.health, ElementsAre(Health::down, Health::working));
  EXPECT_THAT(play.notes.reasons, ElementsAre("down", ""));
}

TEST(Outage, OneFailureWhileATokenServesIsNotWorthAWord) {
  Play play;
  play.get();
  play.clock.run_for(800s);
  play.source.failure = core::Error(ErrorKind::server, "down");
  EXPECT_TRUE(play.get());
  play.clock.run_for(500ms);
  play.source.failure.reset();
  play.clock.run_for(1s);
  EXPECT_TRUE(play.get());
  play.clock.run_for(1s);
  EXPECT_THAT(play.notes.outcomes, ElementsAre("ok", "failed", "ok"));
  EXPECT_THAT(play.notes.health, IsEmpty());
}

TEST(Outage, ASecretThatCannotBeReadIsNone) {
  Play play;
  play.source.failure = core::Error(ErrorKind::bad_config, "no file");
  EXPECT_FALSE(is_token_outage(play.get().error()));
}

TEST(Outage, TheEndpointSaysHowLongToWait) {
  Play play;
  play.source.failure = core::Error(ErrorKind::throttled, "slow down").with_retry_after(40s);
  EXPECT_EQ(play.get().error().retry_after(), 40s);
  play.clock.run_for(39s);
  EXPECT_FALSE(play.get());
  EXPECT_EQ(play.source.calls, 1);
  play.source.failure = core::Error(ErrorKind::server, "back soon").with_retry_after(24h);
  play.clock.run_for(1s);
  EXPECT_EQ(play.get().error().retry_after(), 5min) << "not all it says";
  play.source.failure = core::Error(ErrorKind::server, "back soon").with_retry_after(-5s);
  play.clock.run_for(5min);
  const auto wait = *play.get().error().retry_after();
  EXPECT_GT(wait, 3s);
  EXPECT_LE(wait, 4s) << "as if it had said nothing";
}

TEST(Outage, AThrottledAppAsksForNobody) {
  Play play;
  play.source.failure = core::Error(ErrorKind::throttled, "slow down").with_retry_after(30s);
  EXPECT_FALSE(play.get());
  play.source.failure.reset();
  std::vector<Result<Token>> answers, others;
  play.tasks.spawn("same app", play.ask({"acme", 7}, {}, answers));
  play.tasks.spawn("other app", play.ask({"other", 7}, {}, others));
  play.clock.run_for(29s);
  EXPECT_TRUE(answers.empty());
  ASSERT_EQ(others.size(), 1u);
  EXPECT_TRUE(others[0]);
  play.clock.run_for(2s);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_TRUE(answers[0]);
}

TEST(Outage, B18_ATokenThatEndedInALongFreezeIsRenewedBeforeUse) {
  Play play;
  EXPECT_EQ(play.text(), "token 1 of acme");
  play.clock.run_for(1h);
  EXPECT_EQ(play.text(), "token 2 of acme");
}

TEST(Outage, B18_ATokenThatEndedOnItsWayIsNotHandedOut) {
  Play play;
  play.source.takes = 1h;  // or the process stood still
  auto answer = play.get();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::timeout);
  EXPECT_TRUE(is_token_outage(answer.error()));
  play.source.takes = 1s;
  play.clock.run_for(1s);
  EXPECT_EQ(play.text(), "token 2 of acme");
}

TEST(Outage, AStopIsNoneEither) {
  Play play;
  core::StopSource stop;
  stop.request_stop();
  std::vector<Result<Token>> answers;
  play.tasks.spawn("get", play.ask(play.account, stop.token(), answers));
  play.clock.run_for(0s);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].error().kind(), ErrorKind::cancelled);
  EXPECT_FALSE(is_token_outage(answers[0].error()));
  EXPECT_EQ(play.source.calls, 0);
}

}  // namespace
}  // namespace stsync::tokens
