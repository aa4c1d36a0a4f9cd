#include "sync/memory.hpp"

#include <algorithm>
#include <string_view>

#include "core/text.hpp"

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
  if (starts(key, "lane/")) return parse<v1::LaneState>(value);
  return core::fail(core::ErrorKind::bad_data, "a foreign journal key " + core::printable(key, 80));
}

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

bool terminal(v1::JobState::Phase phase) noexcept {
  switch (phase) {
    case v1::JobState::waiting:
    case v1::JobState::running:
    case v1::JobState::paused:
      return false;
    default:
      return true;
  }
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
  if (const auto it = jobs_.find(entry.key); it != jobs_.end()) --phases_[it->second.phase()];
  open_.erase(entry.key);
  if (!entry.value) {
    jobs_.erase(entry.key);
    streams_.erase(entry.key);
    tenants_.erase(entry.key);
    return;
  }
  if (const auto* job = std::get_if<v1::JobState>(&*entry.value)) {
    jobs_[entry.key] = *job;
    ++phases_[job->phase()];
    if (!terminal(job->phase())) open_.insert(entry.key);
  } else if (const auto* stream = std::get_if<v1::StreamState>(&*entry.value))
    streams_[entry.key] = *stream;
  else if (const auto* tenant = std::get_if<v1::TenantState>(&*entry.value))
    tenants_[entry.key] = *tenant;
  else if (const auto* lane = std::get_if<v1::LaneState>(&*entry.value))
    offset_ = lane->offset();
}

JournalEntry Memory::entry(const std::string& key) const {
  if (const auto it = jobs_.find(key); it != jobs_.end()) return {key, it->second};
  if (const auto it = streams_.find(key); it != streams_.end()) return {key, it->second};
  if (const auto it = tenants_.find(key); it != tenants_.end()) return {key, it->second};
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

bool Memory::tenant_paused(const std::string& key) const {
  const auto it = tenants_.find(key);
  return it != tenants_.end() && it->second.paused();
}

std::vector<std::string> Memory::expired(std::int64_t before_ms, std::size_t keep, std::size_t most) const {
  std::vector<std::pair<std::int64_t, const std::string*>> finished;
  for (const auto& [key, job] : jobs_)
    if (terminal(job.phase())) finished.emplace_back(job.finished_ms(), &key);
  std::sort(finished.begin(), finished.end());
  const auto surplus = finished.size() > keep ? finished.size() - keep : 0;
  std::vector<std::string> out;
  for (std::size_t i = 0; i < finished.size() && out.size() < most; ++i)
    if (i < surplus || finished[i].first < before_ms) out.push_back(*finished[i].second);
  return out;
}

}  // namespace stsync::sync
