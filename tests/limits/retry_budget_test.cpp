// Retries are a small share of the calls.
#include "limits/retry_budget.hpp"

#include <random>

#include <gtest/gtest.h>

#include "support/seeds.hpp"

namespace stsync::limits {
namespace {

using core::Duration;
using core::TimePoint;
using namespace std::chrono_literals;

struct RetryBudgetTest : ::testing::Test {
  RetryBudget budget;
  TimePoint now{1h};
  int take(int tries = 10'000) {
    int taken = 0;
    for (int i = 0; i < tries; ++i) taken += budget.may_retry(now);
    return taken;
  }
};

TEST_F(RetryBudgetTest, WhoNeverCalledHasTen) {
  EXPECT_EQ(take(), 10);
  EXPECT_EQ(take(), 0);
}

TEST_F(RetryBudgetTest, TenAnsweredCallsEarnOne) {
  take();
  for (int i = 0; i < 99; ++i) budget.called();
  EXPECT_EQ(take(), 9);
  budget.called();
  EXPECT_EQ(take(), 1);
}

TEST_F(RetryBudgetTest, LongGoodTimesDoNotAllowAStorm) {
  for (int i = 0; i < 1'000'000; ++i) budget.called();
  EXPECT_EQ(take(), 110);
}

TEST_F(RetryBudgetTest, AMinuteBringsTen) {
  take();
  EXPECT_EQ(budget.next(now), now + 6s);
  now += 6s - 1ns;
  EXPECT_EQ(take(), 0);
  now += 1ns;
  EXPECT_EQ(budget.next(now), now);
  EXPECT_EQ(take(), 1);
  now += 1min;
  EXPECT_EQ(take(), 10);
  now += 24h;
  EXPECT_EQ(take(), 10) << "they do not pile up";
}

TEST(RetryBudgetProperty, RetriesAreAShareAndNobodyStarves) {
  for (std::uint64_t seed = 1; seed <= test::seeds(200); ++seed) {
    std::mt19937_64 random(seed);
    RetryBudget budget;
    TimePoint now{};
    std::int64_t calls = 0, retries = 0;
    for (int i = 0; i < 5000; ++i) {
      const bool good = random() % 3 != 0;
      now += std::chrono::milliseconds(random() % 500);
      if (good) budget.called(), ++calls;
      const auto when = budget.next(now);
      ASSERT_LE(when - now, 6s) << "seed " << seed;
      const bool may = budget.may_retry(now);
      ASSERT_EQ(may, when <= now) << "seed " << seed;
      retries += may;
      ASSERT_LE(retries, calls / 10 + 10 + now.time_since_epoch() / 6s + 1) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace stsync::limits
