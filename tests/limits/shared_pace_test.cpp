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

/// One worker and a store that the test plays itself.
struct Alone {
  TimePoint now = kStart;
  std::vector<Mode> modes;
  std::vector<double> shares;
  SharedPace pace{{"app/1", 60, 3},
                  [this](double rate) {
                    shares.push_back(rate);
                    return std::make_unique<test::EvenPace>(rate);
                  },
                  [this](Mode mode) { modes.push_back(mode); }};

  Lease lease(std::int64_t slots, Milli share = 18'000) const {
    Lease l;
    l.first = now + 1ms;
    l.interval = 17ms;
    l.slots = slots;
    l.again = now + 300ms;
    l.share = share;
    l.members = 3;
    l.shared = 3;
    return l;
  }
  void go_local() {
    for (int i = 0; i < 3; ++i, now += 50ms) {
      EXPECT_TRUE(pace.wants(now, 1));
      pace.failed(now);
    }
    EXPECT_EQ(pace.mode(), Mode::local);
  }
};

TEST(SharedPace, AsksForOneTripAtATimeAndOnlyForWhatIsMissing) {
  Alone a;
  EXPECT_EQ(a.pace.next(a.now), TimePoint::max());
  const auto first = a.pace.wants(a.now, 20);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->slots, 6) << "a tenth of a second";
  EXPECT_EQ(first->per_second, 60'000);
  EXPECT_EQ(first->target, 59'500);
  EXPECT_EQ(first->share, 18'000);
  EXPECT_EQ(first->known, 0);
  EXPECT_FALSE(a.pace.wants(a.now, 20)) << "one is under way";
  a.pace.granted(a.now, a.lease(2));
  EXPECT_EQ(a.pace.next(a.now), a.now + 1ms);
  EXPECT_FALSE(a.pace.wants(a.now, 2)) << "it has what is asked for";
  const auto second = a.pace.wants(a.now, 3);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->slots, 1);
  a.pace.granted(a.now, a.lease(1));
  EXPECT_EQ(a.pace.wants(a.now, 20)->slots, 2) << "three share, each takes its part of the tenth";
}

TEST(SharedPace, IsHeardOfEvenWhenNobodyCalls) {
  Alone a;
  ASSERT_TRUE(a.pace.wants(a.now, 0));
  a.pace.granted(a.now, a.lease(0));
  EXPECT_EQ(a.pace.wakes(a.now, 0), a.now + 400ms);
  EXPECT_FALSE(a.pace.wants(a.now + 399ms, 0));
  const auto beat = a.pace.wants(a.now + 400ms, 0);
  ASSERT_TRUE(beat);
  EXPECT_EQ(beat->slots, 0);
}

TEST(SharedPace, ASlotIsLostAfterTwentyMilliseconds) {
  Alone a;
  (void)a.pace.wants(a.now, 6);
  a.pace.granted(a.now, a.lease(2));
  EXPECT_EQ(a.pace.next(a.now + 21ms), a.now + 21ms) << "the first is late, but still good";
  EXPECT_EQ(a.pace.next(a.now + 22ms), a.now + 22ms) << "the second is just in time";
  EXPECT_EQ(a.pace.next(a.now + 39ms), TimePoint::max());
}

TEST(SharedPace, TellsTheStoreHowLateItWasUntilTheStoreHasHeard) {
  Alone a;
  (void)a.pace.wants(a.now, 6);
  auto lease = a.lease(2);
  lease.doubt = 2ms;
  a.pace.granted(a.now, lease);
  a.pace.take(a.now + 10ms);
  a.pace.take(a.now + 19ms);
  for (int i = 0; i < 2; ++i) {
    a.now += 60ms;
    const auto request = a.pace.wants(a.now, 6);
    ASSERT_TRUE(request);
    EXPECT_EQ(request->late, 8ms) << "nine late, two in doubt, three are free";
    i == 0 ? a.pace.failed(a.now) : a.pace.granted(a.now, a.lease(0));
  }
  EXPECT_EQ(a.pace.wants(a.now + 400ms, 6)->late, 0ms);
}

TEST(SharedPace, GoesLocalAfterThreeFailuresOrOneLongSilence) {
  Alone a;
  a.go_local();
  EXPECT_THAT(a.modes, ::testing::ElementsAre(Mode::local));
  EXPECT_THAT(a.shares, ::testing::ElementsAre(18));
  EXPECT_EQ(a.pace.next(a.now), a.now - 50ms + kSwitchPause + Duration(1s) / 18) << "once the store has noticed";

  Alone b;
  ASSERT_TRUE(b.pace.wants(b.now, 1));
  EXPECT_EQ(b.pace.wakes(b.now, 1), b.now + 250ms);
  b.pace.look(b.now + 249ms);
  EXPECT_EQ(b.pace.mode(), Mode::shared);
  b.pace.look(b.now + 250ms);
  EXPECT_EQ(b.pace.mode(), Mode::local);
  b.now += 251ms;
  b.pace.granted(b.now, b.lease(6));
  EXPECT_EQ(b.pace.next(b.now), b.now - 1ms + kSwitchPause + Duration(1s) / 18) << "the answer came too late";
}

TEST(SharedPace, DropsItsSlotsWhenItGoesLocal) {
  Alone a;
  (void)a.pace.wants(a.now, 6);
  auto far = a.lease(6);
  far.first = a.now + 200ms;
  a.pace.granted(a.now, far);
  a.now += 400ms;
  (void)a.pace.wants(a.now, 20);
  a.pace.granted(a.now, far);
  a.go_local();
  EXPECT_GE(a.pace.next(a.now), a.now + 1s);
}

TEST(SharedPace, ComesBackAfterFiveHealthySecondsInARow) {
  Alone a;
  a.go_local();
  const auto healthy = [&](Duration d) {
    for (const auto end = a.now + d; a.now < end; a.now += 500ms) {
      const auto probe = a.pace.wants(a.now, 8);
      ASSERT_TRUE(probe);
      EXPECT_TRUE(probe->local);
      EXPECT_EQ(probe->slots, 0);
      a.pace.granted(a.now, a.lease(0));
    }
  };
  a.now += 500ms;
  healthy(4500ms);
  ASSERT_TRUE(a.pace.wants(a.now, 8));
  a.pace.failed(a.now);
  a.now += 500ms;
  healthy(5s);
  EXPECT_EQ(a.pace.mode(), Mode::local);
  healthy(500ms);
  EXPECT_THAT(a.modes, ::testing::ElementsAre(Mode::local, Mode::shared));
  EXPECT_FALSE(a.pace.wants(a.now - 450ms, 8)) << "its last call stands alone for a while";
  const auto request = a.pace.wants(a.now - 440ms, 8);
  ASSERT_TRUE(request);
  EXPECT_FALSE(request->local);
}

TEST(SharedPace, ALocalShareMayShrinkButNotGrow) {
  Alone a;
  a.go_local();
  for (const auto& [told, used] : std::vector<std::pair<Milli, double>>{{20'000, 18}, {13'000, 13}, {18'000, 13}, {0, 0}}) {
    a.now += 500ms;
    ASSERT_TRUE(a.pace.wants(a.now, 8));
    a.pace.granted(a.now, a.lease(0, told));
    EXPECT_NEAR(a.pace.rate(), used * 0.98, 0.01);
  }
  EXPECT_EQ(a.pace.next(a.now), TimePoint::max());
}

TEST(SharedPace, ALargerShareCountsOnceTheOthersHadTimeToHear) {
  Alone a;
  const auto share_after = [&a](Duration d, Milli told) {
    a.now += d;
    const auto request = a.pace.wants(a.now, 0);
    EXPECT_TRUE(request);
    a.pace.granted(a.now, a.lease(0, told));
    return request->share;
  };
  EXPECT_EQ(share_after(0s, 27'000), 18'000);
  EXPECT_EQ(share_after(500ms, 27'000), 18'000);
  EXPECT_EQ(share_after(499ms, 27'000), 18'000);
  EXPECT_EQ(share_after(400ms, 27'000), 18'000);
  EXPECT_EQ(share_after(400ms, 13'000), 27'000);
  EXPECT_EQ(share_after(400ms, 13'000), 13'000) << "a smaller one at once";
}

TEST(SharedPace, TellsOfAFreezeAtOnceAndUntilTheStoreHasHeard) {
  Alone a;
  (void)a.pace.wants(a.now, 6);
  a.pace.granted(a.now, a.lease(6));
  a.pace.freeze(a.now + 5s);
  EXPECT_EQ(a.pace.next(a.now), TimePoint::max()) << "the slots before are lost";
  EXPECT_EQ(a.pace.wakes(a.now, 6), a.now);
  EXPECT_EQ(a.pace.wants(a.now, 6)->freeze, 5s);
  a.pace.failed(a.now);
  a.now += 50ms;
  const auto again = a.pace.wants(a.now, 6);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->freeze, 4950ms);
  EXPECT_EQ(again->slots, 0);
  a.pace.granted(a.now, a.lease(0));
  EXPECT_FALSE(a.pace.wants(a.now, 6));
  a.pace.freeze(a.now + 1s);
  EXPECT_FALSE(a.pace.wants(a.now, 6)) << "nothing new";
}

TEST(SharedPace, RefusalsSlowItDownALittleAndAnswersBringItBackSlowly) {
  Alone a;
  EXPECT_NEAR(a.pace.rate(), 59.5, 0.01);
  a.pace.refused(a.now);
  a.pace.refused(a.now + 10ms);
  EXPECT_NEAR(a.pace.rate(), 59.5 * 0.996, 0.01) << "both are one refusal";
  for (int i = 0; i < 100; ++i) a.pace.refused(a.now += 1s);
  EXPECT_NEAR(a.pace.rate(), 55, 0.01);
  for (int i = 0; i < 100; ++i) a.pace.answered(a.now += 100ms);
  EXPECT_NEAR(a.pace.rate(), 55.1, 0.01) << "a hundredth of a call a second, every second";
  for (int i = 0; i < 1000; ++i) a.pace.answered(a.now += 1min);
  EXPECT_NEAR(a.pace.rate(), 59.5, 0.01);
}

}  // namespace
}  // namespace stsync::limits
