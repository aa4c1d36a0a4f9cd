// The whole worker in virtual time. A seed that fails is played again by scripts/simulate --seed N.
#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "simulation/scenario.hpp"
#include "support/seeds.hpp"

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

TEST(Simulation, NothingIsLostDoubledTornOrStuckWhateverHappens) {
  std::size_t kills = 0;
  std::size_t doubts = 0;
  for (std::uint64_t seed = 0; seed < test::seeds(100) && !HasFailure(); ++seed) {
    const auto report = play(Scenario::of(seed));
    EXPECT_THAT(report.problems, IsEmpty()) << "scripts/simulate --seed " << seed;
    kills += report.kills;
    doubts += report.doubts;
  }
  EXPECT_GT(kills, 0u);
  EXPECT_GT(doubts, 0u);
}

/// Mistakes that are found: how many of the seeds tell of them.
struct Planted : ::testing::Test {
  static int found(Bugs bugs, std::uint64_t seeds) {
    int out = 0;
    for (std::uint64_t seed = 0; seed < seeds && out == 0; ++seed) {
      auto s = Scenario::of(seed);
      s.kills = s.broker = true;
      s.static_ids = true;
      s.workers = 3;
      s.bugs = bugs;
      out += play(s).problems.empty() ? 0 : 1;
    }
    return out;
  }
};

TEST_F(Planted, AnOffsetOutsideOfItsTransaction) { EXPECT_GT(found({.offset_outside = true}, 60), 0); }
TEST_F(Planted, AJournalReadToItsStableEndBeforeThePredecessorIsFenced) { EXPECT_GT(found({.journal_to_stable = true}, 60), 0); }
TEST_F(Planted, ACommitInDoubtThatIsDoneAgain) { EXPECT_GT(found({.repeat_in_doubt = true}, 60), 0); }
TEST_F(Planted, ACommitThatIsBelievedAlthoughItWasSentTwice) { EXPECT_GT(found({.trust_late_commit = true}, 60), 0); }
TEST_F(Planted, AnAbortThatIsBelievedAlthoughItWasSentTwice) { EXPECT_GT(found({.trust_late_abort = true}, 60), 0); }

}  // namespace
}  // namespace stsync::simulation
