#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "stsync/v1/journal.pb.h"
#include "sync/jobs.hpp"
#include "sync/life_cycle.hpp"

namespace stsync::sync {

/// One change of the journal: a new value of a key, or nothing: the key is forgotten.
struct JournalEntry {
  using Value = std::variant<v1::JobState, v1::StreamState, v1::TenantState, v1::LaneState, v1::AskedState, v1::ScheduleState>;
  std::string key;
  std::optional<Value> value;
  std::optional<std::string> bytes() const;
};

/// A list of ids in little memory: as one text, a line each, which no id may hold (intake). Only in memory: entries of the journal
/// are written and read as lists. Both may be done twice.
void pack_ids(v1::Sync& sync);
void unpack_ids(v1::Sync& sync);

/// What is remembered of a command that has ended, or that another job stands for: not what it was to read or set.
void forget_arguments(v1::Command& command);

/// The job has ended. It is kept to know its command again and to tell its end: the ids that it was to read are not, and where it
/// stood only where it failed.
void end_job(v1::JobState& job, v1::JobState::Phase phase, core::WallTime now);

/// What is asked of the job behind a key, from now on; nothing: the entry goes.
JournalEntry asked_entry(const std::string& job, const v1::AskedState& asked);

/// The stream begins from nothing; what is known of its records' fields stays.
void forget_cursor(v1::StreamState& stream);

/// What a lane knows: the journal of its partition, as it stands once everything submitted is committed. Pure.
class Memory {
 public:
  /// One record of the journal as read. bad_data: no key that is known here; malformed: such a key, but not its value. Nothing has
  /// changed then.
  core::Result<void> read(const std::string& key, const std::optional<std::string>& value);
  void apply(const JournalEntry& entry);

  /// The entry that would bring a key back to what it is now.
  JournalEntry entry(const std::string& key) const;
  /// Its ids are packed.
  const v1::JobState* job(const std::string& key) const { return jobs_.find(key); }
  const std::map<std::string, v1::StreamState>& streams() const noexcept { return streams_; }
  const Jobs& jobs() const noexcept { return jobs_; }
  v1::StreamState stream(const std::string& key) const;
  v1::TenantState tenant(const std::string& key) const;
  v1::ScheduleState schedule(const std::string& key) const;
  /// What is asked of the job behind a key.
  v1::AskedState asked(const std::string& job) const;
  std::int64_t offset() const noexcept { return offset_; }
  /// Keys of the jobs that have not ended: few, however many finished ones are kept.
  const std::set<std::string>& open_jobs() const noexcept { return jobs_.open(); }

 private:
  void forget(const std::string& key);
  Jobs jobs_;
  std::map<std::string, v1::StreamState> streams_;
  std::map<std::string, v1::TenantState> tenants_;
  std::unordered_map<std::string, v1::ScheduleState> schedules_;
  std::map<std::string, v1::AskedState> asked_;
  std::int64_t offset_ = -1;
};

}  // namespace stsync::sync
