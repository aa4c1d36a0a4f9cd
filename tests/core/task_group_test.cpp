#include "core/task_group.hpp"

#include <gtest/gtest.h>

#include "core/stop.hpp"
#include "support/virtual_clock.hpp"

namespace stsync::core {
namespace {

using namespace std::chrono_literals;

asio::awaitable<void> sleep_then_set(Clock& clock, Duration d, bool& flag) {
  co_await clock.sleep_for(d);
  flag = true;
}

asio::awaitable<void> join_then_set(TaskGroup& group, bool& flag) {
  co_await group.join();
  flag = true;
}

TEST(TaskGroup, JoinEndsWithTheLastTask) {
  asio::io_context loop;
  test::VirtualClock clock(loop);
  TaskGroup tasks(loop.get_executor(), clock);
  TaskGroup watchers(loop.get_executor(), clock);
  bool a = false;
  bool b = false;
  bool joined = false;
  tasks.spawn("a", sleep_then_set(clock, 1h, a));
  tasks.spawn("b", sleep_then_set(clock, 2h, b));
  watchers.spawn("join", join_then_set(tasks, joined));
  clock.run_for(90min);
  EXPECT_TRUE(a);
  EXPECT_FALSE(joined);
  EXPECT_EQ(tasks.running(), std::vector<std::string>{"b"});
  clock.run_for(31min);
  EXPECT_TRUE(b);
  EXPECT_TRUE(joined);
}

asio::awaitable<void> wait_on(Signal& signal, TimePoint when, Wake& out) { out = co_await signal.wait_until(when); }

TEST(Signal, SaysWhetherItWasNotifiedOrExpired) {
  asio::io_context loop;
  test::VirtualClock clock(loop);
  TaskGroup tasks(loop.get_executor(), clock);
  const auto signal = clock.make_signal();
  Wake wake = Wake::expired;
  tasks.spawn("w", wait_on(*signal, clock.now() + 1h, wake));
  clock.run_for(1min);
  signal->notify();
  clock.run_for(0s);
  EXPECT_EQ(wake, Wake::notified);
  tasks.spawn("w", wait_on(*signal, clock.now() + 1h, wake));
  clock.run_for(1h);
  EXPECT_EQ(wake, Wake::expired);
}

TEST(StopToken, CallsBackOnceAndForgetsThoseThatLeft) {
  StopSource source;
  int kept = 0;
  int left = 0;
  auto a = source.token().on_stop([&] { ++kept; });
  {
    auto b = source.token().on_stop([&] { ++left; });
  }
  source.request_stop();
  source.request_stop();
  EXPECT_EQ(kept, 1);
  EXPECT_EQ(left, 0);
  int late = 0;
  auto c = source.token().on_stop([&] { ++late; });
  EXPECT_EQ(late, 1);
}

}  // namespace
}  // namespace stsync::core
