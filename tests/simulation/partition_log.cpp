#include "simulation/partition_log.hpp"

#include <algorithm>

namespace stsync::simulation {

std::int64_t PartitionLog::append(Entry entry) {
  const auto offset = high_watermark();
  if (entry.producer >= 0) {
    entry.fate = Entry::Fate::open;
    open_since_.try_emplace(entry.producer, offset);
  }
  entries_.push_back(std::move(entry));
  return offset;
}

void PartitionLog::end_transaction(std::int64_t producer, bool commit, std::uint64_t order, std::int64_t timestamp_ms) {
  const auto open = open_since_.find(producer);
  if (open == open_since_.end()) return;
  for (auto i = static_cast<std::size_t>(open->second); i < entries_.size(); ++i)
    if (auto& e = entries_[i]; e.producer == producer && e.fate == Entry::Fate::open) {
      e.fate = commit ? Entry::Fate::committed : Entry::Fate::aborted;
      e.ended = order;
    }
  open_since_.erase(open);
  Entry mark;
  mark.kind = commit ? Entry::Kind::commit_mark : Entry::Kind::abort_mark;
  mark.timestamp_ms = timestamp_ms;
  entries_.push_back(std::move(mark));
}

std::int64_t PartitionLog::last_stable_offset() const noexcept {
  auto stable = high_watermark();
  for (const auto& [producer, since] : open_since_) stable = std::min(stable, since);
  return stable;
}

PartitionLog::Slice PartitionLog::read(std::int64_t from, Isolation isolation, std::size_t most) const {
  Slice out;
  const bool committed = isolation == Isolation::read_committed;
  const auto end = committed ? last_stable_offset() : high_watermark();
  out.next = from;
  for (; out.next < end && out.seen.size() < most; ++out.next) {
    const auto& e = entries_[static_cast<std::size_t>(out.next)];
    if (e.kind != Entry::Kind::data || (committed && e.fate == Entry::Fate::aborted)) continue;
    out.seen.emplace_back(out.next, &e);
  }
  return out;
}

}  // namespace stsync::simulation
