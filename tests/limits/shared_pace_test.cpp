// Several workers share one limit, in virtual time; the vendor counts what arrives.
#include "limits/shared_pace.hpp"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shared_play.hpp"
#include "support/seeds.hpp"

namespace stsync::limits {
namespace {

using namespace std::chrono_literals;
using core::Duration;
using core::TimePoint;
using test::Play;
using Mode = SharedPace::Mode;

constexpr TimePoint kStart{1h};

TEST(SharedPace, ThreeWorkersUseNearlyAllOfTheLimitAndNeverMore) {
  for (std::uint64_t seed = 0; seed < ::stsync::test::seeds(200); ++seed) {
    SCOPED_TRACE(seed);
    Play play(seed);
    for (int i = 0; i < 3; ++i) play.add(3);
    play.run_until(kStart + 25s);
    ASSERT_LE(play.most_in_a_second(), 60u);
    ASSERT_GE(play.count(kStart + 5s, kStart + 25s), static_cast<std::size_t>(0.98 * 60 * 20));
    for (const auto& w : play.workers) ASSERT_GE(w->calls.size(), 300u) << w->name << " gets its part";
  }
}

TEST(SharedPace, SlotsUsedLateAreMadeUpFor) {
  for (std::uint64_t seed = 0; seed < ::stsync::test::seeds(100); ++seed) {
    SCOPED_TRACE(seed);
    Play play(seed);
    play.late_timer = [&] { return play.random.between(0, 50) == 0 ? play.some(25ms) : play.some(2ms); };
    for (int i = 0; i < 3; ++i) play.add(3);
    play.run_until(kStart + 25s);
    ASSERT_LE(play.most_in_a_second(), 60u);
    ASSERT_GE(play.count(kStart + 5s, kStart + 25s), static_cast<std::size_t>(0.93 * 60 * 20));
  }
}

TEST(SharedPace, AFarStoreCostsCallsButNeverARefusal) {
  for (std::uint64_t seed = 0; seed < ::stsync::test::seeds(50); ++seed) {
    SCOPED_TRACE(seed);
    Play play(seed);
    play.trip_takes = 15ms;
    for (int i = 0; i < 3; ++i) play.add(3);
    play.run_until(kStart + 25s);
    ASSERT_LE(play.most_in_a_second(), 60u);
    ASSERT_GE(play.count(kStart + 5s, kStart + 25s), static_cast<std::size_t>(0.6 * 60 * 20));
  }
}

struct Disturbance {
  const char* what;
  std::function<void(Play&)> strike;
  std::function<void(Play&)> heal;
  std::size_t locals;  ///< workers that have to go local for it when it lasts
};

const Disturbance kDisturbances[] = {
    {"the store dies and comes back empty", [](Play& p) { p.kill_store(); }, [](Play& p) { p.start_store_empty(); }, 3},
    {"one worker alone loses the store", [](Play& p) { p.workers[0]->reaches_store = false; },
     [](Play& p) { p.workers[0]->reaches_store = true; }, 1},
    {"a worker crashes", [](Play& p) { p.crash(*p.workers[0]); }, [](Play&) {}, 0},
    {"a worker leaves", [](Play& p) { p.leave(*p.workers[0]); }, [](Play&) {}, 0},
    {"a worker joins", [](Play& p) { p.add(3); }, [](Play&) {}, 0},
};

TEST(SharedPace, NoFailureMakesTheWorkersExceedTheLimitOrStandStill) {
  for (const auto& d : kDisturbances) {
    for (std::uint64_t seed = 0; seed < ::stsync::test::seeds(100); ++seed) {
      SCOPED_TRACE(std::string(d.what) + ", seed " + std::to_string(seed));
      Play play(seed);
      for (int i = 0; i < 3; ++i) play.add(3);
      const auto from = kStart + 3s + play.some(1s);
      const auto lasts = 20ms + play.some(seed % 2 == 0 ? 1s : 15s);
      play.at(from, [&] { d.strike(play); });
      play.at(from + lasts, [&] { d.heal(play); });
      play.run_until(from + lasts + 12s);
      ASSERT_LE(play.most_in_a_second(), 60u);
      ASSERT_GE(play.fewest_in(10s, kStart + 2s, play.now), static_cast<std::size_t>(0.6 * 600));
      if (lasts > 1s)
        for (std::size_t i = 0; i < d.locals; ++i) ASSERT_EQ(play.workers[i]->switches.size(), 2u) << "local and back";
      for (const auto& w : play.workers) ASSERT_EQ(w->pace.mode(), Mode::shared);
    }
  }
}

/// One of everything that may go wrong.
void strike(Play& play, std::int64_t least, bool joins) {
  auto& random = play.random;
  auto& worker = *play.workers[random.between(0, play.workers.size() - 1)];
  const auto alive = std::count_if(play.workers.begin(), play.workers.end(), [](const auto& w) { return w->alive; });
  const auto later = play.now + 20ms + play.some(random.between(0, 1) == 0 ? 1s : 15s);
  switch (random.between(0, 9)) {
    case 0:
      play.kill_store();
      return play.at(later, [&play] { play.start_store_empty(); });
    case 1:
    case 2:
      worker.reaches_store = false;
      return play.at(later, [&worker] { worker.reaches_store = true; });
    case 3:
      if (alive > 1) play.crash(worker);
      return;
    case 4:
      if (alive > 1) play.leave(worker);
      return;
    case 5:
      if (alive < 6 && joins) play.add(least);
      return;
    case 6:
      worker.hears_store = false;
      return play.at(later, [&worker] { worker.hears_store = true; });
    case 7:
      play.store_clock += static_cast<std::int64_t>(random.between(1'000'001, 100'000'000));
      return;
    case 8:
      play.store_clock -= static_cast<std::int64_t>(random.between(0, 5'000'000'000));
      return;
    default:
      worker.waiting = random.between(0, 8);
      return play.act(worker);
  }
}

void everything_happens(double limit, std::uint64_t seed, std::int64_t least, bool joins) {
  Play play(seed, limit);
  play.trip_takes = std::vector<Duration>{1ms, 5ms, 20ms}[seed % 3];
  if (seed % 2 == 0) play.late_timer = [&] { return play.random.between(0, 50) == 0 ? play.some(25ms) : play.some(2ms); };
  for (int i = 0; i < 3; ++i) play.add(least);
  play.run_until(kStart + 2s);  // all have heard of each other
  for (int i = 0; i < 12; ++i) {
    play.run_until(play.now + play.some(5s));
    strike(play, least, joins);
  }
  play.run_until(play.now + 20s);
  // Who uses a slot late and then loses the store cannot make up for it.
  const auto allowed = static_cast<std::size_t>(std::ceil(limit)) + (play.late_timer ? 1 : 0);
  EXPECT_LE(play.most_in_a_second(), allowed) << "limit " << limit << ", seed " << seed;
}

TEST(SharedPace, WhateverHappensAllWorkersTogetherStayBelowTheLimit) {
  for (const auto limit : {60.0, 10.0, 7.5, 600.0})
    for (std::uint64_t seed = 0; seed < ::stsync::test::seeds(50); ++seed) everything_happens(limit, seed, 6, true);
}

TEST(SharedPace, WorkersThatMetOnceNeedNoConfiguredNumber) {
  for (std::uint64_t seed = 0; seed < ::stsync::test::seeds(100); ++seed) everything_happens(60, seed, 1, false);
}

/// Deployments that use a tenant now and then: each rests in between, and all the limit goes to who calls.
TEST(SharedPace, WhoRestsLeavesTheLimitToOthersAndKeepsToItsShareWithoutTheStore) {
  for (std::uint64_t seed = 0; seed < ::stsync::test::seeds(100); ++seed) {
    SCOPED_TRACE(seed);
    Play play(seed);
    for (int i = 0; i < 3; ++i) play.add(1, true);
    play.run_until(kStart + 5s);
    play.workers[1]->waiting = play.workers[2]->waiting = 0;
    play.run_until(kStart + 100s);
    ASSERT_GE(play.count(kStart + 80s, kStart + 100s), static_cast<std::size_t>(0.98 * 60 * 20)) << "one has all of it";
    const auto wake = [&](std::size_t i) {
      play.workers[i]->waiting = 8;
      play.act(*play.workers[i]);
    };
    if (seed % 2 == 0) wake(1);
    play.run_until(play.now + play.some(2s));
    play.kill_store();
    play.run_until(play.now + play.some(3s));
    wake(2);
    play.run_until(play.now + 5s + play.some(5s));
    play.start_store_empty();
    play.run_until(play.now + 15s);
    ASSERT_LE(play.most_in_a_second(), 60u);
    ASSERT_GE(play.workers[2]->calls.size(), 100u) << "it goes on without the store, and with it";
  }
}

TEST(SharedPace, ALateWorkerJoinsWithoutBeingConfigured) {
  Play play(1);
  for (int i = 0; i < 2; ++i) play.add(1);
  play.run_until(kStart + 5s);
  play.add(1);
  play.at(kStart + 5100ms, [&] { play.kill_store(); });
  play.run_until(kStart + 20s);
  EXPECT_LE(play.most_in_a_second(), 60u) << "a share it was not yet given counts for nothing";
  EXPECT_EQ(play.workers[2]->pace.mode(), Mode::local);
}

TEST(SharedPace, AShareThatItsWorkerDidNotHearOfIsNotCounted) {
  Play play(1);
  play.add(1);
  play.run_until(kStart + 5s);
  play.workers[0]->hears_store = false;  // the answer that says how little it may use from now on is lost
  play.add(1);
  play.run_until(kStart + 15s);
  EXPECT_EQ(play.workers[0]->pace.mode(), Mode::local);
  EXPECT_GE(play.workers[0]->calls.size(), 8u * 54) << "it uses what it knew";
  EXPECT_LE(play.most_in_a_second(), 60u);
}

TEST(SharedPace, ManyWorkersHoldNoMoreSlotsThanFew) {
  for (std::uint64_t seed = 0; seed < ::stsync::test::seeds(10); ++seed) {
    SCOPED_TRACE(seed);
    Play play(seed);
    for (int i = 0; i < 50; ++i) play.add(50);
    play.run_until(kStart + 4s + play.some(1s));
    ASSERT_GE(play.count(kStart + 3s, kStart + 4s), 58u);
    for (std::size_t i = 0; i < 25; ++i) play.workers[i]->reaches_store = false;
    play.run_until(kStart + 12s);
    ASSERT_LE(play.most_in_a_second(), 60u);
  }
}

TEST(SharedPace, AFreezeReachesEverybody) {
  for (const bool one_is_local : {false, true}) {
    Play play(1);
    for (int i = 0; i < 3; ++i) play.add(3);
    if (one_is_local) {
      play.workers[2]->reaches_store = false;
      play.at(kStart + 4s, [&] { play.workers[2]->reaches_store = true; });
    }
    play.run_until(kStart + 5s);
    ASSERT_EQ(play.workers[2]->pace.mode(), one_is_local ? Mode::local : Mode::shared);
    play.workers[0]->pace.freeze(kStart + 10s);
    play.act(*play.workers[0]);
    play.run_until(kStart + 15s);
    EXPECT_EQ(play.count(kStart + 5600ms, kStart + 10s), 0u) << "half a second until the last has heard";
    EXPECT_GT(play.count(kStart + 10s, kStart + 11s), 40u);
    EXPECT_LE(play.most_in_a_second(), 60u);
  }
}

}  // namespace
}  // namespace stsync::limits
