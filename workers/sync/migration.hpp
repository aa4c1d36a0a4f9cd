#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kafka/message.hpp"

namespace stsync::sync {

/// What is wrong with the partition count of the commands or the journal, and what to do about it; empty: nothing.
std::string wrong_partitions(int found, int wanted);

/// The journal as it stands, laid out anew: every app and tenant on the partition that its commands come to. Pure.
class Rekeying {
 public:
  Rekeying(std::string journal_topic, int partitions) : topic_(std::move(journal_topic)), partitions_(partitions) {}

  /// A record of the journal; of each partition in its order.
  void read(std::int32_t partition, const std::string& key, const std::optional<std::string>& value);

  /// What one transaction has to write: the entries of a partition that belong on others, there, and tombstones where they were.
  /// An entry that its place has already stays as it is there: that is the one a lane has worked with.
  std::vector<kafka::OwnedMessage> moves(std::int32_t partition) const;

  std::size_t entries() const noexcept;
  std::size_t misplaced() const noexcept;
  /// The next command to read, as the partition's lane/… entry tells; -1: it has none.
  std::int64_t offset(std::int32_t partition) const;

 private:
  struct Partition {
    std::set<std::string> placed;
    std::map<std::string, std::string> misplaced;  ///< with their values: no others are kept
    std::int64_t offset = -1;
  };
  std::string topic_;
  int partitions_;
  std::map<std::int32_t, Partition> journal_;
};

/// Commands of one partition that no lane has read: when some belong on other partitions now, all of them once more, in their
/// order, each where its key belongs. What stands before `next` is then done with. Empty: they may stay.
struct UnreadCommands {
  std::vector<kafka::OwnedMessage> again;
  std::size_t misplaced = 0;
  std::int64_t next = -1;
};
UnreadCommands place_unread(const std::vector<kafka::Message>& unread, std::int32_t partition, int partitions);

}  // namespace stsync::sync
