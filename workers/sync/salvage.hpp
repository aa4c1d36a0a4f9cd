#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "kafka/message.hpp"
#include "sync/memory.hpp"

namespace stsync::sync {

/// A record of the journal that cannot be used.
struct SetAside {
  std::string code;  ///< damaged_entry: a key of ours, but not its value; foreign_entry: neither
  std::string why;
  kafka::Message message;
};

/// What a restore cannot use of the journal goes to the dead letters, once: the transaction that carries the letter also writes
/// over the record. Its bytes are in the letter then. A kind of entry that only a later version knows is left as it is. Pure.
class Salvage {
 public:
  /// A record as the restore came by it; `read`: what Memory::read() said.
  void see(const kafka::Message& m, const core::Result<void>& read);

  const std::map<std::string, SetAside>& found() const noexcept { return found_; }
  /// How many were left as they are: of a later version, or more than one restore deals with.
  std::size_t left() const noexcept { return later_.size() + beyond_; }

  /// The letters, and what each key is to hold: what the memory still knows of it, else nothing. `offset`: the lane's next command.
  std::vector<kafka::OwnedMessage> messages(const config::Topics& topics, const Memory& memory, std::int32_t partition,
                                            std::int64_t offset) const;

 private:
  std::map<std::string, SetAside> found_;  ///< by journal key: only what stands there last is meant
  std::set<std::string> later_;
  std::size_t beyond_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace stsync::sync
