// Pacing in virtual time, counted by a server that sees the calls late.
#include "limits/limiter.hpp"

#include <deque>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "core/rng.hpp"
#include "core/task_group.hpp"
#include "support/seeds.hpp"
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
  for (const auto jitter_ms : {0.0, 1.0, 5.0, 15.0, 20.0}) {
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

/// A clock whose timers fire late, as those of a busy machine do.
class LateClock final : public core::Clock {
 public:
  LateClock(test::VirtualClock& clock, double most_ms, double now_and_then_ms)
      : clock_(clock), most_ms_(most_ms), now_and_then_ms_(now_and_then_ms) {}
  TimePoint now() const override { return clock_.now(); }
  core::WallTime wall_now() const override { return clock_.wall_now(); }
  std::unique_ptr<core::Signal> make_signal() override { return std::make_unique<Late>(*this); }

 private:
  class Late final : public core::Signal {
   public:
    explicit Late(LateClock& clock) : clock_(clock), signal_(clock.clock_.make_signal()) {}
    awaitable<core::Wake> wait_until(TimePoint when) override {
      return signal_->wait_until(when == TimePoint::max() ? when : when + clock_.lateness());
    }
    void notify() override { signal_->notify(); }

   private:
    LateClock& clock_;
    std::unique_ptr<core::Signal> signal_;
  };
  Duration lateness() {
    const auto most = random_.next() % 100 == 0 ? now_and_then_ms_ : most_ms_;
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(most * random_.unit()));
  }
  test::VirtualClock& clock_;
  core::Rng random_{3};
  double most_ms_, now_and_then_ms_;
};

TEST(Bucket, TimersThatFireLateCostLittleAndNeverARefusal) {
  for (const auto& [late_ms, now_and_then_ms, share] :
       std::vector<std::tuple<double, double, double>>{{5, 5, 0.979}, {5, 300, 0.9}, {1, 2000, 0.6}}) {
    SCOPED_TRACE(now_and_then_ms);
    Play play;
    LateClock late(play.clock, late_ms, now_and_then_ms);
    Bucket bucket(late, 60);
    std::vector<TimePoint> granted;
    const auto call_for_ever = [&]() -> awaitable<void> {
      while (co_await bucket.acquire(play.stop.token())) granted.push_back(play.clock.now());
    };
    for (int i = 0; i < 8; ++i) play.tasks.spawn("caller", call_for_ever());
    play.clock.run_for(10min);
    core::Rng random(11);
    std::vector<TimePoint> arrivals;
    for (const auto t : granted)
      arrivals.push_back(t + std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(15 * random.unit())));
    std::sort(arrivals.begin(), arrivals.end());
    SlidingWindow server(60);
    int refused = 0;
    for (const auto t : arrivals) refused += !server.allow(t);
    EXPECT_EQ(refused, 0);
    EXPECT_GE(granted.size(), static_cast<std::size_t>(share * 60 * 600));
    play.end();
  }
}

TEST(Bucket, KeepsItsPromisesWhileCallersComeStopAndAreRefused) {
  for (std::uint64_t seed = 0; seed < test::seeds(100); ++seed) {
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
            play.bucket.refused(3s);
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
    EXPECT_EQ(play.bucket.waiting(), 0u);
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
    std::size_t stopped = 0;
    for (const auto& stop : stops) stopped += stop.stop_requested();
    EXPECT_GE(order.size() + stopped, stops.size()) << "who did not stop got a permit";
    SlidingWindow server(60);
    for (const auto t : play.granted) EXPECT_TRUE(server.allow(t));
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

TEST(Bucket, WhenTheFirstInLineStopsTheNextTakesItsPlace) {
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

TEST(Bucket, WhoHasStoppedIsNotLetIn) {
  Play play;
  play.stop.request_stop();
  std::vector<int> order;
  play.tasks.spawn("caller", play.call_once(1, order, play.stop));
  play.clock.run_for(1s);
  EXPECT_TRUE(order.empty());
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
