// The pace of requests to the token endpoint.
#include "tokens/gate.hpp"

#include <gmock/gmock.h>

#include "limits/pacer.hpp"
#include "play.hpp"

namespace stsync::tokens {
namespace {

TEST(Gate, TwoThousandAccountsAtOnceAskFiveTimesASecondInTheirOrder) {
  Play play;
  std::vector<Result<Token>> answers;
  for (int i = 0; i < 2000; ++i) play.tasks.spawn("get", play.ask({"acme", i}, {}, answers));
  play.clock.run_for(405s);
  ASSERT_EQ(answers.size(), 2000u) << "and is not slower than it may be";
  for (const auto& a : answers) EXPECT_TRUE(a);
  EXPECT_LE(most_within(play.source.at, 1s), 5u);
  for (int i = 0; i < 2000; ++i) {
    const auto& asked = play.source.asked.at({"acme", i});
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_EQ(asked.front(), play.source.at[static_cast<std::size_t>(i)]);
  }
}

TEST(Gate, TheirRenewalsKeepThePaceToo) {
  Play play;
  std::vector<Result<Token>> answers;
  int wrong = 0;
  for (int second = 0; second < 1800; second += 10, play.clock.run_for(10s)) {
    answers.clear();
    for (int i = 0; i < 1000; ++i) play.tasks.spawn("get", play.ask({"acme", i}, {}, answers));
    play.clock.run_for(0s);
    if (second > 200) wrong += static_cast<int>(answers.size()) != 1000;
  }
  EXPECT_EQ(wrong, 0) << "nobody waits for a renewal";
  EXPECT_LE(most_within(play.source.at, 1s), 5u);
  EXPECT_LE(play.source.calls, 3 * 1000);
}

TEST(Gate, EveryAppHasItsOwnPace) {
  Play play;
  std::vector<Result<Token>> answers;
  for (int i = 0; i < 10; ++i)
    for (const char* app : {"a", "b", "c"}) play.tasks.spawn("get", play.ask({app, i}, {}, answers));
  play.clock.run_for(2s);
  EXPECT_EQ(answers.size(), 30u);
}

/// Between two requests.
const auto kStep =
    std::chrono::duration_cast<core::Duration>(std::chrono::duration<double>(1 / (PacedGate::kPerSecond * limits::Pacer::kUse)));

struct GateTest : ::testing::Test {
  boost::asio::io_context loop;
  test::VirtualClock clock{loop};
  PacedGate gate{clock};
  core::TaskGroup tasks{loop.get_executor(), clock};
  std::vector<std::pair<int, TimePoint>> passed;

  awaitable<void> pass(int name, core::StopToken stop = {}) {
    if (co_await gate.pass({"acme", name}, stop)) passed.emplace_back(name, clock.now());
  }
};

TEST_F(GateTest, WhoStopsLeavesHisPlaceToTheNext) {
  core::StopSource stop;
  tasks.spawn("1", pass(1));
  tasks.spawn("2", pass(2, stop.token()));
  tasks.spawn("3", pass(3, stop.token()));
  tasks.spawn("4", pass(4));
  clock.run_for(100ms);
  stop.request_stop();
  clock.run_for(1min);
  EXPECT_THAT(passed, ::testing::ElementsAre(::testing::Pair(1, TimePoint(0s)), ::testing::Pair(4, TimePoint(kStep))));
  EXPECT_EQ(tasks.size(), 0u);
}

TEST_F(GateTest, WhoComesWhenItOpensStandsBehindThoseWhoWait) {
  const auto late = [this](int name) -> awaitable<void> {
    co_await clock.sleep_until(TimePoint(kStep));
    co_await pass(name);
  };
  tasks.spawn("3", late(3));
  tasks.spawn("1", pass(1));
  tasks.spawn("2", pass(2));
  clock.run_for(1min);
  EXPECT_THAT(passed, ::testing::ElementsAre(::testing::Pair(1, TimePoint(0s)), ::testing::Pair(2, TimePoint(kStep)),
                                             ::testing::Pair(3, TimePoint(2 * kStep))));
}

TEST_F(GateTest, NobodyPassesWhileTheAppIsThrottled) {
  for (int i = 0; i < 5; ++i) tasks.spawn("pass", pass(i));
  clock.run_for(250ms);
  gate.throttled({"acme", 1}, 10s);
  tasks.spawn("pass", pass(5));
  clock.run_for(10s - 1ns);
  EXPECT_EQ(passed.size(), 2u);
  clock.run_for(1s);
  ASSERT_EQ(passed.size(), 6u);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(passed[static_cast<std::size_t>(i)].first, i);
  gate.throttled({"acme", 1}, 24h);
  tasks.spawn("pass", pass(6));
  clock.run_for(1min);
  EXPECT_EQ(passed.size(), 7u) << "the limit may not be the app's";
}

}  // namespace
}  // namespace stsync::tokens
