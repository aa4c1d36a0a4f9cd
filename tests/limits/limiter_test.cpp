// Pacing in virtual time, counted by a server that sees the calls late.
#include "limits/limiter.hpp"

#include <deque>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "core/task_group.hpp"
#include "support/virtual_clock.hpp"

namespace stsync::limits {
namespace {

using boost::asio::awaitable;
using core::Duration;
using core::StopSource;
using core::TimePoint;
using namespace std::chrono_literals;

/// Counts calls in every window of a second, by the time they arrive.
class SlidingWindow {
 public:
  explicit SlidingWindow(std::size_t quota) : quota_(quota) {}
  bool allow(TimePoint arrival) {
    while (!calls_.empty() && arrival - calls_.front() >= 1s) calls_.pop_front();
    if (calls_.size() >= quota_) return false;
    calls_.push_back(arrival);
    return true;
  }

 private:
  std::size_t quota_;
  std::deque<TimePoint> calls_;
};

struct Play {
  boost::asio::io_context loop;
  test::VirtualClock clock{loop};
  Bucket bucket{clock, 60};
  core::TaskGroup tasks{loop.get_executor(), clock};
  StopSource stop;
  std::vector<TimePoint> granted;

  awaitable<void> call_for_ever() {
    while (co_await bucket.acquire(stop.token())) granted.push_back(clock.now());
  }
  awaitable<void> call_once(int name, std::vector<int>& order, StopSource& own) {
    if (co_await bucket.acquire(own.token())) {
      granted.push_back(clock.now());
      order.push_back(name);
    }
  }
  void end() {
    stop.request_stop();
    clock.run_for(1s);
    EXPECT_TRUE(tasks.running().empty());
  }
};

TEST(Bucket, UsesNearlyAllOfTheQuotaAndIsNeverRefusedWithOrdinaryJitter) {
  for (const auto jitter_ms : {0.0, 1.0, 5.0, 15.0}) {
    SCOPED_TRACE(jitter_ms);
    Play play;
    for (int i = 0; i < 8; ++i) play.tasks.spawn("caller", play.call_for_ever());
    play.clock.run_for(10min);
    std::mt19937_64 random(11);
    std::uniform_real_distribution<double> jitter(0, jitter_ms);
    std::vector<TimePoint> arrivals;
    for (const auto t : play.granted)
      arrivals.push_back(t + std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(jitter(random))));
    std::sort(arrivals.begin(), arrivals.end());
    SlidingWindow server(60);
    int refused = 0;
    for (const auto t : arrivals) refused += !server.allow(t);
    EXPECT_EQ(refused, 0);
    EXPECT_GE(play.granted.size(), static_cast<std::size_t>(0.979 * 60 * 600));
    play.end();
  }
}

TEST(Bucket, CallersLeaveInTheOrderTheyCame) {
  Play play;
  std::vector<int> order;
  for (int i = 0; i < 50; ++i) play.tasks.spawn("caller", play.call_once(i, order, play.stop));
  play.clock.run_for(10s);
  EXPECT_THAT(order, ::testing::SizeIs(50));
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  play.end();
}

TEST(Bucket, NeverGrantsTwoAtOnceEvenAfterALongPause) {
  Play play;
  play.clock.run_for(1h);
  std::vector<int> order;
  for (int i = 0; i < 50; ++i) play.tasks.spawn("caller", play.call_once(i, order, play.stop));
  play.clock.run_for(10s);
  for (std::size_t i = 1; i < play.granted.size(); ++i) EXPECT_GE(play.granted[i] - play.granted[i - 1], 1s / 60 - 5ms) << i;
  play.end();
}

TEST(Bucket, ARefusalFreezesEveryCallerAndReleasesThemEvenly) {
  Play play;
  for (int i = 0; i < 8; ++i) play.tasks.spawn("caller", play.call_for_ever());
  play.clock.run_for(1s);
  play.bucket.refused(7s);
  play.clock.run_for(0s);
  const auto before = play.granted.size();
  const auto frozen = play.clock.now();
  play.clock.run_for(20s);
  ASSERT_GT(play.granted.size(), before + 1);
  // The first in line was on its way to its slot when the refusal came; nobody else leaves.
  EXPECT_GE(play.granted[before] - frozen, 7s);
  for (auto i = before + 1; i < play.granted.size(); ++i) EXPECT_GE(play.granted[i] - play.granted[i - 1], 1s / 60 - 5ms);
  play.end();
}

TEST(Bucket, AnAbsurdRetryAfterIsCapped) {
  for (const auto& [asked, least, most] : std::vector<std::tuple<std::optional<Duration>, Duration, Duration>>{
           {std::nullopt, 1s, 2s}, {Duration(0), 1s, 2s}, {Duration(-5s), 1s, 2s}, {Duration(24h), 5min, 5min + 1s}}) {
    Play play;
    play.bucket.refused(asked);
    const auto start = play.clock.now();
    std::vector<int> order;
    play.tasks.spawn("caller", play.call_once(1, order, play.stop));
    ASSERT_TRUE(play.clock.run_until([&] { return !order.empty(); }, 1h));
    EXPECT_GE(play.clock.now() - start, least);
    EXPECT_LE(play.clock.now() - start, most);
    play.end();
  }
}

TEST(Bucket, RefusalsSlowItDownAndAnswersBringItBack) {
  Play play;
  const auto full = play.bucket.rate();
  for (int i = 0; i < 100; ++i) play.bucket.refused(1s);
  EXPECT_NEAR(play.bucket.rate(), full * 0.2, 0.01);
  for (int i = 0; i < 1600; ++i) play.bucket.answered();
  EXPECT_NEAR(play.bucket.rate(), full, 0.01);
  for (int i = 0; i < 10'000; ++i) play.bucket.answered();
  EXPECT_LE(play.bucket.rate(), full);
}

TEST(Bucket, CallersThatStopTakeNothingAndHoldNobodyUp) {
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
  EXPECT_EQ(play.bucket.waiting(), 0u);
  play.end();
}

TEST(Bucket, AHeldBucketGrantsNothingBefore) {
  Play play;
  play.bucket.hold(play.clock.now() + 1s);
  play.tasks.spawn("caller", play.call_for_ever());
  play.clock.run_for(999ms);
  EXPECT_TRUE(play.granted.empty());
  play.clock.run_for(1ms);
  EXPECT_EQ(play.granted.size(), 1u);
  play.end();
}

TEST(Gcra, MakesUpForALateTimerButOnlyALittle) {
  Gcra gcra(100);
  TimePoint now{1s};
  gcra.take(now);
  now = gcra.next(now) + 3ms;  // the timer fired late
  gcra.take(now);
  const auto interval = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(1 / gcra.rate()));
  EXPECT_EQ(gcra.next(now), TimePoint(995ms) + 2 * interval);
  now += 1h;
  gcra.take(now);
  EXPECT_GE(gcra.next(now) - now, 5ms);
}

TEST(Limiter, EveryAppAndTenantHasItsOwnBucket) {
  boost::asio::io_context loop;
  test::VirtualClock clock(loop);
  Limiter limiter(clock);
  auto& a = limiter.bucket("a", 1, 60);
  EXPECT_EQ(&a, &limiter.bucket("a", 1, 60));
  EXPECT_NE(&a, &limiter.bucket("a", 2, 60));
  EXPECT_NE(&a, &limiter.bucket("b", 1, 60));
}

}  // namespace
}  // namespace stsync::limits
