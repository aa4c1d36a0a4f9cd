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
  EXPECT_EQ(take_all(slots, "slow"), JobSlots::kMost / 2);
  EXPECT_EQ(take_all(slots, "second"), JobSlots::kMost / 4);
  for (int i = 0; i < 6; ++i) EXPECT_GE(take_all(slots, "late" + std::to_string(i)), i < 5 ? 1u : 0u) << i;
}

TEST(JobSlots, AreNeverMoreThanThereAreAndComeBack) {
  JobSlots slots;
  std::size_t all = 0;
  for (int i = 0; i < 200; ++i) all += take_all(slots, "t" + std::to_string(i));
  EXPECT_EQ(all, JobSlots::kMost);
  EXPECT_FALSE(slots.may_take("t0"));
  EXPECT_FALSE(slots.may_take("new"));
  slots.give_back("t0");
  EXPECT_TRUE(slots.may_take("new"));
  EXPECT_FALSE(slots.may_take("t0")) << "who has some waits for those who have none";
}

}  // namespace
}  // namespace stsync::sync
