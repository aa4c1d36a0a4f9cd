#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <sys/types.h>

namespace stsync::test {

/// A program under test. What it writes is read as it comes, so a test can wait for a line instead of for a time. Killed at the
/// latest by the destructor.
class Process {
 public:
  Process(std::vector<std::string> command, std::vector<std::string> environment = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void signal(int number) const;
  /// The exit code (128 + signal when killed); nothing when it still runs after `timeout`.
  std::optional<int> wait(std::chrono::milliseconds timeout);
  /// Whether a line for which `wanted` holds was written to stdout or stderr, from the `from`-th line on, within `timeout`.
  bool wait_for(const std::function<bool(const std::string&)>& wanted, std::chrono::milliseconds timeout, std::size_t times = 1);
  bool wait_for_text(const std::string& text, std::chrono::milliseconds timeout, std::size_t times = 1);
  std::string out() const;
  std::string err() const;
  pid_t pid() const noexcept { return pid_; }

 private:
  void read(int fd, std::string& into);
  bool seen(const std::function<bool(const std::string&)>& wanted, std::size_t times) const;

  pid_t pid_ = -1;
  int pidfd_ = -1;
  std::optional<int> code_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::string out_, err_;
  int open_streams_ = 2;
  std::thread out_reader_, err_reader_;
};

struct Finished {
  int code = -1;
  std::string out, err;
};
/// Runs a command to its end.
Finished run(std::vector<std::string> command, std::chrono::milliseconds timeout = std::chrono::seconds(60));

}  // namespace stsync::test
