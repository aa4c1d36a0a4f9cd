// One fault of Kafka at a time, at its full length, over several seeds; docs/reliability.md lists them.
#include <chrono>
#include <cstdint>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "simulation/scenario.hpp"

namespace stsync::simulation {
namespace {

using ::testing::IsEmpty;
using namespace std::chrono_literals;
using What = Happening::What;

/// Every `period` from `first` on.
std::vector<Happening> repeat(What what, int times, core::Duration first, core::Duration period, core::Duration lasts) {
  std::vector<Happening> out;
  for (int i = 0; i < times; ++i) out.push_back({first + i * period, what, lasts});
  return out;
}

struct KafkaCases : ::testing::Test {
  static constexpr std::uint64_t kSeeds = 10;

  KafkaCases() {
    scenario.workers = 2;
    scenario.tenants = 4;
    scenario.trouble.slowest = 500ms;  // so that there is always something under way
  }
  /// Nothing is lost, doubled, torn, stuck, or fetched more often than it may be; everything together.
  Report play_all() {
    Report sum;
    for (scenario.seed = 0; scenario.seed < kSeeds; ++scenario.seed) {
      const auto report = play(scenario);
      EXPECT_THAT(report.problems, IsEmpty()) << "seed " << scenario.seed;
      EXPECT_GT(report.records, 0u);
      sum.kills += report.kills;
      sum.freezes += report.freezes;
      sum.doubts += report.doubts;
      sum.aborts += report.aborts;
      sum.unreachable += report.unreachable;
    }
    return sum;
  }
  Scenario scenario;
};

TEST_F(KafkaCases, A1_BrokersAwayForAMinuteAreWaitedFor) {
  scenario.script = {{30s, What::broker_away, 60s}};
  EXPECT_GT(play_all().unreachable, kSeeds * 500);
}

TEST_F(KafkaCases, A2_FiveCrashesOfTheBrokerEveryFifteenSeconds) {
  scenario.script = repeat(What::broker_away, 5, 20s, 15s, 4s);
  EXPECT_GT(play_all().unreachable, kSeeds * 30);
}

TEST_F(KafkaCases, A3_AMovingCoordinatorOfTransactionsIsAskedAgainWithoutAStormOfAborts) {
  constexpr int kMoves = 50;
  scenario.script = repeat(What::coordinator_moves, kMoves, 10s, 3s, 500ms);
  const auto sum = play_all();
  EXPECT_GT(sum.doubts, 0u) << "of a commit that had to be sent twice";
  EXPECT_LE(sum.aborts + sum.doubts, kSeeds * kMoves) << "no storm";
}

TEST_F(KafkaCases, A4_AGroupCoordinatorThatIsAwayHoldsUpNothingForEver) {
  scenario.script = {{20s, What::group_moves, 10s}, {60s, What::group_moves, 100s}};
  play_all();
}

TEST_F(KafkaCases, A5_AnAnswerToACommitThatIsLostIsLearnedFromTheJournal) {
  scenario.trouble.answer_lost = 0.1;
  EXPECT_GT(play_all().doubts, 0u);
}

TEST_F(KafkaCases, A6_AnEndOfATransactionThatComesAMinuteLateTearsNothing) {
  scenario.trouble.lost = 0.05;
  scenario.trouble.late = 1;
  EXPECT_GT(play_all().doubts, 0u);
}

TEST_F(KafkaCases, A8_AWorkerThatWakesUpAfterItsSessionDoesNothingMore) {
  scenario.script = repeat(What::worker_frozen, 2, 20s, 80s, 70s);
  EXPECT_GT(play_all().freezes, 0u);
}

TEST_F(KafkaCases, A9_InAStormOfRebalancesTheWorkGoesOn) {
  scenario.workers = 6;
  scenario.script = repeat(What::worker_stopped, 20, 20s, 3s, 0s);
  play_all();
}

TEST_F(KafkaCases, A11_AProducerThatTheBrokerDoesNotKnowIsMadeAnew) {
  scenario.trouble.out_of_order = 0.02;
  EXPECT_GT(play_all().doubts, 0u);
}

TEST_F(KafkaCases, A12_ASlowBrokerSlowsAndFailsNothing) {
  scenario.trouble.slowest = 2500ms;  // one way
  const auto sum = play_all();
  EXPECT_EQ(sum.doubts, 0u);
  EXPECT_EQ(sum.aborts, 0u);
}

TEST_F(KafkaCases, A18_AJournalIsReadBehindTheTransactionThatItsPredecessorLeftOpen) {
  scenario.marking = 20s;
  scenario.script = repeat(What::worker_killed, 5, 20s, 30s, 5s);
  EXPECT_GT(play_all().kills, 0u);
}

TEST_F(KafkaCases, A22_EveryTenthTransactionIsAborted) {
  scenario.trouble.aborted = 0.1;
  EXPECT_GT(play_all().aborts, 100u);
}

}  // namespace
}  // namespace stsync::simulation
