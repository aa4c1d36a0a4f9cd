#include "sync/jobs.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.hpp"
#include "sync/life_cycle.hpp"
#include "sync/memory.hpp"
#include "sync/names.hpp"
#include "sync/status.hpp"

namespace stsync::sync {
namespace {

/// What an allocator adds, in tenths.
constexpr std::size_t kAllocated = 14;
/// Keys of an entry and their places in maps and sets.
constexpr std::size_t kPlaces = 320;
/// Ids are in memory once as an entry of the journal, twice in a job that runs, and three times as large in its crawl; parameters
/// of a report no more.
constexpr std::size_t kCopies = 6;

std::string_view tenant_of(std::string_view job_key) { return job_key.substr(0, job_key.rfind('/') + 1); }

/// Of the job that a command was merged into.
std::string target_key(std::string_view key, const v1::JobState& job) { return std::string(tenant_of(key)) + job.target(); }

std::string kind_of(const v1::JobState& job) { return kind_of_sync(job.command(), job.command().sync().mode()); }

}  // namespace

std::size_t bytes_of_arguments(const v1::Sync& sync) {
  std::size_t bytes = 0;
  for (const auto& id : sync.ids()) bytes += id.size() + 1;
  for (const auto& p : sync.report().parameters()) bytes += p.SpaceUsedLong();
  return bytes;
}

std::size_t memory_of(const v1::JobState& job) {
  return job.SpaceUsedLong() * kAllocated / 10 + kPlaces + (kCopies - 1) * bytes_of_arguments(job.command().sync());
}

std::size_t memory_of(const v1::Command& command) {
  v1::JobState job;
  *job.mutable_command() = command;
  pack_ids(*job.mutable_command()->mutable_sync());
  job.mutable_counts();
  return memory_of(job);
}

std::string kind_of_sync(const v1::Command& command, v1::Mode mode) {
  const auto& sync = command.sync();
  const auto report = sync.has_report() ? core::sha256_hex(sync.report().SerializeAsString()) : std::string();
  return fmt::format("{}/{}/{} {} {} {} {}", command.app(), command.tenant(), sync.resource(), static_cast<int>(mode),
                     time_of(sync.from()).time_since_epoch().count(), time_of(sync.to()).time_since_epoch().count(), report);
}

void Jobs::put(const std::string& key, const v1::JobState& job) {
  const auto [it, added] = jobs_.try_emplace(key);
  const bool was_open = open_.contains(key);
  if (!added) discount(it->first, it->second);
  Kept kept{job};  // a copy is as small as it can be
  kept.bytes = memory_of(kept.state);
  it->second = std::move(kept);
  count(it->first, it->second);
  if (was_open != open_.contains(key)) reweigh_followers(key, !was_open);
}

void Jobs::erase(const std::string& key) {
  const auto it = jobs_.find(key);
  if (it == jobs_.end()) return;
  const bool was_open = open_.contains(key);
  discount(it->first, it->second);
  if (was_open) reweigh_followers(key, false);
  jobs_.erase(it);
}

const v1::JobState* Jobs::find(const std::string& key) const {
  const auto it = jobs_.find(key);
  return it == jobs_.end() ? nullptr : &it->second.state;
}

const Jobs::InOrder& Jobs::of_kind(const std::string& kind) const {
  static const InOrder none;
  const auto it = kinds_.find(kind);
  return it == kinds_.end() ? none : it->second;
}

const std::set<std::string>& Jobs::followers(const std::string& key) const {
  static const std::set<std::string> none;
  const auto it = followers_.find(key);
  return it == followers_.end() ? none : it->second;
}

TenantLoad Jobs::load(std::string_view app, std::int64_t tenant) const {
  const auto it = loads_.find(job_journal_key(app, tenant, ""));
  return it == loads_.end() ? TenantLoad{} : it->second;
}

std::vector<std::string> Jobs::expired(std::int64_t before_ms, const KeptJobs& keep, std::size_t most) const {
  std::vector<std::string> out;
  auto count = finished_.size();
  auto bytes = finished_bytes_;
  for (const auto& [finished, key] : finished_) {
    if (out.size() == most || (count <= keep.count && bytes <= keep.bytes && finished >= before_ms)) break;
    out.emplace_back(key);
    --count;
    bytes -= jobs_.find(out.back())->second.bytes;
  }
  return out;
}

/// It has not ended, or the job has not that it was merged into.
bool Jobs::counts_as_open(std::string_view key, const v1::JobState& job) const {
  if (job.phase() == v1::JobState::coalesced) return open_.contains(target_key(key, job));
  return !terminal(job.phase());
}

/// `key` is the one in jobs_.
void Jobs::count(std::string_view key, const Kept& job) {
  const auto& state = job.state;
  ++phases_[state.phase()];
  if (state.phase() == v1::JobState::coalesced) followers_[target_key(key, state)].emplace(key);
  if (state.phase() == v1::JobState::waiting) ++loads_[std::string(tenant_of(key))].waiting;
  if (!terminal(state.phase())) {
    open_.emplace(key);
    kinds_[kind_of(state)].emplace(state.order(), key);
  }
  weigh(key, job, counts_as_open(key, state));
}

void Jobs::discount(std::string_view key, const Kept& job) {
  const auto& state = job.state;
  unweigh(key, job, counts_as_open(key, state));
  --phases_[state.phase()];
  if (!terminal(state.phase())) {
    open_.erase(std::string(key));
    const auto kind = kinds_.find(kind_of(state));
    if (kind->second.erase({state.order(), key}) > 0 && kind->second.empty()) kinds_.erase(kind);
  }
  if (state.phase() == v1::JobState::coalesced) {
    const auto of = followers_.find(target_key(key, state));
    if (of->second.erase(std::string(key)) > 0 && of->second.empty()) followers_.erase(of);
  }
  if (state.phase() == v1::JobState::waiting) --loads_.find(tenant_of(key))->second.waiting;
  if (const auto load = loads_.find(tenant_of(key)); load != loads_.end() && load->second.waiting == 0 && load->second.bytes == 0)
    loads_.erase(load);
}

void Jobs::weigh(std::string_view key, const Kept& job, bool open) {
  if (open) {
    loads_[std::string(tenant_of(key))].bytes += job.bytes;
    open_bytes_ += job.bytes;
  } else {
    finished_.emplace(job.state.finished_ms(), key);
    finished_bytes_ += job.bytes;
  }
}

void Jobs::unweigh(std::string_view key, const Kept& job, bool open) {
  if (open) {
    loads_.find(tenant_of(key))->second.bytes -= job.bytes;
    open_bytes_ -= job.bytes;
  } else {
    finished_.erase({job.state.finished_ms(), key});
    finished_bytes_ -= job.bytes;
  }
}

/// Their job has begun to be one that has not ended, or has ended.
void Jobs::reweigh_followers(const std::string& key, bool open) {
  for (const auto& follower : followers(key)) {
    if (follower == key) continue;  // only somebody else's journal says so
    const auto it = jobs_.find(follower);
    unweigh(it->first, it->second, !open);
    weigh(it->first, it->second, open);
  }
}

}  // namespace stsync::sync
