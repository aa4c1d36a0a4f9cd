#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace stsync::simulation {

/// What stands in a partition: a record of somebody's, or the mark that ends a transaction there.
struct Entry {
  enum class Kind { data, commit_mark, abort_mark };
  enum class Fate { plain, open, committed, aborted };
  Kind kind = Kind::data;
  Fate fate = Fate::plain;     ///< open: its transaction has not ended
  std::int64_t producer = -1;  ///< id of the transactional producer; -1: none
  std::uint64_t ended = 0;     ///< when its transaction ended: they are counted; 0: it has not, or there is none
  std::uint64_t batch = 0;     ///< which commit of whose it was written by; 0: none. For checks: Kafka does not know it
  std::int64_t timestamp_ms = 0;
  std::string key;
  std::optional<std::string> value;  ///< nothing: a tombstone
  std::vector<std::pair<std::string, std::string>> headers{};
};

enum class Isolation { read_uncommitted, read_committed };

/// One partition. Offsets count marks too, as in Kafka. Pure.
class PartitionLog {
 public:
  /// Of a read: (offset, entry) of what the reader sees, and where it reads on.
  struct Slice {
    std::vector<std::pair<std::int64_t, const Entry*>> seen;
    std::int64_t next = 0;
  };

  /// At its end. One with a producer is open until end_transaction().
  std::int64_t append(Entry entry);
  /// Writes the mark; what the producer has open here is committed or aborted, as the `order`th
  /// transaction of the broker. Nothing when nothing is open.
  void end_transaction(std::int64_t producer, bool commit, std::uint64_t order, std::int64_t timestamp_ms);

  std::int64_t high_watermark() const noexcept { return static_cast<std::int64_t>(entries_.size()); }
  /// The first offset of an open transaction, else the high watermark.
  std::int64_t last_stable_offset() const noexcept;
  /// At most `most` entries from `from` on. read_committed stops at the last stable offset and leaves out what was aborted; `next`
  /// moves over that and over marks.
  Slice read(std::int64_t from, Isolation isolation, std::size_t most = SIZE_MAX) const;
  const std::vector<Entry>& entries() const noexcept { return entries_; }

 private:
  std::vector<Entry> entries_;
  std::map<std::int64_t, std::int64_t> open_since_;  ///< producer -> first offset of its transaction
};

}  // namespace stsync::simulation
