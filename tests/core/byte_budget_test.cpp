#include "core/byte_budget.hpp"

#include <gtest/gtest.h>

#include "core/task_group.hpp"
#include "support/virtual_clock.hpp"

namespace stsync::core {
namespace {

using namespace std::chrono_literals;
using Need = ByteBudget::Need;

class ByteBudgetTest : public ::testing::Test {
 public:
  /// Takes `bytes`, notes its name, holds them for `hold`.
  asio::awaitable<void> user(char name, std::size_t bytes, Need need, Duration hold, StopToken stop = {}, std::string owner = {}) {
    auto taken = co_await budget.take(owner.empty() ? std::string(1, name) : owner, bytes, need, stop);
    order += taken ? name : '!';
    most = std::max(most, budget.used());
    if (taken) co_await clock.sleep_for(hold);
  }

  asio::io_context loop;
  test::VirtualClock clock{loop};
  ByteBudget budget{clock, 100};
  TaskGroup tasks{loop.get_executor(), clock};
  std::string order;
  std::size_t most = 0;
};

TEST_F(ByteBudgetTest, NeverMoreThanItHolds) {
  for (char name = 'a'; name < 'k'; ++name) tasks.spawn("user", user(name, 30, Need::first, 1s));
  clock.run_for(1min);
  EXPECT_EQ(order, "abcdefghij");
  EXPECT_EQ(most, 90u);
  EXPECT_EQ(budget.used(), 0u);
}

TEST_F(ByteBudgetTest, FirstPagesComeBeforeFetchingAhead) {
  tasks.spawn("user", user('x', 100, Need::first, 1s));
  tasks.spawn("user", user('a', 60, Need::ahead, 1s));
  tasks.spawn("user", user('b', 60, Need::first, 1s));
  clock.run_for(1min);
  EXPECT_EQ(order, "xba");
}

TEST_F(ByteBudgetTest, NobodySmallOvertakesSomebodyLarge) {
  tasks.spawn("user", user('x', 60, Need::first, 10s));
  tasks.spawn("user", user('L', 90, Need::first, 1s));
  tasks.spawn("user", user('s', 10, Need::first, 1s));
  clock.run_for(1min);
  EXPECT_EQ(order, "xLs");
}

TEST_F(ByteBudgetTest, AnOwnerGetsNoMoreThanItLeavesAndStandsInNobodysWay) {
  for (char name = 'a'; name < 'f'; ++name) tasks.spawn("user", user(name, 20, Need::first, 10s, {}, "slow"));
  tasks.spawn("user", user('x', 20, Need::first, 1s, {}, "fast"));
  tasks.spawn("user", user('y', 20, Need::ahead, 1s, {}, "other"));
  clock.run_for(0s);
  EXPECT_EQ(order, "abxy");
  clock.run_for(9s);
  EXPECT_EQ(order, "abxy") << "what it holds is half of it, however little the others need";
  clock.run_for(1min);
  EXPECT_EQ(order, "abxycde");
  EXPECT_EQ(budget.used(), 0u);
}

TEST_F(ByteBudgetTest, AnOwnerWithoutAnythingIsNeverTooMany) {
  tasks.spawn("user", user('a', 70, Need::first, 10s, {}, "slow"));
  tasks.spawn("user", user('b', 30, Need::first, 1s, {}, "fast"));
  clock.run_for(0s);
  EXPECT_EQ(order, "ab");
  clock.run_for(1min);
}

TEST_F(ByteBudgetTest, MoreThanEverythingIsGrantedAlone) {
  tasks.spawn("user", user('x', 10, Need::first, 1s));
  tasks.spawn("user", user('L', 500, Need::first, 1s));
  clock.run_for(1min);
  EXPECT_EQ(order, "xL");
}

TEST_F(ByteBudgetTest, ALowerLimitWaitsForWhatIsOutAndStillGrantsOne) {
  tasks.spawn("user", user('x', 50, Need::first, 10s));
  tasks.spawn("user", user('y', 40, Need::first, 20s));
  clock.run_for(1s);
  budget.limit(60);
  tasks.spawn("user", user('a', 20, Need::first, 10s));
  clock.run_for(1s);
  EXPECT_EQ(order, "xy") << "there is more out than it holds now";
  clock.run_for(10s);
  EXPECT_EQ(order, "xya");
  budget.limit(0);
  tasks.spawn("user", user('L', 20, Need::first, 1s));
  tasks.spawn("user", user('M', 20, Need::first, 10s));
  clock.run_for(7s);
  EXPECT_EQ(order, "xya");
  clock.run_for(1min);
  EXPECT_EQ(order, "xyaLM") << "one at a time";
  tasks.spawn("user", user('b', 50, Need::first, 10s));
  tasks.spawn("user", user('c', 50, Need::first, 10s));
  clock.run_for(1s);
  EXPECT_EQ(order, "xyaLMb");
  budget.limit(100);
  clock.run_for(1s);
  EXPECT_EQ(order, "xyaLMbc") << "a higher one is there at once";
  clock.run_for(1min);
}

TEST_F(ByteBudgetTest, StopLeavesTheLineToOthers) {
  StopSource stop;
  tasks.spawn("user", user('x', 60, Need::first, 10s));
  tasks.spawn("user", user('L', 90, Need::first, 1s, stop.token()));
  tasks.spawn("user", user('s', 10, Need::first, 1s));
  clock.run_for(1s);
  stop.request_stop();
  clock.run_for(1s);
  EXPECT_EQ(order, "x!s");
  clock.run_for(1min);
}

TEST_F(ByteBudgetTest, AGrownReservationIsMadeUpFor) {
  auto hold = [](ByteBudgetTest& t) -> asio::awaitable<void> {
    auto taken = co_await t.budget.take("hold", 10, Need::first, {});
    taken->resize(150);
    co_await t.clock.sleep_for(5s);
    taken->resize(95);
    co_await t.clock.sleep_for(5s);
  };
  tasks.spawn("hold", hold(*this));
  tasks.spawn("user", user('s', 10, Need::first, 1s));
  clock.run_for(6s);
  EXPECT_EQ(order, "");
  clock.run_for(6s);
  EXPECT_EQ(order, "s");
}

}  // namespace
}  // namespace stsync::core
