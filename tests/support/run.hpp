#pragma once
#include <gtest/gtest.h>

#include <chrono>
#include <exception>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

namespace stsync::test {

/// `done`, once the task has ended with everything that still ran on it.
inline boost::asio::awaitable<void> mark(boost::asio::awaitable<void> task, bool& done) {
  co_await std::move(task);
  done = true;
}

/// Runs a coroutine on the loop to its end; what else is on the same loop goes on living.
inline void run(boost::asio::io_context& loop, boost::asio::awaitable<void> task) {
  bool done = false;
  boost::asio::co_spawn(loop, mark(std::move(task), done), [](const std::exception_ptr& e) {
    if (e) std::rethrow_exception(e);
  });
  loop.restart();
  while (!done && loop.run_one_for(std::chrono::seconds(20)) > 0) {
  }
  ASSERT_TRUE(done) << "the test's coroutine does not end";
}

}  // namespace stsync::test
