#include "sync/salvage.hpp"

#include "sync/dead_letter.hpp"
#include "sync/names.hpp"

namespace stsync::sync {
namespace {

constexpr const char* kStage = "restore";
/// What one transaction takes of them; the rest waits for the next restore.
constexpr std::size_t kMost = 1000;
constexpr std::size_t kMostBytes = 8u << 20;

}  // namespace

void Salvage::see(const kafka::Message& m, const core::Result<void>& read) {
  const auto& key = m.key.value_or("");
  if (const auto it = found_.find(key); it != found_.end()) {
    bytes_ -= it->second.message.value->size();
    found_.erase(it);
  }
  later_.erase(key);
  if (read || !m.value) return;
  const bool damaged = read.error().kind() == core::ErrorKind::malformed;
  if (!damaged && !kind_of(key).empty()) {
    later_.insert(key);
  } else if (found_.size() >= kMost || bytes_ + m.value->size() > kMostBytes) {
    ++beyond_;
  } else {
    bytes_ += m.value->size();
    found_[key] = {damaged ? "damaged_entry" : "foreign_entry", read.error().message(), m};
  }
}

std::vector<kafka::OwnedMessage> Salvage::messages(const config::Topics& topics, const Memory& memory, std::int32_t partition,
                                                   std::int64_t offset) const {
  std::vector<kafka::OwnedMessage> out;
  for (const auto& [key, aside] : found_) {
    const auto& m = aside.message;
    out.push_back(
        dead_letter_message(topics.dlq, {key, *m.value, m.topic, m.partition, m.offset, kStage, aside.code, aside.why, m.headers}));
    auto entry = memory.entry(key);
    if (key == lane_journal_key(partition)) {
      v1::LaneState lane;
      lane.set_offset(offset);
      entry.value = lane;
    }
    out.push_back({topics.journal, partition, key, entry.bytes()});
  }
  return out;
}

}  // namespace stsync::sync
