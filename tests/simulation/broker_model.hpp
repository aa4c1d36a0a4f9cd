#pragma once
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "simulation/codes.hpp"
#include "simulation/group_model.hpp"
#include "simulation/partition_log.hpp"

namespace stsync::simulation {

struct ProducerId {
  std::int64_t id = -1;
  std::int32_t epoch = -1;
};

/// What a broker does for us: logs, transactions, fencing, isolation, the offsets of one group over the commands topic. Every
/// request takes effect at once and whole, but for the marks of a transaction that was ended: they follow after a while. What is
/// lost, late or repeated is the network's business. Time is told from outside. Pure; no compaction.
class BrokerModel {
 public:
  BrokerModel(std::string commands_topic, int partitions);

  void create_topic(const std::string& name, int partitions);
  std::vector<std::string> topics() const;
  /// 0: there is no such topic.
  int partitions(const std::string& topic) const;
  /// The topic and partition must exist.
  const PartitionLog& log(const std::string& topic, std::int32_t partition) const;
  /// A record outside of any transaction.
  Code append(const std::string& topic, std::int32_t partition, Entry entry);

  /// Fences the predecessor of the same id and aborts what it has open. An id of -1: not_now or concurrent.
  ProducerId init_producer(const std::string& transactional_id, core::Duration timeout, core::TimePoint now);
  /// This and what follows also answer not_now and concurrent. Opens a transaction when none is. `sequence`: of the first entry in
  /// its partition, from 0 for each epoch; what was written before is known again and not written twice.
  Code produce(const std::string& transactional_id, ProducerId who, const std::string& topic, std::int32_t partition,
               std::int64_t sequence, std::vector<Entry> entries, core::TimePoint now);
  /// An offset of the commands topic into the transaction, as that member of the group.
  Code commit_offset(const std::string& transactional_id, ProducerId who, const GroupModel::Identity& member,
                     std::int32_t partition, std::int64_t offset, core::TimePoint now);
  /// Ends whatever transaction the producer has open: a copy that comes late ends a later one (before KIP-890, part 2). The same
  /// end once more is ok.
  Code end_transaction(const std::string& transactional_id, ProducerId who, bool commit, core::TimePoint now);

  struct Committed {
    Code code = Code::ok;
    std::optional<std::int64_t> offset;
  };
  /// unstable_offset while a transaction that would move it is open.
  Committed committed(std::int32_t partition) const;
  /// Outside of any transaction, unchecked.
  void set_offset(std::int32_t partition, std::int64_t offset) { offsets_[partition] = offset; }

  GroupModel& group() noexcept { return group_; }
  /// Marks that are due are written; transactions that have waited too long are aborted, and their producers fenced.
  void tick(core::TimePoint now);
  std::size_t open_transactions() const;
  /// Until then the coordinator of transactions answers not_now.
  core::TimePoint moving_until{};
  /// How long after the end of a transaction its marks are written.
  std::function<core::Duration()> marking = [] { return core::Duration(0); };
  /// tick() has something to do after that time.
  std::function<void(core::Duration)> on_marking = [](core::Duration) {};
  /// Milliseconds that records of now are stamped with.
  std::function<std::int64_t()> stamp = [] { return std::int64_t{0}; };
  /// What a reader sees of a partition may have changed.
  std::function<void(const std::string& topic)> on_change = [](const std::string&) {};

 private:
  using Place = std::pair<std::string, std::int32_t>;
  struct Transaction {
    ProducerId producer;
    core::Duration timeout{};
    bool open = false;
    std::optional<bool> ending;  ///< with commit; its marks are not written yet
    core::TimePoint marks_at{};
    std::optional<bool> ended_with_commit;  ///< the last one
    core::TimePoint since{};
    std::set<Place> places;
    std::map<std::int32_t, std::int64_t> offsets;
    std::map<Place, std::int64_t> next_sequence;
  };

  Code authorise(const std::string& transactional_id, ProducerId who, core::TimePoint now, Transaction*& found);
  void begin_end(Transaction& t, bool commit, core::TimePoint now);
  void write_marks(Transaction& t, core::TimePoint now);
  static void open(Transaction& t, core::TimePoint now);
  void finish(Transaction& t, bool commit);
  static void bump(Transaction& t);

  std::map<std::string, std::vector<PartitionLog>> topics_;
  std::map<std::string, Transaction> transactions_;
  std::map<std::int32_t, std::int64_t> offsets_;
  GroupModel group_;
  std::int64_t next_producer_ = 1000;
  std::uint64_t ended_ = 0;  ///< transactions
};

}  // namespace stsync::simulation
