#include "telemetry/log.hpp"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "telemetry/log_line.hpp"

namespace stsync::telemetry {
namespace {

using Steady = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t kMostLines = 8192;
constexpr std::size_t kMostBytes = 8U << 20U;
constexpr std::size_t kMostEvents = 1000;  ///< of log_rarely
constexpr auto kLastWords = 2s;            ///< time to write what is left at shutdown

core::WallTime wall_now() { return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now()); }

Level level_of(std::string_view name) {
  if (name == "debug") return Level::debug;
  if (name == "warn") return Level::warn;
  return name == "error" ? Level::error : Level::info;
}

/// Writes to stderr from a thread of its own, so that a blocked pipe stops only the log.
class Writer {
 public:
  void start(LogFormat format, Level least) {
    stop();
    const std::lock_guard lock(mutex_);
    format_ = format;
    least_ = least;
    running_ = true;
    stopping_ = false;
    lines_.clear();  // what an earlier shutdown could not write any more
    bytes_ = 0;
    dropped_ = 0;
    thread_ = std::thread([this] { run(); });
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      if (!running_) return;
      running_ = false;
      stopping_ = true;
      give_up_at_ = Steady::now() + kLastWords;
    }
    wake_.notify_one();
    thread_.join();
  }

  void log(Level level, std::string_view event, std::string_view message, std::span<const Field> fields) {
    std::unique_lock lock(mutex_);
    if (!running_) {
      lock.unlock();
      if (level != Level::error) return;
      const auto line = format_line(LogFormat::text, wall_now(), level, event, message, fields);
      [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
      return;
    }
    if (level < least_) return;
    const auto format = format_;
    lock.unlock();
    auto line = format_line(format, wall_now(), level, event, message, fields);
    lock.lock();
    push(std::move(line));
    lock.unlock();
    wake_.notify_one();
  }

  std::uint64_t dropped() {
    const std::lock_guard lock(mutex_);
    return std::exchange(untold_, 0);
  }

  /// Whether an event may be logged now; `left_out`: how many were not since the last time.
  bool admit(std::string_view event, std::chrono::seconds every, std::uint64_t& left_out) {
    const std::lock_guard lock(mutex_);
    const auto now = Steady::now();
    auto at = rare_.find(event);
    if (at == rare_.end()) {
      if (rare_.size() >= kMostEvents) rare_.clear();
      at = rare_.emplace(std::string(event), Rare{now - every, 0}).first;
    }
    if (now - at->second.last < every) {
      ++at->second.left_out;
      return false;
    }
    left_out = std::exchange(at->second.left_out, 0);
    at->second.last = now;
    return true;
  }

 private:
  struct Rare {
    Steady::time_point last;
    std::uint64_t left_out = 0;
  };

  void push(std::string line) {
    bytes_ += line.size();
    lines_.push_back(std::move(line));
    while (lines_.size() > kMostLines || bytes_ > kMostBytes) {
      bytes_ -= lines_.front().size();
      lines_.pop_front();
      ++dropped_;
      ++untold_;
    }
  }

  void run() {
    pthread_setname_np(pthread_self(), "log");
    // A reader of stderr that went away must not end the program, and signals belong to the main thread.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !lines_.empty(); });
      if (lines_.empty()) return;
      auto line = std::move(lines_.front());
      lines_.pop_front();
      bytes_ -= line.size();
      if (const auto dropped = std::exchange(dropped_, 0); dropped > 0) {
        const Field count("dropped", dropped);
        line = format_line(format_, wall_now(), Level::warn, "log_dropped", "lines were dropped, stderr was blocked", {&count, 1}) +
               line;
      }
      lock.unlock();
      const bool written = write_all(line);
      lock.lock();
      if (!written) return;
    }
  }

  bool given_up() {
    const std::lock_guard lock(mutex_);
    return stopping_ && Steady::now() >= give_up_at_;
  }

  /// False: shutdown cannot wait any longer. Never blocks for long: a pipe that polls as writable takes PIPE_BUF bytes at once.
  bool write_all(std::string_view text) {
    while (!text.empty()) {
      pollfd stderr_fd{STDERR_FILENO, POLLOUT, 0};
      if (::poll(&stderr_fd, 1, 100) <= 0) {
        if (given_up()) return false;
        continue;
      }
      const auto n = ::write(STDERR_FILENO, text.data(), std::min<std::size_t>(text.size(), 4096));
      if (n > 0)
        text.remove_prefix(static_cast<std::size_t>(n));
      else if (errno != EINTR && errno != EAGAIN)
        return true;  // nobody reads: the line is lost, the next one may find a reader
      else if (given_up())
        return false;
    }
    return true;
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::string> lines_;
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;  ///< since the log said so
  std::uint64_t untold_ = 0;   ///< since somebody asked
  std::map<std::string, Rare, std::less<>> rare_;
  LogFormat format_ = LogFormat::text;
  Level least_ = Level::info;
  bool running_ = false, stopping_ = false;
  Steady::time_point give_up_at_;
  std::thread thread_;
};

/// Never destroyed: other threads may log while the program ends.
Writer& writer() {
  static auto* instance = new Writer;
  return *instance;
}

}  // namespace

void log_start(std::string_view format, std::string_view level) {
  const bool colour = ::isatty(STDERR_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  writer().start(format == "json" ? LogFormat::json : colour ? LogFormat::colour_text : LogFormat::text, level_of(level));
}

void log_shutdown() { writer().stop(); }

std::uint64_t log_lines_dropped() { return writer().dropped(); }

void log(Level level, std::string_view event, std::string_view message, std::initializer_list<Field> fields) {
  writer().log(level, event, message, {fields.begin(), fields.size()});
}

void log_rarely(Level level, std::string_view event, int seconds, std::string_view message, std::initializer_list<Field> fields) {
  std::uint64_t left_out = 0;
  if (!writer().admit(event, std::chrono::seconds(seconds), left_out)) return;
  std::vector<Field> all(fields);
  if (left_out > 0) all.emplace_back("left_out", left_out);
  writer().log(level, event, message, all);
}

}  // namespace stsync::telemetry
