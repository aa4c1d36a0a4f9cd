#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "kafka/message.hpp"
#include "servicetitan/catalogue.hpp"
#include "stsync/v1/command.pb.h"

namespace stsync::sync {

using Headers = std::vector<std::pair<std::string, std::string>>;

/// What a header takes of a message: Kafka writes two lengths beside it.
inline std::size_t bytes_of_header(std::string_view name, std::string_view value) noexcept {
  return name.size() + value.size() + 10;
}

/// Carried by a command that was made from a dead letter, and by the dead letter that this one may become: "st.dlq/3/42".
inline constexpr const char* kReplayOf = "st-replay-of";

/// A message that cannot be used, on its way to the dead letters: bytes up to 512 KiB, the key up to 1 KiB, the cause in headers
/// named as Kafka Connect names them; its own headers follow, up to 8 KiB.
struct DeadLetter {
  std::string_view key;
  std::string_view value;
  std::string topic;  ///< where it came from or was meant to go
  std::int32_t partition = -1;
  std::int64_t offset = -1;
  std::string stage, code, message;
  Headers headers{};
};
kafka::OwnedMessage dead_letter_message(const std::string& topic, const DeadLetter& letter);

/// A dead letter as it is read. What others wrote to the topic has no code.
struct ReadLetter {
  std::string topic, key, value;  ///< of the message that it was
  std::string stage, code, message;
  std::string source;     ///< of a record: app/tenant/environment/resource
  std::string replay_of;  ///< the dead letter that it was made from
  bool truncated = false, protobuf = false;
};
ReadLetter read_letter(const kafka::Message& message);

/// The command that tries again what the letter could not do: the command that was rejected, or one that reads the record by its
/// id; it gets the id `id`. unsupported_mode, bad_data: why there is none.
core::Result<v1::Command> replayed(const ReadLetter& letter, const std::string& commands_topic,
                                   const servicetitan::Catalogue& catalogue, const std::string& id);

}  // namespace stsync::sync
