#include "sync/job_slots.hpp"

#include <gtest/gtest.h>

namespace stsync::sync {
namespace {

/// Takes as many as there are for a tenant.
std::size_t take_all(JobSlots& slots, const std::string& tenant) {
  std::size_t n = 0;
  for (; slots.may_take(tenant) && n < 1000; ++n) slots.take(tenant);
  return n;
}

TEST(VendorFaultsBeside, B25_ASlowTenantWithManyJobsLeavesRoomForOthers) {
  JobSlots slots;
  EXPECT_EQ(take_all(slots, "slow"), JobSlots::kOfTenant);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(take_all(slots, "late" + std::to_string(i)), JobSlots::kOfTenant) << i;
}

TEST(JobSlots, EveryTenantRunsAJobHoweverManyThereAre) {
  JobSlots slots;
  std::size_t beyond_the_first = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto taken = take_all(slots, "t" + std::to_string(i));
    ASSERT_GE(taken, 1u) << i;
    beyond_the_first += taken - 1;
  }
  EXPECT_LE(beyond_the_first, JobSlots::kMost);
  EXPECT_FALSE(slots.may_take("t0"));
  EXPECT_TRUE(slots.may_take("new"));
}

TEST(JobSlots, ComeBack) {
  JobSlots slots;
  EXPECT_EQ(take_all(slots, "a"), JobSlots::kOfTenant);
  slots.give_back("a");
  EXPECT_TRUE(slots.may_take("a"));
  for (std::size_t i = 1; i < JobSlots::kOfTenant; ++i) slots.give_back("a");
  EXPECT_EQ(take_all(slots, "a"), JobSlots::kOfTenant);
}

}  // namespace
}  // namespace stsync::sync
