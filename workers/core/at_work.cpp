#include "core/at_work.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <climits>
#include <csignal>
#include <cstring>
#include <ctime>
#include <exception>
#include <memory>

#include <fcntl.h>
#include <unistd.h>

namespace stsync::core {
namespace {

constexpr std::size_t kWord = 256;
constexpr std::size_t kStack = 64u << 10;
constexpr std::array kCrashes{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

/// Plain memory: the handler of a signal reads it.
struct Label {
  std::array<char, 2 * kWord + 1> text;
  std::size_t size;
  int depth;
};
constinit thread_local Label label{};

struct Handling {
  std::atomic<bool> installed{false};
  std::array<char, PATH_MAX> path{};
  std::array<struct sigaction, kCrashes.size()> before{};
};
Handling handling;

void append(std::string_view word) noexcept {
  for (const char c : word.substr(0, kWord)) label.text[label.size++] = c > ' ' && c < 0x7f ? c : '?';
}

/// A thread that has used up its stack has none for the handler.
class SpareStack {
 public:
  SpareStack() {
    stack_t now{};
    if (::sigaltstack(nullptr, &now) != 0 || (now.ss_flags & SS_DISABLE) == 0) return;  // a sanitizer brought one
    memory_ = std::make_unique<char[]>(kStack);
    stack_t mine{};
    mine.ss_sp = memory_.get();
    mine.ss_size = kStack;
    ::sigaltstack(&mine, nullptr);
  }
  SpareStack(const SpareStack&) = delete;
  SpareStack& operator=(const SpareStack&) = delete;
  ~SpareStack() {
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    if (memory_) ::sigaltstack(&none, nullptr);
  }

 private:
  std::unique_ptr<char[]> memory_;
};

/// Calls nothing but what a handler of signals may.
void write_note(int signal) noexcept {
  std::array<char, 64 + sizeof(Label::text)> line{};
  auto* at = line.data();
  auto* const end = line.data() + line.size();
  at = std::to_chars(at, end, static_cast<long long>(::time(nullptr))).ptr;
  *at++ = ' ';
  at = std::to_chars(at, end, signal).ptr;
  *at++ = ' ';
  std::memcpy(at, label.text.data(), label.size);
  at += label.size;
  *at++ = '\n';
  const int fd = ::open(handling.path.data(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;
  [[maybe_unused]] const auto written = ::write(fd, line.data(), static_cast<std::size_t>(at - line.data()));
  ::close(fd);
}

void on_crash(int signal, siginfo_t* info, void* /*context*/) {
  if (label.size > 0 && info->si_code != SI_USER) write_note(signal);
  for (std::size_t i = 0; i < kCrashes.size(); ++i)
    if (kCrashes[i] == signal) ::sigaction(signal, &handling.before[i], nullptr);
  ::raise(signal);  // delivered when this returns
}

}  // namespace

AtWork::AtWork(std::string_view what) noexcept : exceptions_(std::uncaught_exceptions()) {
  if (label.depth++ > 0) return;
  if (handling.installed.load(std::memory_order_relaxed)) {
    thread_local const SpareStack stack;
  }
  label.size = 0;
  append(what);
}

AtWork::~AtWork() {
  // An exception is a bug, and ends the process where it is caught: the label stays until then, or until the next one.
  if (--label.depth == 0 && std::uncaught_exceptions() <= exceptions_) label.size = 0;
}

void AtWork::add(std::string_view detail) noexcept {
  const std::string_view so_far(label.text.data(), label.size);
  if (label.depth != 1 || so_far.empty() || so_far.find(' ') != so_far.npos) return;
  label.text[label.size++] = ' ';
  append(detail);
}

bool note_crashes(const std::string& path) noexcept {
  if (path.size() >= handling.path.size()) return false;
  std::copy(path.begin(), path.end(), handling.path.begin());
  struct sigaction action{};
  action.sa_sigaction = on_crash;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  for (std::size_t i = 0; i < kCrashes.size(); ++i) ::sigaction(kCrashes[i], &action, &handling.before[i]);
  handling.installed = true;
  return true;
}

}  // namespace stsync::core
