#include "sync/migration.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "kafka/client.hpp"
#include "stsync/v1/journal.pb.h"
#include "sync/memory.hpp"
#include "sync/names.hpp"

namespace stsync::sync {
namespace {

std::optional<v1::JobState> open_job(const std::string& key, const std::string& value) {
  v1::JobState job;
  if (!key.starts_with("job/") || !job.ParseFromString(value) || terminal(job.phase())) return std::nullopt;
  return job;
}

/// Orders are offsets of commands, and another partition counts its own: jobs that come to it stand before all that it will accept,
/// in the order that they have among themselves.
std::map<std::string, std::string> reordered(const std::map<std::string, std::string>& entries) {
  std::vector<std::pair<std::string, v1::JobState>> open;
  for (const auto& [key, value] : entries)
    if (auto job = open_job(key, value)) open.emplace_back(key, std::move(*job));
  std::sort(open.begin(), open.end(), [](const auto& a, const auto& b) { return a.second.order() < b.second.order(); });
  std::map<std::string, std::string> out;
  auto order = -static_cast<std::int64_t>(open.size());
  for (auto& [key, job] : open) {
    job.set_order(order++);
    out[key] = job.SerializeAsString();
  }
  return out;
}

}  // namespace

std::string wrong_partitions(int found, int wanted) {
  if (found == wanted) return {};
  const auto text = fmt::format("has {} partitions, kafka.partitions says {}", found, wanted);
  if (found < wanted) return text + ": 'stsync topics migrate' lets it grow while no worker runs";
  return text + ": a topic cannot lose partitions, so kafka.partitions must say what it has";
}

void Rekeying::read(std::int32_t partition, const std::string& key, const std::optional<std::string>& value) {
  auto& entries = journal_[partition];
  const auto owner = owner_of(key);
  if (!owner || kafka::partition_for(*owner, partitions_) == partition) {
    value ? static_cast<void>(entries.placed.insert(key)) : static_cast<void>(entries.placed.erase(key));
    v1::LaneState lane;
    if (value && key == lane_journal_key(partition) && lane.ParseFromString(*value)) entries.offset = lane.offset();
  } else if (value) {
    entries.misplaced[key] = *value;
  } else {
    entries.misplaced.erase(key);
  }
}

std::vector<kafka::OwnedMessage> Rekeying::moves(std::int32_t partition) const {
  std::vector<kafka::OwnedMessage> out;
  const auto it = journal_.find(partition);
  if (it == journal_.end()) return out;
  const auto orders = reordered(it->second.misplaced);
  for (const auto& [key, value] : it->second.misplaced) {
    const auto place = kafka::partition_for(*owner_of(key), partitions_);
    const auto there = journal_.find(place);
    if (there == journal_.end() || !there->second.placed.contains(key)) {
      const auto reordered = orders.find(key);
      out.push_back({topic_, place, key, reordered == orders.end() ? value : reordered->second});
    }
    out.push_back({topic_, partition, key, std::nullopt});
  }
  return out;
}

std::size_t Rekeying::entries() const noexcept {
  std::size_t n = misplaced();
  for (const auto& [partition, entries] : journal_) n += entries.placed.size();
  return n;
}
std::size_t Rekeying::misplaced() const noexcept {
  std::size_t n = 0;
  for (const auto& [partition, entries] : journal_) n += entries.misplaced.size();
  return n;
}
std::int64_t Rekeying::offset(std::int32_t partition) const {
  const auto it = journal_.find(partition);
  return it == journal_.end() ? -1 : it->second.offset;
}

UnreadCommands place_unread(const std::vector<kafka::Message>& unread, std::int32_t partition, int partitions) {
  UnreadCommands out;
  for (const auto& m : unread) {
    const auto place = m.key ? kafka::partition_for(*m.key, partitions) : partition;
    if (place != partition) ++out.misplaced;
    out.again.push_back({m.topic, place, m.key.value_or(""), m.value, m.headers});
    out.next = m.offset + 1;
  }
  if (out.misplaced == 0) return {};
  return out;
}

}  // namespace stsync::sync
