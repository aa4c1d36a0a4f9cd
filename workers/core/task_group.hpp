#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "core/clock.hpp"

namespace stsync::core {

/// Coroutines that end before their owner does: spawn them here, then join(). A coroutine must not outlive the group; the
/// destructor stops the program if one does. An exception that leaves a task is a bug and stops the program. Loop thread only.
class TaskGroup {
 public:
  TaskGroup(asio::any_io_executor loop, Clock& clock);
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup();

  void spawn(std::string name, asio::awaitable<void> task);
  /// Ends when no task is left. One waiter at a time.
  asio::awaitable<void> join();
  std::size_t size() const noexcept { return names_.size(); }
  /// Names of the tasks still running, for the log of a shutdown that takes too long.
  std::vector<std::string> running() const;

 private:
  asio::any_io_executor loop_;
  std::unique_ptr<Signal> idle_;
  std::map<std::uint64_t, std::string> names_;
  std::uint64_t next_ = 0;
};

}  // namespace stsync::core
