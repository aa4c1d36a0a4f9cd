// The whole worker in virtual time. A seed that fails is played again by scripts/simulate --seed N.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "simulation/scenario.hpp"

namespace stsync::simulation {
namespace {

using ::testing::IsEmpty;

TEST(Simulation, OneWorkerWhereNothingGoesWrong) {
  const auto report = play(Scenario::calm(1));
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_GT(report.records, 0u);
}

TEST(Simulation, ASeedIsAlwaysPlayedTheSameWay) {
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const auto once = play(Scenario::of(seed));
    const auto again = play(Scenario::of(seed));
    EXPECT_EQ(once.fingerprint, again.fingerprint) << "seed " << seed;
    EXPECT_EQ(once.virtual_time, again.virtual_time) << "seed " << seed;
  }
}

TEST(Simulation, ThingsGoWrongInIt) {
  Report sum;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const auto report = play(Scenario::of(seed));
    sum.kills += report.kills;
    sum.freezes += report.freezes;
    sum.doubts += report.doubts;
    sum.aborts += report.aborts;
  }
  EXPECT_GT(sum.kills, 0u);
  EXPECT_GT(sum.freezes, 0u);
  EXPECT_GT(sum.doubts, 0u);
  EXPECT_GT(sum.aborts, 0u);
}

/// The seeds in parts, so that they run side by side.
struct Seeds : ::testing::TestWithParam<std::uint64_t> {
  static constexpr std::uint64_t kParts = 20;
};

TEST_P(Seeds, NothingIsLostDoubledTornOrStuckWhateverHappens) {
  constexpr std::uint64_t count = STSYNC_SEEDS_OF_SIMULATION / kParts;
  for (auto seed = GetParam() * count; seed < (GetParam() + 1) * count && !HasFailure(); ++seed) {
    const auto report = play(Scenario::of(seed));
    EXPECT_THAT(report.problems, IsEmpty()) << "scripts/simulate --seed " << seed;
  }
}
INSTANTIATE_TEST_SUITE_P(Part, Seeds, ::testing::Range<std::uint64_t>(0, Seeds::kParts));

TEST(Simulation, RunsOfSchedulesAreNeitherLeftOutNorDoubledWhateverHappens) {
  constexpr std::uint64_t kFirst = 100'000, kSeeds = STSYNC_SEEDS_OF_SIMULATION / 20;
  std::size_t runs = 0;
  for (auto seed = kFirst; seed < kFirst + kSeeds && !HasFailure(); ++seed) {
    auto scenario = Scenario::of(seed);
    scenario.schedules = true;
    const auto report = play(scenario);
    EXPECT_THAT(report.problems, IsEmpty()) << "scripts/simulate --schedules --seed " << seed;
    runs += report.runs;
  }
  EXPECT_GT(runs, 10 * kSeeds);
}

/// Mistakes that are found.
struct Planted : ::testing::Test {
  /// Whether one of the first `seeds` tells of it, in these words.
  static bool found(Bugs bugs, std::uint64_t seeds, const std::string& expected = "") {
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      auto s = Scenario::of(seed);
      s.kills = s.broker = true;
      s.static_ids = true;
      s.controls = false;
      s.workers = 3;
      s.length = std::chrono::minutes(6);  // some need a chain of accidents
      s.bugs = bugs;
      s.freezes = s.freezes || bugs.forget_lease;
      if (bugs.journal_to_stable) s.marking = std::chrono::seconds(5);  // until then what was committed is not stable
      const auto problems = play(s).problems;
      if (std::any_of(problems.begin(), problems.end(), [&](const auto& p) { return p.find(expected) != std::string::npos; }))
        return true;
    }
    return false;
  }
};

TEST_F(Planted, AnOffsetOutsideOfItsTransaction) { EXPECT_TRUE(found({.offset_outside = true}, 60)); }
TEST_F(Planted, A18_AJournalReadToItsStableEndBeforeThePredecessorIsFenced) { EXPECT_TRUE(found({.journal_to_stable = true}, 60)); }
TEST_F(Planted, A5_ACommitInDoubtThatIsDoneAgain) { EXPECT_TRUE(found({.repeat_in_doubt = true}, 60)); }
TEST_F(Planted, A6_ACommitThatIsBelievedAlthoughItWasSentTwice) { EXPECT_TRUE(found({.trust_late_commit = true}, 60)); }
TEST_F(Planted, A8_ACallWithoutALease) { EXPECT_TRUE(found({.forget_lease = true}, 60, " calls for tenant ")); }
TEST_F(Planted, A6_AnAbortThatIsBelievedAlthoughItWasSentTwice) { EXPECT_TRUE(found({.trust_late_abort = true}, 60)); }

}  // namespace
}  // namespace stsync::simulation
