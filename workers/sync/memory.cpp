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
  if (starts(key, "schedule/")) return parse<v1::ScheduleState>(value);
  if (starts(key, "asked/")) return parse<v1::AskedState>(value);
  if (starts(key, "lane/")) return parse<v1::LaneState>(value);
  return core::fail(core::ErrorKind::bad_data, "a foreign journal key " + core::printable(key, 80));
}

}  // namespace

std::optional<std::string> JournalEntry::bytes() const {
  if (!value) return std::nullopt;
  if (const auto* job = std::get_if<v1::JobState>(&*value); job != nullptr && job->command().sync().ids_size() > 0) {
    auto whole = *job;
    unpack_ids(*whole.mutable_command()->mutable_sync());
    return whole.SerializeAsString();
  }
  return std::visit([](const auto& state) { return state.SerializeAsString(); }, *value);
}

void pack_ids(v1::Sync& sync) {
  if (sync.ids_size() < 2) return;
  std::string all;
  for (const auto& id : sync.ids()) {
    if (!all.empty()) all += '\n';
    all += id;
  }
  sync.clear_ids();
  sync.mutable_ids()->Add()->assign(all);
}

void unpack_ids(v1::Sync& sync) {
  const auto packed = std::move(*sync.mutable_ids());
  sync.mutable_ids()->Clear();
  for (const auto& text : packed)
    for (std::size_t begin = 0, end = 0; end < text.size(); begin = end + 1) {
      end = std::min(text.find('\n', begin), text.size());
      sync.add_ids(text.substr(begin, end - begin));
    }
}

void forget_arguments(v1::Command& command) {
  switch (command.action_case()) {
    case v1::Command::kSync:
      command.mutable_sync()->clear_ids();
      if (command.sync().has_report()) command.mutable_sync()->mutable_report()->clear_parameters();
      return;
    case v1::Command::kCancel:
      return command.mutable_cancel()->Clear();
    case v1::Command::kPause:
      return command.mutable_pause()->Clear();
    case v1::Command::kResume:
      return command.mutable_resume()->Clear();
    case v1::Command::kCursor:
      return command.mutable_cursor()->Clear();
    default:
      return;
  }
}

void end_job(v1::JobState& job, v1::JobState::Phase phase, core::WallTime now) {
  job.set_phase(phase);
  job.set_finished_ms(now.time_since_epoch().count());
  if (phase != v1::JobState::failed) job.clear_crawl();
  forget_arguments(*job.mutable_command());
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
  if (*parsed)
    if (auto* job = std::get_if<v1::JobState>(&**parsed); job != nullptr && job->command().has_sync())
      pack_ids(*job->mutable_command()->mutable_sync());
  apply({key, std::move(*parsed)});
  return {};
}

void Memory::apply(const JournalEntry& entry) {
  if (!entry.value) return forget(entry.key);
  if (const auto* job = std::get_if<v1::JobState>(&*entry.value))
    jobs_.put(entry.key, *job);
  else if (const auto* stream = std::get_if<v1::StreamState>(&*entry.value))
    streams_[entry.key] = *stream;
  else if (const auto* tenant = std::get_if<v1::TenantState>(&*entry.value))
    tenants_[entry.key] = *tenant;
  else if (const auto* schedule = std::get_if<v1::ScheduleState>(&*entry.value))
    schedules_[entry.key] = *schedule;
  else if (const auto* asked = std::get_if<v1::AskedState>(&*entry.value))
    asked_[entry.key] = *asked;
  else if (const auto* lane = std::get_if<v1::LaneState>(&*entry.value))
    offset_ = lane->offset();
}

void Memory::forget(const std::string& key) {
  jobs_.erase(key);
  streams_.erase(key);
  tenants_.erase(key);
  schedules_.erase(key);
  asked_.erase(key);
}

JournalEntry Memory::entry(const std::string& key) const {
  if (const auto* job = jobs_.find(key); job != nullptr) return {key, *job};
  if (const auto it = streams_.find(key); it != streams_.end()) return {key, it->second};
  if (const auto it = tenants_.find(key); it != tenants_.end()) return {key, it->second};
  if (const auto it = schedules_.find(key); it != schedules_.end()) return {key, it->second};
  if (const auto it = asked_.find(key); it != asked_.end()) return {key, it->second};
  return {key, std::nullopt};
}

v1::StreamState Memory::stream(const std::string& key) const {
  const auto it = streams_.find(key);
  return it == streams_.end() ? v1::StreamState() : it->second;
}

v1::TenantState Memory::tenant(const std::string& key) const {
  const auto it = tenants_.find(key);
  return it == tenants_.end() ? v1::TenantState() : it->second;
}

v1::ScheduleState Memory::schedule(const std::string& key) const {
  const auto it = schedules_.find(key);
  return it == schedules_.end() ? v1::ScheduleState() : it->second;
}

v1::AskedState Memory::asked(const std::string& job) const {
  const auto it = asked_.find(asked_journal_key(job));
  return it == asked_.end() ? v1::AskedState() : it->second;
}

}  // namespace stsync::sync
