#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "stsync/v1/journal.pb.h"
#include "sync/life_cycle.hpp"

namespace stsync::sync {

/// One change of the journal: a new value of a key, or nothing: the key is forgotten.
struct JournalEntry {
  using Value = std::variant<v1::JobState, v1::StreamState, v1::TenantState, v1::LaneState, v1::AskedState>;
  std::string key;
  std::optional<Value> value;
  std::optional<std::string> bytes() const;
};

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
  const v1::JobState* job(const std::string& key) const;
  v1::StreamState stream(const std::string& key) const;
  v1::TenantState tenant(const std::string& key) const;
  /// What is asked of the job behind a key.
  v1::AskedState asked(const std::string& job) const;
  /// Keys of the commands that were merged into the job behind a key and not cancelled since.
  const std::set<std::string>& followers(const std::string& job) const;
  /// Jobs in a phase, kept as they change.
  const std::map<v1::JobState::Phase, int>& phases() const noexcept { return phases_; }
  std::int64_t offset() const noexcept { return offset_; }
  const std::map<std::string, v1::JobState>& jobs() const noexcept { return jobs_; }
  /// Keys of the jobs that have not ended: few, however many finished ones are kept.
  const std::set<std::string>& open_jobs() const noexcept { return open_; }
  /// Keys of finished jobs that may be forgotten: finished before `before_ms`, and the oldest beyond `keep`; at most `most`. What
  /// was merged into a job stays as long as that one is open.
  std::vector<std::string> expired(std::int64_t before_ms, std::size_t keep, std::size_t most) const;

 private:
  void forget(const std::string& key);
  void remember(const std::string& key, const v1::JobState& job);
  std::map<std::string, v1::JobState> jobs_;
  std::map<std::string, v1::StreamState> streams_;
  std::map<std::string, v1::TenantState> tenants_;
  std::map<std::string, v1::AskedState> asked_;
  std::set<std::string> open_;
  std::map<std::string, std::set<std::string>> followers_;  ///< by the key of their job
  std::map<v1::JobState::Phase, int> phases_;
  std::int64_t offset_ = -1;
};

}  // namespace stsync::sync
