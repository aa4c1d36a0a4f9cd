#include "limits/fair_gate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "core/task_group.hpp"
#include "support/virtual_clock.hpp"

namespace stsync::limits {
namespace {

using boost::asio::awaitable;
using namespace std::chrono_literals;

struct FairGateTest : ::testing::Test {
  awaitable<void> work(Sharer who, int times, core::Duration takes, double cost) {
    for (int i = 0; i < times; ++i) {
      const auto turn = co_await gate.enter(who, 1, cost, stop.token());
      if (!turn) co_return;
      most = std::max(most, ++inside);
      co_await clock.sleep_for(takes);
      --inside;
      ++done[who.tenant];
    }
  }
  void start(Sharer who, int callers, int times, core::Duration takes = 1ms, double cost = 1) {
    for (int i = 0; i < callers; ++i) tasks.spawn("work", work(who, times, takes, cost));
  }

  boost::asio::io_context loop;
  test::VirtualClock clock{loop};
  FairGate gate{clock, 2};
  core::TaskGroup tasks{loop.get_executor(), clock};
  core::StopSource stop;
  std::map<std::int64_t, int> done;
  int inside = 0, most = 0;
};

TEST_F(FairGateTest, NeverHoldsMoreThanItsPlacesAndForgetsNobody) {
  for (int t = 1; t <= 5; ++t) start({"a", t}, 10, 10);
  clock.run_for(1s);
  EXPECT_TRUE(tasks.running().empty());
  EXPECT_EQ(most, 2);
  EXPECT_EQ(gate.waiting(), 0u);
  for (int t = 1; t <= 5; ++t) EXPECT_EQ(done[t], 100);
}

TEST_F(FairGateTest, OneThatFloodsItWaitsForItself) {
  start({"a", 1}, 1000, 10);
  start({"a", 2}, 2, 1000);
  clock.run_for(100ms);
  EXPECT_GE(done[2], 95) << "half of it";
  EXPECT_GE(done[1], 70);
  clock.run_for(10s);
  EXPECT_TRUE(tasks.running().empty());
}

TEST_F(FairGateTest, WhatCostsMoreComesLessOften) {
  start({"a", 1}, 20, 1000, 4ms, 4);
  start({"a", 2}, 20, 1000, 1ms, 1);
  clock.run_for(1s);
  EXPECT_NEAR(done[2] / static_cast<double>(done[1]), 4, 0.5) << "the same time for both";
  clock.run_for(1h);
}

TEST_F(FairGateTest, WhoStopsLeavesAndHoldsNobodyUp) {
  start({"a", 1}, 5, 1, 1s);
  clock.run_for(0s);
  stop.request_stop();
  clock.run_for(10s);
  EXPECT_TRUE(tasks.running().empty());
  EXPECT_EQ(done[1], 2) << "those that were inside";
  EXPECT_EQ(gate.waiting(), 0u);
  stop = core::StopSource();
  start({"a", 1}, 5, 1);
  clock.run_for(1s);
  EXPECT_EQ(done[1], 7);
}

TEST_F(FairGateTest, SomethingLargerThanTheRoomHasItsTurnAlone) {
  std::vector<int> order;
  const auto enter = [&](int name, std::size_t size) -> awaitable<void> {
    const auto turn = co_await gate.enter({"a", name}, size, 1, {});
    order.push_back(name);
    co_await clock.sleep_for(1s);
    order.push_back(-name);
  };
  tasks.spawn("small", enter(1, 1));
  tasks.spawn("large", enter(2, 100));
  tasks.spawn("small", enter(3, 2));
  clock.run_for(10s);
  EXPECT_THAT(order, ::testing::ElementsAre(1, -1, 2, -2, 3, -3));
}

TEST_F(FairGateTest, AClassThatIsWaitedForHasItsShare) {
  start({"a", 1, WorkClass::backfill}, 1000, 10);
  start({"a", 2, WorkClass::interactive}, 20, 1000);
  clock.run_for(100ms);
  EXPECT_NEAR(done[2], 200 * 5 / 7, 10);
  clock.run_for(1h);
}

}  // namespace
}  // namespace stsync::limits
