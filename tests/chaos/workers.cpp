#include "workers.hpp"

#include <csignal>
#include <sstream>
#include <stdexcept>

#include <fmt/format.h>

namespace stsync::chaos {
namespace {

using namespace std::chrono_literals;

constexpr int kFenced = 69;
constexpr auto kEndsWithin = 60s;

}  // namespace

Workers::Workers(const test::Stage& stage, std::size_t count) : stage_(stage), running_(count) {
  for (std::size_t i = 0; i < count; ++i) start(i);
  for (auto& worker : running_)
    if (!stage.wait_ready(*worker, 1)) throw std::runtime_error("a worker does not start: " + worker->err());
}

void Workers::start(std::size_t which) { running_[which] = stage_.start_worker({}, false); }

void Workers::look_at(const test::Process& ended) {
  logs_ += "--- a worker\n" + ended.err();
  std::istringstream lines(ended.err());
  for (std::string line; std::getline(lines, line);)
    if (line.find("stsync: bug") != std::string::npos || line.find("Sanitizer") != std::string::npos) complaints_.push_back(line);
}

void Workers::kill(std::size_t which) {
  running_[which]->signal(SIGKILL);
  running_[which]->wait(kEndsWithin);
  look_at(*running_[which]);
  start(which);
}

void Workers::replace(std::size_t which) {
  running_[which]->signal(SIGTERM);
  const auto code = running_[which]->wait(kEndsWithin);
  look_at(*running_[which]);
  if (!code) complaints_.push_back(fmt::format("a worker did not end within a minute of SIGTERM"));
  if (code && *code != 0 && *code != kFenced) complaints_.push_back(fmt::format("a worker ended with {} after SIGTERM", *code));
  start(which);
}

void Workers::freeze(std::size_t which) { running_[which]->signal(SIGSTOP); }
void Workers::thaw(std::size_t which) { running_[which]->signal(SIGCONT); }

std::size_t Workers::revive() {
  std::size_t count = 0;
  for (std::size_t i = 0; i < running_.size(); ++i) {
    const auto code = running_[i]->wait(0ms);
    if (!code) continue;
    look_at(*running_[i]);
    if (*code != kFenced) complaints_.push_back(fmt::format("a worker ended by itself with {}: {}", *code, running_[i]->err()));
    start(i);
    ++count;
  }
  return count;
}

void Workers::stop() {
  for (auto& worker : running_) worker->signal(SIGTERM);
  for (auto& worker : running_) {
    if (const auto code = worker->wait(kEndsWithin); code != 0) complaints_.push_back("a worker did not end well");
    look_at(*worker);
  }
}

}  // namespace stsync::chaos
