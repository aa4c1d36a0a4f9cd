#include "sim/quota.hpp"

#include <gtest/gtest.h>

namespace stsync::sim {
namespace {

using namespace std::chrono_literals;
constexpr core::TimePoint kStart{};

TEST(QuotaLog, RefusesExactlyWhatIsAboveTheLimit) {
  QuotaLog log(3);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(log.take(kStart + i * 100ms).allowed);
  const auto refused = log.take(kStart + 300ms);
  EXPECT_FALSE(refused.allowed);
  EXPECT_EQ(refused.wait, 700ms);
  EXPECT_FALSE(log.take(kStart + 1s - 1ns).allowed);
  EXPECT_TRUE(log.take(kStart + 1s).allowed) << "the first call is a whole second old";
  EXPECT_FALSE(log.take(kStart + 1s).allowed);
  EXPECT_TRUE(log.take(kStart + 1100ms).allowed);
}

TEST(QuotaLog, RefusedCallsDoNotCount) {
  QuotaLog log(1);
  EXPECT_TRUE(log.take(kStart).allowed);
  for (int i = 1; i < 10; ++i) EXPECT_FALSE(log.take(kStart + i * 100ms).allowed);
  EXPECT_TRUE(log.take(kStart + 1s).allowed);
  EXPECT_EQ(log.max_calls_in_one_second(), 10u) << "but they are seen";
}

TEST(QuotaLog, SlowRatesAndNone) {
  QuotaLog slow(0.5);
  EXPECT_TRUE(slow.take(kStart).allowed);
  EXPECT_EQ(slow.take(kStart + 1s).wait, 1s);
  EXPECT_TRUE(slow.take(kStart + 2s).allowed);
  QuotaLog none(0);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(none.take(kStart).allowed);
}

}  // namespace
}  // namespace stsync::sim
