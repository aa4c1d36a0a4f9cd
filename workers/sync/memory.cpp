#include "sync/memory.hpp"

#include <algorithm>
#include <string_view>

#include "core/text.hpp"
#include "sync/names.hpp"

namespace stsync::sync {
namespace {

bool starts(std::string_view key, std::string_view prefix) { return key.substr(0, prefix.size()) == prefix; }

template <class State>
core::Result<std::optional<JournalEntry::Value>> parse(const std::optional<std::string>& value) {
  if (!value) return std::optional<JournalEntry::Value>();
  State state;
  if (!state.ParseFromString(*value)) return core::fail(core::ErrorKind::malformed, "a damaged journal entry");
  return std::optional<JournalEntry::Value>(std::move(state));
}

core::Result<std::optional<JournalEntry::Value>> parse_entry(const std::string& key, const std::optional<std::string>& value) {
  if (starts(key, "job/")) return parse<v1::JobState>(value);
  if (starts(key, "stream/")) return parse<v1::StreamState>(value);
  if (starts(key, "tenant/")) return parse<v1::TenantState>(value);
  if (starts(key, "asked/")) return parse<v1::AskedState>(value);
  if (starts(key, "lane/")) return parse<v1::LaneState>(value);
  return core::fail(core::ErrorKind::bad_data, "a foreign journal key " + core::printable(key, 80));
}

/// Of the job that a command was merged into.
std::string target_key(const std::string& key, const v1::JobState& job) { return key.substr(0, key.rfind('/') + 1) + job.target(); }

}  // namespace

std::optional<std::string> JournalEntry::bytes() const {
  if (!value) return std::nullopt;
  return std::visit([](const auto& state) { return state.SerializeAsString(); }, *value);
}

void end_job(v1::JobState& job, v1::JobState::Phase phase, core::WallTime now) {
  job.set_phase(phase);
  job.set_finished_ms(now.time_since_epoch().count());
  if (phase != v1::JobState::failed) job.clear_crawl();
  if (job.command().has_sync()) job.mutable_command()->mutable_sync()->clear_ids();
}

JournalEntry asked_entry(const std::string& job, const v1::AskedState& asked) {
  if (asked.what() == v1::AskedState::nothing && !asked.withdrawn()) return {asked_journal_key(job), std::nullopt};
  return {asked_journal_key(job), asked};
}

void forget_cursor(v1::StreamState& stream) {
  stream.clear_token();
  stream.clear_watermark_ms();
  stream.clear_full_ms();
  stream.clear_newest_ms();
  stream.clear_checked_ms();
  stream.set_version(stream.version() + 1);
}

core::Result<void> Memory::read(const std::string& key, const std::optional<std::string>& value) {
  auto parsed = parse_entry(key, value);
  if (!parsed) return core::fail(parsed.error());
  apply({key, std::move(*parsed)});
  return {};
}

void Memory::apply(const JournalEntry& entry) {
  forget(entry.key);
  if (!entry.value) return;
  if (const auto* job = std::get_if<v1::JobState>(&*entry.value))
    remember(entry.key, *job);
  else if (const auto* stream = std::get_if<v1::StreamState>(&*entry.value))
    streams_[entry.key] = *stream;
  else if (const auto* tenant = std::get_if<v1::TenantState>(&*entry.value))
    tenants_[entry.key] = *tenant;
  else if (const auto* asked = std::get_if<v1::AskedState>(&*entry.value))
    asked_[entry.key] = *asked;
  else if (const auto* lane = std::get_if<v1::LaneState>(&*entry.value))
    offset_ = lane->offset();
}

void Memory::remember(const std::string& key, const v1::JobState& job) {
  jobs_[key] = job;
  ++phases_[job.phase()];
  if (!terminal(job.phase())) open_.insert(key);
  if (job.phase() == v1::JobState::coalesced) followers_[target_key(key, job)].insert(key);
}

void Memory::forget(const std::string& key) {
  streams_.erase(key);
  tenants_.erase(key);
  asked_.erase(key);
  const auto it = jobs_.find(key);
  if (it == jobs_.end()) return;
  --phases_[it->second.phase()];
  open_.erase(key);
  if (it->second.phase() == v1::JobState::coalesced)
    if (const auto of = followers_.find(target_key(key, it->second));
        of != followers_.end() && of->second.erase(key) > 0 && of->second.empty())
      followers_.erase(of);
  jobs_.erase(it);
}

JournalEntry Memory::entry(const std::string& key) const {
  if (const auto it = jobs_.find(key); it != jobs_.end()) return {key, it->second};
  if (const auto it = streams_.find(key); it != streams_.end()) return {key, it->second};
  if (const auto it = tenants_.find(key); it != tenants_.end()) return {key, it->second};
  if (const auto it = asked_.find(key); it != asked_.end()) return {key, it->second};
  return {key, std::nullopt};
}

const v1::JobState* Memory::job(const std::string& key) const {
  const auto it = jobs_.find(key);
  return it == jobs_.end() ? nullptr : &it->second;
}

v1::StreamState Memory::stream(const std::string& key) const {
  const auto it = streams_.find(key);
  return it == streams_.end() ? v1::StreamState() : it->second;
}

v1::TenantState Memory::tenant(const std::string& key) const {
  const auto it = tenants_.find(key);
  return it == tenants_.end() ? v1::TenantState() : it->second;
}

v1::AskedState Memory::asked(const std::string& job) const {
  const auto it = asked_.find(asked_journal_key(job));
  return it == asked_.end() ? v1::AskedState() : it->second;
}

const std::set<std::string>& Memory::followers(const std::string& job) const {
  static const std::set<std::string> none;
  const auto it = followers_.find(job);
  return it == followers_.end() ? none : it->second;
}

std::vector<std::string> Memory::expired(std::int64_t before_ms, std::size_t keep, std::size_t most) const {
  std::vector<std::pair<std::int64_t, const std::string*>> finished;
  for (const auto& [key, job] : jobs_)
    if (terminal(job.phase()) && !(job.phase() == v1::JobState::coalesced && open_.contains(target_key(key, job))))
      finished.emplace_back(job.finished_ms(), &key);
  std::sort(finished.begin(), finished.end());
  const auto surplus = finished.size() > keep ? finished.size() - keep : 0;
  std::vector<std::string> out;
  for (std::size_t i = 0; i < finished.size() && out.size() < most; ++i)
    if (i < surplus || finished[i].first < before_ms) out.push_back(*finished[i].second);
  return out;
}

}  // namespace stsync::sync
