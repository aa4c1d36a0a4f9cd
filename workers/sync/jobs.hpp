#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stsync/v1/journal.pb.h"

namespace stsync::sync {

/// What a tenant has that has not ended.
struct TenantLoad {
  std::size_t waiting = 0;  ///< jobs
  std::size_t bytes = 0;    ///< of memory: its open jobs, and the commands that were merged into them
};

/// Of finished jobs, how many are kept.
struct KeptJobs {
  std::size_t count = 0;
  std::size_t bytes = 0;
};

/// What a sync is to read, as far as it may be long: ids and parameters of a report, in bytes.
std::size_t bytes_of_arguments(const v1::Sync& sync);

/// Bytes of memory that a job takes, those included that it takes while it runs.
std::size_t memory_of(const v1::JobState& job);
/// The same of the job that a command would become.
std::size_t memory_of(const v1::Command& command);

/// What syncs have in common that may be merged: tenant, stream, mode and arguments, but for the ids.
std::string kind_of_sync(const v1::Command& command, v1::Mode mode);

/// The jobs of a lane by the keys of the journal, found by what is asked of them: nothing here looks at all of them. Pure.
class Jobs {
 public:
  Jobs() = default;
  Jobs(Jobs&&) = default;
  Jobs& operator=(Jobs&&) = default;
  Jobs(const Jobs&) = delete;  // it points into itself
  Jobs& operator=(const Jobs&) = delete;

  void put(const std::string& key, const v1::JobState& job);
  void erase(const std::string& key);

  const v1::JobState* find(const std::string& key) const;
  std::size_t size() const noexcept { return jobs_.size(); }
  /// Keys of those that have not ended.
  const std::set<std::string>& open() const noexcept { return open_; }
  /// Open ones of a kind by their order: keys.
  const std::set<std::pair<std::int64_t, std::string_view>>& of_kind(const std::string& kind) const;
  /// Keys of the commands that were merged into a job and not cancelled since.
  const std::set<std::string>& followers(const std::string& key) const;
  TenantLoad load(std::string_view app, std::int64_t tenant) const;
  std::size_t open_bytes() const noexcept { return open_bytes_; }
  const std::map<v1::JobState::Phase, int>& phases() const noexcept { return phases_; }
  /// Keys of finished jobs that may be forgotten, oldest first: finished before `before_ms`, or beyond what is kept; at most
  /// `most`. What was merged into a job stays as long as that one is open.
  std::vector<std::string> expired(std::int64_t before_ms, const KeptJobs& keep, std::size_t most) const;

 private:
  struct Kept {
    v1::JobState state;
    std::size_t bytes = 0;
  };
  using InOrder = std::set<std::pair<std::int64_t, std::string_view>>;  ///< views of the keys in jobs_

  bool counts_as_open(std::string_view key, const v1::JobState& job) const;
  void count(std::string_view key, const Kept& job);
  void discount(std::string_view key, const Kept& job);
  void weigh(std::string_view key, const Kept& job, bool open);
  void unweigh(std::string_view key, const Kept& job, bool open);
  void reweigh_followers(const std::string& key, bool open);

  std::map<std::string, Kept> jobs_;
  std::set<std::string> open_;
  std::map<std::string, InOrder> kinds_;
  std::map<std::string, std::set<std::string>> followers_;  ///< by the key of their job
  std::map<std::string, TenantLoad, std::less<>> loads_;    ///< by "job/acme/1001/"
  std::size_t open_bytes_ = 0;
  InOrder finished_;  ///< by when
  std::size_t finished_bytes_ = 0;
  std::map<v1::JobState::Phase, int> phases_;
};

}  // namespace stsync::sync
