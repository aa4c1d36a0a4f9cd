#include "sync/dead_letter.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "codec/wire.hpp"
#include "core/text.hpp"
#include "servicetitan/plan.hpp"

namespace stsync::sync {
namespace {

using core::ErrorKind;

constexpr std::size_t kValueBytes = 512u << 10;
constexpr std::size_t kMessageBytes = 1024;
constexpr std::size_t kKeyBytes = 1024;
constexpr std::size_t kHeaderBytes = 8u << 10;

constexpr std::string_view kTopic = "__connect.errors.topic", kStage = "__connect.errors.stage",
                           kMessage = "__connect.errors.exception.message", kCode = "st-error-code", kTruncated = "st-truncated",
                           kSha256 = "st-sha256", kSource = "st-source";

/// A letter that is made of a letter has one cause: its own.
bool tells_cause(std::string_view name) {
  return name.starts_with("__connect.errors.") || name == kCode || name == kTruncated || name == kSha256;
}

void add_headers(Headers& out, const Headers& own) {
  std::size_t left = kHeaderBytes;
  for (const auto& [name, value] : own) {
    const auto bytes = bytes_of_header(name, value);
    if (tells_cause(name) || bytes > left) continue;
    left -= bytes;
    out.emplace_back(name, value);
  }
}

core::Result<v1::Command> command_of(const ReadLetter& letter) {
  v1::Command command;
  if (letter.truncated) return core::fail(ErrorKind::bad_data, "the command was too large to be kept whole");
  if (letter.protobuf) {
    if (!command.ParseFromString(letter.value)) return core::fail(ErrorKind::bad_data, "what was sent is no command");
    return command;
  }
  if (auto ok = codec::from_json(letter.value, command); !ok)
    return core::fail(ErrorKind::bad_data, "what was sent is no command: " + ok.error().message());
  return command;
}

/// The record's key behind the tenant and, in a topic of several resources, the name of its own.
std::string_view row_key(std::string_view key, std::string_view tenant, std::string_view resource) {
  for (const auto prefix : {tenant, resource})
    if (key.starts_with(prefix) && key.substr(prefix.size()).starts_with(':')) key.remove_prefix(prefix.size() + 1);
  return key;
}

/// "acme/1001/integration/jpm.jobs" and a key that is the record's id.
core::Result<v1::Command> read_of(const ReadLetter& letter, const servicetitan::Catalogue& catalogue) {
  std::vector<std::string> parts(1);
  for (const char c : letter.source) {
    if (c == '/')
      parts.emplace_back();
    else
      parts.back().push_back(c);
  }
  const auto tenant = parts.size() == 4 ? core::parse_int(parts[1]) : std::nullopt;
  if (!tenant) return core::fail(ErrorKind::bad_data, "it is neither a command nor a record of stsync's");
  const auto* resource = catalogue.find(parts[3]);
  if (resource == nullptr) return core::fail(ErrorKind::unknown_resource, fmt::format("there is no resource '{}'", parts[3]));
  const std::string id(row_key(letter.key, parts[1], parts[3]));
  if (id.empty() || id.starts_with('#') || letter.key.size() >= kKeyBytes || !resource->key.single_field())
    return core::fail(ErrorKind::bad_data, "the record has no id by which it could be read");
  v1::Command command;
  command.set_app(parts[0]);
  command.set_tenant(*tenant);
  command.mutable_sync()->set_resource(parts[3]);
  command.mutable_sync()->set_mode(v1::ids);
  command.mutable_sync()->add_ids(id);
  if (auto ok = servicetitan::check_mode(catalogue, *resource, command.sync()); !ok) return core::fail(ok.error());
  return command;
}

}  // namespace

kafka::OwnedMessage dead_letter_message(const std::string& topic, const DeadLetter& letter) {
  kafka::OwnedMessage m{topic, kafka::kAnyPartition, std::string(letter.key.substr(0, kKeyBytes)),
                        std::string(letter.value.substr(0, kValueBytes))};
  m.headers = {{std::string(kTopic), letter.topic},
               {"__connect.errors.partition", std::to_string(letter.partition)},
               {"__connect.errors.offset", std::to_string(letter.offset)},
               {std::string(kStage), letter.stage},
               {std::string(kMessage), core::printable(letter.message, kMessageBytes)},
               {std::string(kCode), letter.code}};
  if (letter.value.size() > kValueBytes) {
    m.headers.emplace_back(kTruncated, std::to_string(letter.value.size()));
    m.headers.emplace_back(kSha256, core::sha256_hex(letter.value));
  }
  add_headers(m.headers, letter.headers);
  return m;
}

ReadLetter read_letter(const kafka::Message& message) {
  const auto header = [&message](std::string_view name) {
    const auto* value = message.header(name);
    return value == nullptr ? std::string() : *value;
  };
  ReadLetter letter;
  letter.topic = header(kTopic);
  letter.key = message.key.value_or("");
  letter.value = message.value.value_or("");
  letter.stage = header(kStage);
  letter.code = header(kCode);
  letter.message = header(kMessage);
  letter.source = header(kSource);
  letter.replay_of = header(kReplayOf);
  letter.truncated = message.header(kTruncated) != nullptr;
  letter.protobuf = header("content-type") == "application/protobuf";
  return letter;
}

core::Result<v1::Command> replayed(const ReadLetter& letter, const std::string& commands_topic,
                                   const servicetitan::Catalogue& catalogue, const std::string& id) {
  auto command = letter.topic == commands_topic ? command_of(letter) : read_of(letter, catalogue);
  if (command) command->set_id(id);
  return command;
}

}  // namespace stsync::sync
