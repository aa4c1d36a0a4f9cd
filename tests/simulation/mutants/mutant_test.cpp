// A worker that makes a mistake: one of the first seeds tells of it.
#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "simulation/scenario.hpp"

namespace stsync::simulation {
namespace {

TEST(Mutant, IsFound) {
  constexpr std::uint64_t kSeeds = 60;
  const std::string expected = STSYNC_EXPECTED;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    auto s = Scenario::of(seed);
    s.tenants = 4;
    s.broker = s.little_memory = true;
    s.schedules = STSYNC_SCHEDULES;
    const auto problems = play(s).problems;
    if (std::any_of(problems.begin(), problems.end(), [&](const auto& p) { return p.find(expected) != std::string::npos; })) return;
  }
  FAIL() << "none of " << kSeeds << " seeds tells of '" << expected << "'";
}

}  // namespace
}  // namespace stsync::simulation
