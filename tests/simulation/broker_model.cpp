#include "simulation/broker_model.hpp"

#include <algorithm>
#include <utility>

namespace stsync::simulation {

using core::TimePoint;

BrokerModel::BrokerModel(std::string commands_topic, int partitions) : group_(partitions) {
  create_topic(commands_topic, partitions);
}

void BrokerModel::create_topic(const std::string& name, int partitions) {
  topics_[name].resize(static_cast<std::size_t>(partitions));
}

std::vector<std::string> BrokerModel::topics() const {
  std::vector<std::string> out;
  for (const auto& [name, logs] : topics_) out.push_back(name);
  return out;
}

int BrokerModel::partitions(const std::string& topic) const {
  const auto it = topics_.find(topic);
  return it == topics_.end() ? 0 : static_cast<int>(it->second.size());
}

const PartitionLog& BrokerModel::log(const std::string& topic, std::int32_t partition) const {
  return topics_.at(topic).at(static_cast<std::size_t>(partition));
}

Code BrokerModel::append(const std::string& topic, std::int32_t partition, Entry entry) {
  if (partition < 0 || partition >= partitions(topic)) return Code::unknown_topic;
  entry.timestamp_ms = stamp();
  topics_.at(topic)[static_cast<std::size_t>(partition)].append(std::move(entry));
  on_change(topic);
  return Code::ok;
}

ProducerId BrokerModel::init_producer(const std::string& transactional_id, core::Duration timeout, TimePoint now) {
  auto& t = transactions_[transactional_id];
  if (t.producer.id < 0) t.producer.id = next_producer_++;
  write_marks(t, now);
  if (now < moving_until || t.ending) return {};
  if (t.open) begin_end(t, false, now);
  bump(t);
  if (t.ending) return {};
  t.timeout = timeout;
  return t.producer;
}

void BrokerModel::bump(Transaction& t) {
  ++t.producer.epoch;
  t.next_sequence.clear();
  t.ended_with_commit.reset();
}

Code BrokerModel::authorise(const std::string& transactional_id, ProducerId who, TimePoint now, Transaction*& found) {
  if (now < moving_until) return Code::not_now;
  const auto it = transactions_.find(transactional_id);
  if (it == transactions_.end() || it->second.producer.id != who.id || it->second.producer.epoch != who.epoch)
    return Code::producer_fenced;
  found = &it->second;
  write_marks(*found, now);
  return Code::ok;
}

void BrokerModel::open(Transaction& t, TimePoint now) {
  if (t.open) return;
  t.open = true;
  t.since = now;
  t.ended_with_commit.reset();
}

Code BrokerModel::produce(const std::string& transactional_id, ProducerId who, const std::string& topic, std::int32_t partition,
                          std::int64_t sequence, std::vector<Entry> entries, TimePoint now) {
  Transaction* t = nullptr;
  if (const auto code = authorise(transactional_id, who, now, t); code != Code::ok) return code;
  if (t->ending) return Code::concurrent;
  if (partition < 0 || partition >= partitions(topic)) return Code::unknown_topic;
  auto& next = t->next_sequence[{topic, partition}];
  if (sequence > next) return Code::out_of_order;
  if (sequence < next) return Code::ok;  // written before
  open(*t, now);
  next += static_cast<std::int64_t>(entries.size());
  t->places.insert({topic, partition});
  auto& log = topics_.at(topic)[static_cast<std::size_t>(partition)];
  for (auto& entry : entries) {
    entry.producer = who.id;
    entry.timestamp_ms = stamp();
    log.append(std::move(entry));
  }
  return Code::ok;
}

Code BrokerModel::commit_offset(const std::string& transactional_id, ProducerId who, const GroupModel::Identity& member,
                                std::int32_t partition, std::int64_t offset, TimePoint now) {
  Transaction* t = nullptr;
  if (const auto code = authorise(transactional_id, who, now, t); code != Code::ok) return code;
  if (t->ending) return Code::concurrent;
  if (group_.moves(now)) return Code::not_now;
  if (const auto code = group_.check(member); code != Code::ok) return code;
  open(*t, now);
  t->offsets[partition] = offset;
  return Code::ok;
}

Code BrokerModel::end_transaction(const std::string& transactional_id, ProducerId who, bool commit, TimePoint now) {
  Transaction* t = nullptr;
  if (const auto code = authorise(transactional_id, who, now, t); code != Code::ok) return code;
  if (t->ending) return *t->ending == commit ? Code::concurrent : Code::invalid_txn_state;
  if (!t->open) return t->ended_with_commit == commit ? Code::ok : Code::invalid_txn_state;
  begin_end(*t, commit, now);
  return Code::ok;
}

/// The decision is taken: what is left to do is done whatever happens.
void BrokerModel::begin_end(Transaction& t, bool commit, TimePoint now) {
  const auto takes = marking();
  if (takes == core::Duration(0)) return finish(t, commit);
  t.ending = commit;
  t.marks_at = now + takes;
  on_marking(takes);
}

void BrokerModel::write_marks(Transaction& t, TimePoint now) {
  if (t.ending && now >= t.marks_at) finish(t, *std::exchange(t.ending, std::nullopt));
}

void BrokerModel::finish(Transaction& t, bool commit) {
  ++ended_;
  for (const auto& [topic, partition] : t.places)
    topics_.at(topic)[static_cast<std::size_t>(partition)].end_transaction(t.producer.id, commit, ended_, stamp());
  if (commit)
    for (const auto& [partition, offset] : t.offsets) offsets_[partition] = offset;
  const auto places = std::move(t.places);
  t.places.clear();
  t.offsets.clear();
  t.open = false;
  t.ended_with_commit = commit;
  for (const auto& [topic, partition] : places) on_change(topic);
}

BrokerModel::Committed BrokerModel::committed(std::int32_t partition) const {
  for (const auto& [id, t] : transactions_)
    if (t.open && t.offsets.contains(partition)) return {Code::unstable_offset, std::nullopt};
  const auto it = offsets_.find(partition);
  if (it == offsets_.end()) return {Code::ok, std::nullopt};
  return {Code::ok, it->second};
}

void BrokerModel::tick(TimePoint now) {
  for (auto& [id, t] : transactions_) {
    write_marks(t, now);
    if (!t.open || t.ending || now - t.since <= t.timeout) continue;
    finish(t, false);
    bump(t);
  }
  group_.tick(now);
}

std::size_t BrokerModel::open_transactions() const {
  return static_cast<std::size_t>(
      std::count_if(transactions_.begin(), transactions_.end(), [](const auto& t) { return t.second.open; }));
}

}  // namespace stsync::simulation
