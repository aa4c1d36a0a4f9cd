// Several workers share one limit, in virtual time; the vendor counts what arrives.
#include "limits/shared_pace.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shared_play.hpp"
#include "support/seeds.hpp"

namespace stsync::limits {
namespace {

using namespace std::chrono_literals;
using test::Play;

constexpr core::TimePoint kStart{1h};

TEST(SharedPace, ThreeWorkersUseNearlyAllOfTheLimitAndNeverMore) {
  std::size_t least = 1'000'000, most = 0;
  for (std::uint64_t seed = 0; seed < ::stsync::test::seeds(200); ++seed) {
    SCOPED_TRACE(seed);
    Play play(seed);
    for (int i = 0; i < 3; ++i) play.add(3);
    play.run_until(kStart + 25s);
    const auto all = play.most_in_a_second();
    ASSERT_LE(all, 60u);
    most = std::max(most, all);
    const auto used = play.count(kStart + 5s, kStart + 25s);
    least = std::min(least, used);
    ASSERT_GE(used, static_cast<std::size_t>(0.98 * 60 * 20));
    for (const auto& w : play.workers) ASSERT_GE(w->calls.size(), 300u) << w->name << " gets its part";
  }
  RecordProperty("least_use_percent", static_cast<int>(least * 100 / 1200));
  printf("least use %.2f %%, most in a second %zu\n", static_cast<double>(least) / 12, most);
}

}  // namespace
}  // namespace stsync::limits
