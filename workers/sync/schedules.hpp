#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "servicetitan/catalogue.hpp"
#include "stsync/v1/command.pb.h"
#include "sync/committer.hpp"
#include "sync/schedule_times.hpp"

namespace stsync::sync {

/// A run that is due.
struct ScheduledRun {
  std::string key;        ///< of the stream's schedule in the journal
  v1::Command command;    ///< its id follows from app, tenant, resource and `due`
  core::WallTime due;     ///< of the newest run that was due
  std::int64_t missed{};  ///< runs before that one which it stands for
};

/// The syncs of a lane's tenants that start by themselves. A stream's schedules make one sequence of runs: what became due while
/// none could begin (nobody owned the lane, the tenant is paused, the run before is not done) is one run, a full if any of them was
/// one. Pure but for what it remembers of the journal.
class Schedules {
 public:
  /// Of the tenants of one partition.
  Schedules(const config::Config& config, const servicetitan::Catalogue& catalogue, std::int32_t partition);

  /// Takes up where the journal stands. Streams that have no entry yet count from now on, and that is what the entries say which it
  /// returns.
  std::vector<JournalEntry> start(const Memory& memory, core::WallTime now);

  /// A run that is due and may begin; nothing: there is none now. Those that may not are held until look_again(). What a run
  /// changes of the journal is to be applied to the memory before the next call.
  std::optional<ScheduledRun> take(const Memory& memory, core::WallTime now, std::size_t free_memory);
  void look_again();
  /// When the next one is due that is not held; the end of time: none.
  core::WallTime next() const;
  bool holds_any() const noexcept { return !held_.empty(); }
  /// Since when the oldest one that is held has been due; nothing: none is.
  std::optional<core::WallTime> oldest_held() const;

  struct Stream {
    struct Rule {
      ScheduleTimes times;
      v1::Mode mode;
      v1::Priority priority;
      std::string text;  ///< for people
    };
    std::string app, resource;
    std::int64_t tenant = 0;
    core::Duration gap{};
    std::vector<Rule> rules;
    core::WallTime last{};  ///< runs up to this time are done with
    bool ran = false;       ///< the last one was a run, not the beginning
    /// When the next run is due.
    core::WallTime next() const;
  };
  /// By journal key.
  const std::map<std::string, Stream>& streams() const noexcept { return streams_; }

 private:
  struct Next {
    core::WallTime due;
    std::map<std::string, Stream>::value_type* stream;
    bool operator>(const Next& other) const {
      return due != other.due ? due > other.due : stream->first > other.stream->first;  // the same order in every run
    }
  };
  class Meanings;
  void add(const config::App& app, const config::Tenant& tenant, Meanings& meanings);
  std::optional<ScheduledRun> run_of(const std::string& key, const Stream& stream, core::WallTime now) const;

  std::map<std::string, Stream> streams_;
  std::priority_queue<Next, std::vector<Next>, std::greater<>> queue_;
  std::vector<Next> held_;
};

/// What makes a run a job: its entry, and that of its schedule. `order`: the place among the jobs of its stream.
std::vector<JournalEntry> journal_of(const ScheduledRun& run, std::int64_t order, core::WallTime now);
/// The same with the status.
Contribution begin_run(const ScheduledRun& run, const std::string& status_topic, std::int64_t order, core::WallTime now);

/// Adds to the last changes of a job what its schedule remembers of it, if one began it. `successor`: the job that goes on in its
/// place; empty: it is over.
void note_scheduled_end(std::vector<JournalEntry>& journal, const Memory& memory, const v1::JobState& job,
                        const std::string& successor = {});

/// What is wrong with the schedules of a configuration, as far as the catalogue tells.
void check_schedules(const config::Config& config, const servicetitan::Catalogue& catalogue, config::Report& report);

}  // namespace stsync::sync
