// A host that fails is left alone, asked by one call at a time, and used again when it is well.
#include "limits/breaker.hpp"

#include <map>
#include <random>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "limits/backoff.hpp"
#include "support/seeds.hpp"

namespace stsync::limits {
namespace {

using core::Duration;
using core::TimePoint;
using State = Breaker::State;
using namespace std::chrono_literals;

struct BreakerTest : ::testing::Test {
  Breaker breaker;
  core::Rng rng{3};
  TimePoint now{1h};

  void fail(int times = 1) {
    for (int i = 0; i < times; ++i) breaker.failed(breaker.began(now), now, rng);
  }
  void succeed(int times = 1) {
    for (int i = 0; i < times; ++i) breaker.succeeded(breaker.began(now));
  }
  State state() { return breaker.state(now); }
  /// Waits until the next call may leave; how long.
  Duration wait() {
    const auto start = now;
    now = breaker.next(now);
    return now - start;
  }
};

TEST_F(BreakerTest, TenFailuresInARowOpenIt) {
  fail(9);
  EXPECT_EQ(state(), State::closed);
  succeed();
  fail(9);
  EXPECT_EQ(state(), State::closed);
  EXPECT_EQ(breaker.next(now), now);
  fail();
  EXPECT_EQ(state(), State::open);
  EXPECT_GE(breaker.next(now), now + 1s);
  EXPECT_LE(breaker.next(now), now + 3s);
}

TEST_F(BreakerTest, MoreThanHalfOfTheLastTwentyOpenIt) {
  for (int i = 0; i < 200; ++i) succeed(), fail();
  EXPECT_EQ(state(), State::closed) << "half is not more than half";
  fail();
  EXPECT_EQ(state(), State::open);
}

TEST_F(BreakerTest, AShareOfFewCallsIsNone) {
  for (int i = 0; i < 6; ++i) fail(2), succeed();
  EXPECT_EQ(state(), State::closed) << "12 of 18";
  fail(2);
  EXPECT_EQ(state(), State::open) << "14 of 20";
}

TEST_F(BreakerTest, OneProbeAtATimeAndItsSuccessCloses) {
  fail(10);
  EXPECT_GT(wait(), 0s);
  EXPECT_EQ(state(), State::half_open);
  const auto probe = breaker.began(now);
  EXPECT_EQ(breaker.next(now), TimePoint::max());
  EXPECT_EQ(breaker.next(now + 1h), TimePoint::max());
  breaker.succeeded(probe);
  EXPECT_EQ(state(), State::closed);
  EXPECT_EQ(breaker.next(now), now);
  fail(9);
  EXPECT_EQ(state(), State::closed) << "what was before is forgotten";
}

TEST_F(BreakerTest, ItsWaitsGrowUpToAMinuteWhileProbesFail) {
  fail(10);
  std::vector<Duration> waits;
  for (int i = 0; i < 200; ++i, fail()) waits.push_back(wait());
  EXPECT_THAT(waits, ::testing::Each(::testing::AllOf(::testing::Ge(Duration(1s)), ::testing::Le(Duration(60s)))));
  EXPECT_LE(waits[0], 3s);
  for (std::size_t i = 1; i < waits.size(); ++i) EXPECT_GE(waits[i], std::min<Duration>(waits[i - 1], 30s));
  EXPECT_THAT(waits, ::testing::Contains(::testing::Lt(Duration(40s))).Times(::testing::Gt(10))) << "chance to the last";
  EXPECT_GE(*std::min_element(waits.begin() + 100, waits.end()), 30s);
  wait();
  succeed();
  fail(10);
  EXPECT_LE(wait(), 3s) << "short again after it was well";
}

TEST_F(BreakerTest, ACancelledProbeMakesTheNextCallOne) {
  fail(10);
  wait();
  breaker.abandoned(breaker.began(now));
  EXPECT_EQ(breaker.next(now), now);
  EXPECT_EQ(state(), State::half_open);
  const auto probe = breaker.began(now);
  EXPECT_EQ(breaker.next(now), TimePoint::max());
  breaker.failed(probe, now, rng);
  EXPECT_EQ(state(), State::open);
}

TEST_F(BreakerTest, ACancelledCallOfAClosedOneIsNothing) {
  fail(9);
  breaker.abandoned(breaker.began(now));
  fail();
  EXPECT_EQ(state(), State::open);
}

TEST_F(BreakerTest, CallsThatLeftBeforeItOpenedSayNothingAfterIt) {
  const auto slow = breaker.began(now), slower = breaker.began(now), slowest = breaker.began(now);
  fail(10);
  const auto until = breaker.next(now);
  breaker.succeeded(slow);
  breaker.failed(slower, now + 500ms, rng);
  EXPECT_EQ(breaker.next(now), until);
  wait();
  const auto probe = breaker.began(now);
  breaker.abandoned(slowest);
  breaker.failed(slower, now, rng);
  EXPECT_EQ(breaker.next(now), TimePoint::max()) << "there is still a probe";
  breaker.succeeded(probe);
  for (int i = 0; i < 10; ++i) breaker.failed(slow, now, rng);
  EXPECT_EQ(state(), State::closed);
}

TEST(NextBackoff, StaysInItsRangeAndTriplesAtMost) {
  core::Rng rng(1);
  for (int row = 0; row < 100; ++row) {
    Duration wait{};
    for (int i = 0; i < 100; ++i) {
      const auto most = std::min<Duration>(60s, 3 * std::max<Duration>(wait, 1s));
      wait = next_backoff(wait, 1s, 60s, rng);
      ASSERT_GE(wait, 1s);
      ASSERT_LE(wait, most);
    }
  }
  EXPECT_EQ(next_backoff(5s, 7s, 7s, rng), 7s);
  EXPECT_LE(next_backoff(Duration::max(), 1s, 60s, rng), 60s);
  EXPECT_GE(next_backoff(Duration::min(), 1s, 60s, rng), 1s);
  EXPECT_LE(next_backoff(24h * 10'000, 1s, 24h * 30'000, rng), 24h * 30'000) << "no overflow";
}

TEST(NextBackoff, SpreadsThoseWhoFailedTogether) {
  core::Rng rng(1);
  std::set<std::int64_t> seconds;
  for (int i = 0; i < 1000; ++i) {
    Duration wait{};
    for (int n = 0; n < 6; ++n) wait = next_backoff(wait, 1s, 60s, rng);
    seconds.insert(wait / 1s);
  }
  EXPECT_GE(seconds.size(), 50u);
}

/// Callers of one host that is well and ill by turns, calls of all lengths, cancelled ones among them.
struct Callers {
  explicit Callers(std::uint64_t seed) : random(seed), rng(seed) {}

  struct Call {
    Breaker::Ticket ticket;
    bool probe;
  };
  bool chance(int percent) { return static_cast<int>(random() % 100) < percent; }

  void start() {
    if (breaker.next(now) > now) return;
    const bool probe = breaker.state(now) != State::closed;
    if (probe) {
      EXPECT_EQ(probes, 0) << "two probes at once";
      ++probes;
    }
    const auto takes = std::chrono::milliseconds(1 + static_cast<std::int64_t>(random() % (chance(5) ? 90'000 : 500)));
    under_way.emplace(now + takes, Call{breaker.began(now), probe});
    last_left = now;
  }
  void end(const Call& call, bool ill) {
    if (call.probe) --probes;
    if (chance(5))
      breaker.abandoned(call.ticket);
    else if (ill && chance(90))
      breaker.failed(call.ticket, now, rng);
    else
      breaker.succeeded(call.ticket);
  }
  void run(Duration time, bool ill) {
    for (const auto end_of_it = now + time; now < end_of_it; now += 50ms) {
      while (!under_way.empty() && under_way.begin()->first <= now) {
        const auto call = under_way.begin()->second;
        under_way.erase(under_way.begin());
        end(call, ill);
      }
      for (int i = 0; i < 3; ++i) start();
      EXPECT_LE(now - last_left, 60s + 90s) << "nobody calls any more";
    }
  }

  std::mt19937_64 random;
  core::Rng rng;
  Breaker breaker;
  TimePoint now{1h};
  TimePoint last_left{1h};
  std::multimap<TimePoint, Call> under_way;
  int probes = 0;
};

TEST(BreakerProperty, NeverTwoProbesAndItClosesWhenTheHostIsWell) {
  for (std::uint64_t seed = 1; seed <= test::seeds(15); ++seed) {
    Callers callers(seed);
    for (int turn = 0; turn < 4; ++turn) {
      callers.run(std::chrono::seconds(1 + callers.random() % 300), true);
      // Sixty seconds until the probe, ninety for it, and once more where it was cancelled or still met the ill host.
      callers.run(6min, false);
      EXPECT_EQ(callers.breaker.state(callers.now), State::closed);
    }
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace stsync::limits
