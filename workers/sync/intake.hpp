#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "config/config.hpp"
#include "core/clock.hpp"
#include "kafka/message.hpp"
#include "servicetitan/catalogue.hpp"
#include "stsync/v1/command.pb.h"
#include "stsync/v1/journal.pb.h"
#include "sync/memory.hpp"

namespace stsync::sync {

/// What to do about a message of the commands topic.
struct Accept {
  v1::Command command;
  std::string body_hash;
  std::string note{};  ///< why it does not begin yet
};
struct Coalesce {  ///< into a waiting job of the same stream
  v1::Command command;
  std::string body_hash;
  std::string target;
  std::optional<v1::JobState> widened{};  ///< the target with the ids that it did not have yet
};
struct Duplicate {
  v1::Command command;
};
struct Control {  ///< cancel, pause, resume, cursor
  v1::Command command;
  std::string body_hash;
};
struct Forward {  ///< to the partition its body belongs on
  std::string key;
  std::int32_t partition = 0;
};
struct Reject {
  std::optional<v1::Command> command;  ///< as far as it could be read
  std::string code;                    ///< stable
  std::string message;
};
using Decision = std::variant<Accept, Coalesce, Duplicate, Control, Forward, Reject>;

/// Jobs of a tenant that may wait at once.
inline constexpr std::size_t kWaitingOfTenant = 1000;

/// Everything a decision depends on. Pure: total over any bytes, never throws.
struct IntakeContext {
  const config::Config& config;
  const servicetitan::Catalogue& catalogue;
  const Memory& memory;
  std::int32_t partition = 0;
  std::int32_t partitions = 1;
  std::size_t waiting_of_tenant_limit = kWaitingOfTenant;
  /// Bytes of the worker's memory that are left for jobs.
  std::size_t free_memory = std::numeric_limits<std::size_t>::max() / 4;
  /// Whether somebody works on the job behind a journal key, also where the journal still says that it waits.
  std::function<bool(const std::string& key)> runs = [](const std::string&) { return false; };
  /// Told as soon as it is known whose command it is, for the case that the rest crashes.
  std::function<void(const v1::Command&)> known = [](const v1::Command&) {};
};

inline constexpr std::size_t kMaxCommandBytes = 256u << 10;

/// Everything that a forwarded copy or a dead letter would carry on: a message that just fits its topic would not fit another.
std::size_t size_of(const kafka::Message& m) noexcept;

/// Why the worker's memory, of which `free` bytes are left, has no room for one more sync: a tenant gets no more than it leaves.
/// Nothing: it has.
std::optional<std::string> no_memory_for(const v1::Command& sync, const Memory& memory, std::size_t free);
/// Tells the same command from another one with the same id.
std::string body_hash(const v1::Command& command);

Decision decide(const kafka::Message& message, const IntakeContext& context);

}  // namespace stsync::sync
