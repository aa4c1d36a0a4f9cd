// The whole worker in virtual time. A seed that fails is played again by scripts/simulate --seed N.
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

}  // namespace
}  // namespace stsync::simulation
