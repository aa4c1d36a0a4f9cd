// Decisions about one token, without a loop.
#include "tokens/account_state.hpp"

#include <functional>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stsync::tokens {
namespace {

using core::Duration;
using core::ErrorKind;
using core::TimePoint;
using namespace std::chrono_literals;

constexpr TimePoint kStart{1h};

AccountState with_token(Duration life, core::Rng& rng) {
  AccountState state;
  state.fetch_began();
  state.fetched({core::Secret("t"), life}, kStart, kStart, rng);
  return state;
}

/// The first second in which `holds`, after kStart.
Duration when(const std::function<bool(TimePoint)>& holds) {
  for (Duration d{}; d < 2h; d += 1s)
    if (holds(kStart + d)) return d;
  return Duration::max();
}

TEST(AccountState, RenewsAtFourFifthsGiveOrTakeATenth) {
  core::Rng rng(1);
  Duration earliest = Duration::max(), latest{};
  for (int i = 0; i < 2000; ++i) {
    const auto state = with_token(900s, rng);
    const auto renewal = when([&](TimePoint t) { return state.wants_fetch(t); });
    earliest = std::min(earliest, renewal);
    latest = std::max(latest, renewal);
    ASSERT_TRUE(state.token(kStart + renewal)) << "the old one serves";
  }
  EXPECT_GE(earliest, 648s);
  EXPECT_LE(earliest, 652s);
  EXPECT_GE(latest, 788s);
  EXPECT_LE(latest, 793s);
}

TEST(AccountState, EveryLifeHasItsRenewalBeforeItsEndAndTheEndBeforeTheVendors) {
  core::Rng rng(1);
  struct Case {
    Duration says, counts;
  };
  for (const auto& [says, counts] : {Case{-5s, 30s}, Case{0s, 30s}, Case{1s, 30s}, Case{30s, 30s}, Case{31s, 31s}, Case{60s, 60s},
                                     Case{120s, 120s}, Case{900s, 900s}, Case{3600s, 1h}, Case{24h, 1h}, Case{24h * 365, 1h}})
    for (int i = 0; i < 20; ++i) {
      const auto state = with_token(says, rng);
      const auto renewal = when([&](TimePoint t) { return state.wants_fetch(t); });
      const auto end = when([&](TimePoint t) { return !state.token(t); });
      EXPECT_LE(renewal, end);
      EXPECT_GE(renewal, counts * 72 / 100);
      EXPECT_LE(end, counts - std::min<Duration>(30s, counts / 4) + 1s) << "not in its last seconds";
      EXPECT_GE(end, counts * 3 / 4);
    }
}

TEST(AccountState, WaitsOfARefusedClientDoubleUpToAQuarterOfAnHour) {
  core::Rng rng(1);
  AccountState state;
  auto now = kStart;
  for (const auto full : {60s, 120s, 240s, 480s, 900s, 900s, 900s}) {
    state.fetch_began();
    state.request_failed({ErrorKind::unauthorized, "no"}, now);
    state.fetch_failed({ErrorKind::unauthorized, "no"}, now, rng);
    EXPECT_FALSE(state.wants_fetch(now + full * 9 / 10 - 1s));
    EXPECT_TRUE(state.wants_fetch(now + full));
    now += full;
  }
}

TEST(AccountState, WaitsOfAnOutageDoubleUpToAMinuteAndNotAllInStep) {
  core::Rng rng(1);
  std::set<std::int64_t> waits;
  for (int i = 0; i < 100; ++i) {
    AccountState state;
    auto now = kStart;
    for (const auto full : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s}) {
      state.fetch_failed({ErrorKind::network, "no"}, now, rng);
      EXPECT_FALSE(state.wants_fetch(now + full * 8 / 10 - 1ms));
      EXPECT_TRUE(state.wants_fetch(now + full));
      now += full;
    }
    waits.insert(state.error(now - 60s).retry_after()->count());
  }
  EXPECT_GT(waits.size(), 90u);
}

TEST(AccountState, AWaitIsNotMadeShorterByADrop) {
  core::Rng rng(1);
  auto state = with_token(900s, rng);
  state.dropped(1, kStart + 1s, rng);
  state.fetched({core::Secret("t"), 30s}, kStart + 1s, kStart + 1s, rng);
  state.fetch_failed(core::Error(ErrorKind::throttled, "later").with_retry_after(5min), kStart + 25s, rng);
  state.dropped(2, kStart + 26s, rng);  // the second in a row: 60 s
  EXPECT_EQ(state.health(kStart + 26s), Health::refused);
  EXPECT_FALSE(state.wants_fetch(kStart + 25s + 5min - 1ms));
  EXPECT_TRUE(state.wants_fetch(kStart + 25s + 5min));
}

TEST(AccountState, RefusedAndDownAreToldApart) {
  core::Rng rng(1);
  AccountState state;
  EXPECT_EQ(state.health(kStart), Health::working);
  state.fetch_failed({ErrorKind::network, "no"}, kStart, rng);
  EXPECT_EQ(state.health(kStart), Health::down);
  state.fetch_failed({ErrorKind::unauthorized, "no"}, kStart, rng);
  EXPECT_EQ(state.health(kStart), Health::refused);
  state.fetch_failed({ErrorKind::network, "no"}, kStart, rng);
  EXPECT_EQ(state.health(kStart), Health::refused) << "its last word about the client";
  state.credentials_changed(kStart);
  EXPECT_EQ(state.health(kStart), Health::refused) << "not known to be better yet";
  state.fetched({core::Secret("t"), 900s, true}, kStart, kStart, rng);
  EXPECT_EQ(state.health(kStart), Health::rotating);
  state.fetched({core::Secret("t"), 900s, false}, kStart, kStart, rng);
  EXPECT_EQ(state.health(kStart), Health::working);
  EXPECT_EQ(state.reason(kStart), "");
}

}  // namespace
}  // namespace stsync::tokens
