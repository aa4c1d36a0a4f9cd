// What one worker of a shared limit asks its store, and what it makes of the answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "limits/shared_pace.hpp"
#include "shared_play.hpp"

namespace stsync::limits {
namespace {

using namespace std::chrono_literals;
using core::Duration;
using core::TimePoint;
using Mode = SharedPace::Mode;

constexpr TimePoint kStart{1h};

/// One worker and a store that the test plays itself.
struct Alone {
  explicit Alone(bool may_rest = false) : rests(may_rest) {}
  bool rests;
  TimePoint now = kStart;
  std::vector<Mode> modes;
  std::vector<double> shares;
  SharedPace pace{{"app/1", 60, 3, rests},
                  [this](double rate) {
                    shares.push_back(rate);
                    return std::make_unique<Pacer>(rate);
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

TEST(SharedPace, RestsWhenNobodyCallsForAMinute) {
  Alone a(true);
  ASSERT_EQ(a.pace.wants(a.now, 1)->sharing, Sharing::leased);
  a.pace.granted(a.now, a.lease(1));
  a.pace.take(a.now + 1ms);
  a.now += 60s;
  ASSERT_EQ(a.pace.wants(a.now, 0)->sharing, Sharing::leased);
  a.pace.granted(a.now, a.lease(0));
  a.now += 400ms;
  const auto rests = a.pace.wants(a.now, 0);
  ASSERT_TRUE(rests);
  EXPECT_EQ(rests->sharing, Sharing::resting);
  a.pace.granted(a.now, a.lease(0));
  EXPECT_EQ(a.pace.wakes(a.now, 0), a.now + 5min) << "the store is not to forget it";
  EXPECT_EQ(a.pace.mode(), Mode::shared);

  a.now += 10s;
  EXPECT_EQ(a.pace.wakes(a.now, 1), a.now - 10s + 300ms) << "at once; the store said that there would be slots by then";
  const auto wakes = a.pace.wants(a.now, 1);
  ASSERT_TRUE(wakes);
  EXPECT_EQ(wakes->sharing, Sharing::leased);
  EXPECT_EQ(wakes->slots, 1);
  a.pace.granted(a.now, a.lease(1));
  EXPECT_EQ(a.pace.wakes(a.now, 0), a.now + 400ms);
}

TEST(SharedPace, ARestingLimitTellsAFreezeAndDoesNotRestInOne) {
  Alone a(true);
  a.now += 2min;
  ASSERT_EQ(a.pace.wants(a.now, 0)->sharing, Sharing::resting);
  a.pace.granted(a.now, a.lease(0));
  a.pace.freeze(a.now + 3s);
  const auto told = a.pace.wants(a.now, 0);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->freeze, 3s);
  EXPECT_EQ(told->sharing, Sharing::leased);
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
      EXPECT_EQ(probe->sharing, Sharing::alone);
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
  EXPECT_EQ(request->sharing, Sharing::leased);
}

TEST(SharedPace, ALocalShareMayShrinkButNotGrow) {
  Alone a;
  a.go_local();
  for (const auto& [told, used] : std::vector<std::pair<Milli, double>>{{20'000, 18}, {13'000, 13}, {18'000, 13}, {0, 0}}) {
    a.now += 500ms;
    ASSERT_TRUE(a.pace.wants(a.now, 8));
    a.pace.granted(a.now, a.lease(0, told));
    EXPECT_NEAR(a.pace.rate(), used * Pacer::kUse, 0.01);
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

TEST(SharedPace, RefusalsSlowItDownALittleAndTimeBringsItBackSlowly) {
  Alone a;
  const auto refused = [&] { a.pace.refused(a.now, a.now + 10ms); };
  EXPECT_NEAR(a.pace.rate(), 59.5, 0.01);
  refused();
  refused();
  EXPECT_NEAR(a.pace.rate(), 59.5 * 0.996, 0.01) << "both are one refusal";
  for (int i = 0; i < 100; ++i) {
    a.now += 1s;
    refused();
  }
  EXPECT_NEAR(a.pace.rate(), 55, 0.01);
  const auto ask = [&](Duration after) {
    a.now += after;
    ASSERT_TRUE(a.pace.wants(a.now, 6));
    a.pace.granted(a.now, a.lease(0));
  };
  for (int i = 0; i < 21; ++i) ask(500ms);
  EXPECT_NEAR(a.pace.rate(), 55.1, 0.01) << "a hundredth of a call a second, every second";
  for (int i = 0; i < 1000; ++i) ask(1min);
  EXPECT_NEAR(a.pace.rate(), 59.5, 0.01);
}

}  // namespace
}  // namespace stsync::limits
