#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "app/commands.hpp"
#include "config/config.hpp"
#include "kafka/reader.hpp"
#include "stsync/v1/command.pb.h"
#include "stsync/v1/status.pb.h"

namespace stsync::app {

struct CommandMessage {
  v1::Command command;
  std::vector<std::pair<std::string, std::string>> headers{};
};

/// Sends commands and, with `wait`, follows the jobs to their end: a bar on a terminal, a line an event elsewhere (stderr), the
/// last event of each job on stdout as JSON. Returns the exit code.
int send_commands(const config::Config& config, const std::vector<CommandMessage>& commands, bool wait);

/// What the events seen so far say of a set of jobs. Pure.
class Progress {
 public:
  explicit Progress(const std::vector<std::string>& jobs) : open_(jobs.begin(), jobs.end()) {}
  /// Whether the event was about one of the jobs.
  bool see(const v1::StatusEvent& event);
  bool done() const noexcept { return open_.empty(); }
  std::size_t open() const noexcept { return open_.size(); }
  std::int64_t records() const noexcept;
  std::int64_t pages() const noexcept;
  Exit outcome() const noexcept;
  const std::map<std::string, v1::StatusEvent>& last() const noexcept { return last_; }

 private:
  std::set<std::string> open_;
  std::map<std::string, std::set<std::string>> followers_;  ///< target -> commands that end with it
  std::set<std::string> replaced_;                          ///< failed, and began anew as another job
  std::map<std::string, v1::StatusEvent> last_;
};

/// "12:03:04 jpm.jobs progress 1,500 records"
std::string event_line(const v1::StatusEvent& event);

}  // namespace stsync::app
