#include "stage/process.hpp"

#include <csignal>
#include <cstdlib>
#include <stdexcept>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace stsync::test {

using std::chrono::milliseconds;

Process::Process(std::vector<std::string> command, std::vector<std::string> environment) {
  int out[2];
  int err[2];
  if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(out[1], 1);
    ::dup2(err[1], 2);
    for (auto& e : environment) ::putenv(e.data());
    std::vector<char*> argv;
    for (auto& a : command) argv.push_back(a.data());
    argv.push_back(nullptr);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(out[1]);
  ::close(err[1]);
  pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  out_reader_ = std::thread([this, fd = out[0]] { read(fd, out_); });
  err_reader_ = std::thread([this, fd = err[0]] { read(fd, err_); });
}

Process::~Process() {
  if (!code_) {
    signal(SIGKILL);
    wait(std::chrono::seconds(10));
  }
  out_reader_.join();
  err_reader_.join();
  ::close(pidfd_);
}

void Process::read(int fd, std::string& into) {
  char buffer[4096];
  for (;;) {
    const auto n = ::read(fd, buffer, sizeof buffer);
    const std::lock_guard lock(mutex_);
    if (n > 0) into.append(buffer, static_cast<std::size_t>(n));
    if (n <= 0) --open_streams_;
    changed_.notify_all();
    if (n <= 0) break;
  }
  ::close(fd);
}

void Process::signal(int number) const { ::kill(pid_, number); }

std::optional<int> Process::wait(milliseconds timeout) {
  if (code_) return code_;
  pollfd p{pidfd_, POLLIN, 0};
  if (::poll(&p, 1, static_cast<int>(timeout.count())) != 1) return std::nullopt;
  int status = 0;
  ::waitpid(pid_, &status, 0);
  code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return code_;
}

bool Process::seen(const std::function<bool(const std::string&)>& wanted, std::size_t times) const {
  for (const auto* text : {&out_, &err_}) {
    std::size_t at = 0;
    for (auto end = text->find('\n'); end != std::string::npos; at = end + 1, end = text->find('\n', at))
      if (wanted(text->substr(at, end - at)) && --times == 0) return true;
  }
  return false;
}

bool Process::wait_for(const std::function<bool(const std::string&)>& wanted, milliseconds timeout, std::size_t times) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, timeout, [&] { return seen(wanted, times) || open_streams_ == 0; }) && seen(wanted, times);
}

bool Process::wait_for_text(const std::string& text, milliseconds timeout, std::size_t times) {
  return wait_for([&](const std::string& line) { return line.find(text) != std::string::npos; }, timeout, times);
}

std::string Process::out() const {
  const std::lock_guard lock(mutex_);
  return out_;
}
std::string Process::err() const {
  const std::lock_guard lock(mutex_);
  return err_;
}

Finished run(std::vector<std::string> command, milliseconds timeout) {
  Process p(std::move(command));
  const auto code = p.wait(timeout);
  if (!code) p.signal(SIGKILL);
  p.wait(std::chrono::seconds(5));
  // The pipes may close a moment after the process.
  p.wait_for([](const std::string&) { return false; }, std::chrono::seconds(5));
  return {code.value_or(-1), p.out(), p.err()};
}

}  // namespace stsync::test
