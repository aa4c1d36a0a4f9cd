#pragma once
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <hiredis/hiredis.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace stsync::limits::test {

/// A Redis in a folder of its own, on a socket there. Ends with the test.
class RedisServer {
 public:
  explicit RedisServer(std::vector<std::string> options = {}) : options_(std::move(options)) {
    auto pattern = ::testing::TempDir() + "redis-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    start();
  }
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;
  ~RedisServer() {
    kill();
    std::filesystem::remove_all(folder_);
  }

  /// With nothing in it. Throws where there is no Redis to start: the test fails with that sentence.
  void start() {
    int out[2];
    if (::pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    std::vector<std::string> command{"redis-server", "--port", "0", "--unixsocket", socket(), "--save", "", "--dir", folder_};
    command.insert(command.end(), options_.begin(), options_.end());
    std::vector<char*> argv;
    for (auto& word : command) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::dup2(out[1], 1);
      ::dup2(out[1], 2);
      ::execvp(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(out[1]);
    wait_until_ready(out[0]);
  }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::close(log_);
    pid_ = 0;
  }
  void signal(int number) const {
    if (pid_ > 0) ::kill(pid_, number);
  }
  std::string socket() const { return folder_ + "/socket"; }
  std::string url() const { return "unix://" + socket(); }

  /// A command of the test's own; what it answers, as text where it can be.
  std::string ask(std::vector<std::string> command) const {
    auto* context = redisConnectUnix(socket().c_str());
    std::vector<const char*> words;
    for (const auto& word : command) words.push_back(word.c_str());
    auto* reply = static_cast<redisReply*>(redisCommandArgv(context, static_cast<int>(words.size()), words.data(), nullptr));
    std::string out;
    if (reply != nullptr)
      out = reply->type == REDIS_REPLY_INTEGER ? std::to_string(reply->integer) : std::string(reply->str ? reply->str : "");
    if (reply != nullptr && reply->type == REDIS_REPLY_ARRAY)
      for (std::size_t i = 0; i < reply->elements; ++i) out += std::string(i == 0 ? "" : " ") + reply->element[i]->str;
    if (reply != nullptr) freeReplyObject(reply);
    redisFree(context);
    return out;
  }

 private:
  void wait_until_ready(int log) {
    log_ = log;
    std::string text;
    std::array<char, 4096> buffer;
    while (text.find("ready to accept connections") == std::string::npos &&
           text.find("accepting connections") == std::string::npos) {
      const auto n = ::read(log_, buffer.data(), buffer.size());
      if (n > 0) {
        text.append(buffer.data(), static_cast<std::size_t>(n));
        continue;
      }
      int status = 0;
      ::waitpid(std::exchange(pid_, 0), &status, 0);
      ::close(log_);
      std::filesystem::remove_all(folder_);
      if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        throw std::runtime_error("redis-server is not installed: run scripts/setup --test");
      throw std::runtime_error("redis-server did not start: " + text);
    }
  }

  std::vector<std::string> options_;
  std::string folder_;
  pid_t pid_ = 0;
  int log_ = -1;
};

}  // namespace stsync::limits::test
