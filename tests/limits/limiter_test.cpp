// Callers that wait for permits, in virtual time.
#include "limits/limiter.hpp"

#include <deque>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "core/rng.hpp"
#include "core/task_group.hpp"
#include "limits/pacer.hpp"
#include "server_models.hpp"
#include "support/seeds.hpp"
#include "support/virtual_clock.hpp"

namespace stsync::limits {
namespace {

using boost::asio::awaitable;
using core::Duration;
using core::StopSource;
using core::TimePoint;
using namespace std::chrono_literals;

struct Play {
  boost::asio::io_context loop;
  stsync::test::VirtualClock clock{loop};
  core::Rng rng{1};
  Limiter limiter{clock, rng, [](const std::string&, std::int64_t) { return Scheduler::Terms{.host = "h"}; }};
  core::TaskGroup tasks{loop.get_executor(), clock};
  StopSource stop;
  std::vector<TimePoint> granted;
  Duration takes = 10ms;

  awaitable<void> call_for_ever() {
    while (auto permit = co_await limiter.acquire({"a", 1}, stop.token())) {
      granted.push_back(clock.now());
      co_await clock.sleep_for(takes);
    }
  }
  awaitable<void> call_once(int name, std::vector<int>& order, StopSource& own) {
    if (auto permit = co_await limiter.acquire({"a", 1}, own.token())) {
      granted.push_back(clock.now());
      order.push_back(name);
      co_await clock.sleep_for(takes);
    }
  }
  /// A call that the vendor refuses.
  awaitable<void> refused(std::optional<Duration> retry_after) {
    auto permit = co_await limiter.acquire({"a", 1}, stop.token());
    if (permit) permit->refused(retry_after);
  }
  void end() {
    stop.request_stop();
    clock.run_for(1h);
    EXPECT_TRUE(tasks.running().empty());
    EXPECT_EQ(limiter.waiting(), 0u);
  }
};

TEST(Limiter, KeepsItsPromisesWhileCallersComeStopAndAreRefused) {
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(100); ++seed) {
    SCOPED_TRACE(seed);
    core::Rng random(seed);
    Play play;
    std::vector<int> order;
    std::deque<StopSource> stops;
    TimePoint frozen_until{};
    std::size_t before_freeze = 0;
    for (int i = 0; i < 400; ++i) {
      switch (random.between(0, 9)) {
        case 0:
          if (!stops.empty()) stops[random.between(0, stops.size() - 1)].request_stop();
          break;
        case 1:
          if (random.between(0, 9) == 0) {
            play.clock.run_for(0s);
            before_freeze = play.granted.size();
            frozen_until = std::max(frozen_until, play.clock.now() + 3s);
            play.limiter.hold("a", 1, frozen_until);
          }
          break;
        case 2:
          play.clock.run_for(std::chrono::milliseconds(random.between(0, 100)));
          if (play.clock.now() < frozen_until) EXPECT_EQ(play.granted.size(), before_freeze) << "a call left while it was frozen";
          break;
        default:
          stops.emplace_back();
          play.tasks.spawn("caller", play.call_once(static_cast<int>(stops.size()), order, stops.back()));
      }
    }
    ASSERT_TRUE(play.clock.run_until([&] { return play.tasks.running().empty(); }, 1h)) << "somebody waits for ever";
    EXPECT_EQ(play.limiter.waiting(), 0u);
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
    std::size_t stopped = 0;
    for (const auto& stop : stops) stopped += stop.stop_requested();
    EXPECT_GE(order.size() + stopped, stops.size()) << "who did not stop got a permit";
    test::SlidingWindow server(60);
    for (const auto t : play.granted) EXPECT_TRUE(server.allow(t));
  }
}

TEST(Limiter, CallersLeaveInTheOrderTheyCameAndNeverTwoAtOnce) {
  Play play;
  play.clock.run_for(1h);
  std::vector<int> order;
  for (int i = 0; i < 50; ++i) play.tasks.spawn("caller", play.call_once(i, order, play.stop));
  play.clock.run_for(10s);
  EXPECT_THAT(order, ::testing::SizeIs(50));
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  for (std::size_t i = 1; i < play.granted.size(); ++i) EXPECT_GE(play.granted[i] - play.granted[i - 1], 1s / 60 - 1us) << i;
  play.end();
}

TEST(Limiter, ARefusalFreezesEveryCallerAndReleasesThemEvenly) {
  Play play;
  for (int i = 0; i < 8; ++i) play.tasks.spawn("caller", play.call_for_ever());
  play.clock.run_for(1s);
  play.tasks.spawn("refused", play.refused(7s));
  play.clock.run_for(1s);
  const auto before = play.granted.size();
  const auto last = play.granted.back();
  play.clock.run_for(20s);
  ASSERT_GT(play.granted.size(), before + 1);
  EXPECT_GE(play.granted[before] - last, 7s);
  for (auto i = before + 1; i < play.granted.size(); ++i) EXPECT_GE(play.granted[i] - play.granted[i - 1], 1s / 60 - 1us);
  play.end();
}

TEST(Limiter, AnAbsurdRetryAfterIsCapped) {
  for (const auto& [asked, least, most] : std::vector<std::tuple<std::optional<Duration>, Duration, Duration>>{
           {std::nullopt, 1s, 2s}, {Duration(0), 1s, 2s}, {Duration(-5s), 1s, 2s}, {Duration(24h), 5min, 5min + 1s}}) {
    Play play;
    play.tasks.spawn("refused", play.refused(asked));
    const auto start = play.clock.now();
    std::vector<int> order;
    play.tasks.spawn("caller", play.call_once(1, order, play.stop));
    ASSERT_TRUE(play.clock.run_until([&] { return !order.empty(); }, 1h));
    EXPECT_GE(play.clock.now() - start, least);
    EXPECT_LE(play.clock.now() - start, most);
    play.end();
  }
}

TEST(Limiter, RefusalsSlowItDownAndTimeBringsItBack) {
  Play play;
  const auto full = play.limiter.rate("a", 1);
  for (int i = 0; i < 100; ++i) {
    play.tasks.spawn("refused", play.refused(1s));
    play.clock.run_for(2s);
  }
  EXPECT_LE(play.limiter.rate("a", 1), full / 2);
  play.takes = 10s;
  play.tasks.spawn("caller", play.call_for_ever());
  play.clock.run_for(2h);
  EXPECT_NEAR(play.limiter.rate("a", 1), full, 0.01);
  play.end();
}

TEST(Limiter, CallersThatStopTakeNothingAndHoldNobodyUp) {
  Play play;
  std::vector<int> order;
  std::vector<StopSource> stops(10);
  for (int i = 0; i < 10; ++i) play.tasks.spawn("caller", play.call_once(i, order, stops[static_cast<std::size_t>(i)]));
  play.clock.run_for(0s);
  const auto start = play.clock.now();
  for (int i = 1; i < 9; ++i) stops[static_cast<std::size_t>(i)].request_stop();
  ASSERT_TRUE(play.clock.run_until([&] { return order.size() == 2; }, 10s));
  EXPECT_THAT(order, ::testing::ElementsAre(0, 9));
  EXPECT_LE(play.clock.now() - start, 20ms) << "the last one waits for one slot, not for eight";
  EXPECT_EQ(play.limiter.waiting(), 0u);
  play.end();
}

TEST(Limiter, WhenTheOneThatKeepsTheTimeStopsAnotherDoes) {
  Play play;
  std::vector<int> order;
  std::vector<StopSource> stops(4);
  for (int i = 0; i < 4; ++i) play.tasks.spawn("caller", play.call_once(i, order, stops[static_cast<std::size_t>(i)]));
  play.clock.run_for(0s);
  ASSERT_THAT(order, ::testing::ElementsAre(0));
  const auto start = play.clock.now();
  play.clock.run_for(10ms);
  stops[1].request_stop();
  ASSERT_TRUE(play.clock.run_until([&] { return order.size() == 2; }, 10s));
  EXPECT_EQ(order.back(), 2);
  EXPECT_LE(play.clock.now() - start, 17100us) << "it leaves when the other would have left";
  play.clock.run_for(1s);
  EXPECT_THAT(order, ::testing::ElementsAre(0, 2, 3));
  play.end();
}

TEST(Limiter, WhoHasStoppedIsNotLetIn) {
  Play play;
  play.stop.request_stop();
  std::vector<int> order;
  play.tasks.spawn("caller", play.call_once(1, order, play.stop));
  play.clock.run_for(1s);
  EXPECT_TRUE(order.empty());
  play.end();
}

TEST(Limiter, AHeldQuotaGrantsNothingBefore) {
  Play play;
  play.limiter.hold("a", 1, play.clock.now() + 1s);
  play.tasks.spawn("caller", play.call_for_ever());
  play.clock.run_for(999ms);
  EXPECT_TRUE(play.granted.empty());
  play.clock.run_for(1ms);
  EXPECT_EQ(play.granted.size(), 1u);
  play.end();
}

TEST(Limiter, ACallThatLeavesLateCountsFromThen) {
  // The server counts when the calls come, and these all come half a second late, but for the last ones.
  Play play;
  std::vector<TimePoint> left;
  const auto late_call = [&](Duration late) -> awaitable<void> {
    auto permit = co_await play.limiter.acquire({"a", 1}, play.stop.token());
    co_await play.clock.sleep_for(late);
    permit->leaves();
    left.push_back(play.clock.now());
  };
  for (int i = 0; i < 200; ++i) play.tasks.spawn("call", late_call(i < 60 ? 500ms : 0ms));
  ASSERT_TRUE(play.clock.run_until([&] { return left.size() == 200; }, 1min));
  std::sort(left.begin(), left.end());
  // Sixty came late, and between them those whose turn it was: what was late is not made up for by the ones behind it.
  for (std::size_t i = 90; i + 60 < left.size(); ++i) EXPECT_GE(left[i + 60] - left[i], 1s) << i;
  play.end();
}

TEST(Pacer, ACallWhoseTurnIsForgottenCountsWhenItLeaves) {
  Pacer pacer(5);
  TimePoint now{1h};
  const auto forgotten = now;
  pacer.take(now);
  for (int i = 0; i < 5; ++i) {
    now = pacer.next(now);
    pacer.take(now);
  }
  pacer.left_late(forgotten, now);
  std::vector<TimePoint> left{now};
  for (int i = 0; i < 20; ++i) {
    now = pacer.next(now);
    pacer.take(now);
    left.push_back(now);
  }
  for (std::size_t i = 0; i + 5 < left.size(); ++i) EXPECT_GE(left[i + 5] - left[i], 1s) << i;
}

}  // namespace
}  // namespace stsync::limits
