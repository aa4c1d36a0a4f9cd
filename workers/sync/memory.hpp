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

namespace stsync::sync {

/// One change of the journal: a new value of a key, or nothing: the key is forgotten.
struct JournalEntry {
  using Value = std::variant<v1::JobState, v1::StreamState, v1::TenantState, v1::LaneState>;
  std::string key;
  std::optional<Value> value;
  std::optional<std::string> bytes() const;
};

bool terminal(v1::JobState::Phase phase) noexcept;

/// The job has ended. It is kept to know its command again and to tell its end: the ids that it was to read are not, and where it
/// stood only where it failed.
void end_job(v1::JobState& job, v1::JobState::Phase phase, core::WallTime now);

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
  bool tenant_paused(const std::string& key) const;
  /// Jobs in a phase, kept as they change.
  const std::map<v1::JobState::Phase, int>& phases() const noexcept { return phases_; }
  std::int64_t offset() const noexcept { return offset_; }
  const std::map<std::string, v1::JobState>& jobs() const noexcept { return jobs_; }
  /// Keys of the jobs that have not ended: few, however many finished ones are kept.
  const std::set<std::string>& open_jobs() const noexcept { return open_; }
  /// Keys of finished jobs that may be forgotten: finished before `before_ms`, and the oldest beyond `keep`; at most `most`.
  std::vector<std::string> expired(std::int64_t before_ms, std::size_t keep, std::size_t most) const;

 private:
  std::map<std::string, v1::JobState> jobs_;
  std::map<std::string, v1::StreamState> streams_;
  std::map<std::string, v1::TenantState> tenants_;
  std::set<std::string> open_;
  std::map<v1::JobState::Phase, int> phases_;
  std::int64_t offset_ = -1;
};

}  // namespace stsync::sync
