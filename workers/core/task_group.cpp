#include "core/task_group.hpp"

#include <cstdio>
#include <exception>

#include <boost/asio/co_spawn.hpp>

#include "core/error.hpp"

namespace stsync::core {

TaskGroup::TaskGroup(asio::any_io_executor loop, Clock& clock) : loop_(std::move(loop)), idle_(clock.make_signal()) {}

TaskGroup::~TaskGroup() {
  for (const auto& [id, name] : names_) std::fprintf(stderr, "stsync: task still running: %s\n", name.c_str());
  check(names_.empty(), "a task outlives its group");
}

void TaskGroup::spawn(std::string name, asio::awaitable<void> task) {
  const auto id = next_++;
  names_.emplace(id, std::move(name));
  asio::co_spawn(loop_, std::move(task), [this, id](const std::exception_ptr& error) {
    if (error) {
      try {
        std::rethrow_exception(error);
      } catch (const std::exception& e) {
        std::fprintf(stderr, "stsync: task %s threw: %s\n", names_[id].c_str(), e.what());
      }
      check(false, "an exception left a task");
    }
    names_.erase(id);
    if (names_.empty()) idle_->notify();
  });
}

asio::awaitable<void> TaskGroup::join() {
  while (!names_.empty()) co_await idle_->wait();
}

std::vector<std::string> TaskGroup::running() const {
  std::vector<std::string> out;
  for (const auto& [id, name] : names_) out.push_back(name);
  return out;
}

}  // namespace stsync::core
