#include "sync/intake.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <google/protobuf/message.h>

#include "codec/wire.hpp"
#include "core/text.hpp"
#include "kafka/client.hpp"
#include "servicetitan/plan.hpp"
#include "sync/control.hpp"
#include "sync/dead_letter.hpp"
#include "sync/names.hpp"
#include "sync/status.hpp"

namespace stsync::sync {
namespace {

constexpr int kMaxIds = 5000;
constexpr std::size_t kMaxIdBytes = 300;
constexpr std::size_t kMaxPathBytes = 512;
constexpr int kMaxParameters = 500;
constexpr std::size_t kMaxNameBytes = 200;
constexpr std::size_t kMaxStreamBytes = 1024;
constexpr int kMaxPaused = 1000;
/// Of the jobs that a command might be merged into.
constexpr int kLookedAt = 8;

constexpr std::string_view kForwarded = "st-forwarded";

Reject reject(const v1::Command& command, std::string code, std::string message) {
  return {command, std::move(code), std::move(message)};
}

/// Also in the messages that it holds.
bool has_unknown_fields(const google::protobuf::Message& m) {
  const auto* reflection = m.GetReflection();
  if (!reflection->GetUnknownFields(m).empty()) return true;
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection->ListFields(m, &fields);
  return std::any_of(fields.begin(), fields.end(), [&](const auto* field) {
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) return false;
    if (!field->is_repeated()) return has_unknown_fields(reflection->GetMessage(m, field));
    for (int i = 0; i < reflection->FieldSize(m, field); ++i)
      if (has_unknown_fields(reflection->GetRepeatedMessage(m, field, i))) return true;
    return false;
  });
}

std::optional<Reject> read(const kafka::Message& m, v1::Command& command) {
  if (!m.value || m.value->empty()) return Reject{std::nullopt, "empty", "the message has no value"};
  if (const auto size = size_of(m); size > kMaxCommandBytes)
    return Reject{std::nullopt, "too_large", fmt::format("{} bytes, at most {} are accepted", size, kMaxCommandBytes)};
  const auto* type = m.header("content-type");
  if (type != nullptr && *type == "application/protobuf") {
    if (!command.ParseFromString(*m.value)) return Reject{std::nullopt, "bad_command", "not a stsync.v1.Command"};
    if (has_unknown_fields(command)) return Reject{command, "bad_command", "an unknown field"};
    return std::nullopt;
  }
  if (auto ok = codec::from_json(*m.value, command); !ok) return Reject{std::nullopt, "bad_command", ok.error().message()};
  return std::nullopt;
}

std::optional<Reject> check_address(const v1::Command& c, const config::Config& config) {
  if (!valid_id(c.id())) return reject(c, "bad_id", "id must be 1 to 64 characters of A-Z a-z 0-9 . _ -");
  if (config.find_app(c.app()) == nullptr)
    return reject(c, "unknown_app", fmt::format("app '{}' is not configured", core::printable(c.app(), 64)));
  if (config.find_tenant(c.app(), c.tenant()) == nullptr)
    return reject(c, "unknown_tenant", fmt::format("tenant {} is not configured for app '{}'", c.tenant(), c.app()));
  if (c.action_case() == v1::Command::ACTION_NOT_SET)
    return reject(c, "no_action", "one of sync, cancel, pause, resume, cursor is needed");
  return std::nullopt;
}

/// "7/12" has two; a path may end with any of them.
bool has_dot_part(std::string_view id) {
  for (std::size_t begin = 0, end = 0; begin <= id.size(); begin = end + 1) {
    end = std::min(id.find('/', begin), id.size());
    if (const auto part = id.substr(begin, end - begin); part == "." || part == "..") return true;
  }
  return false;
}

/// Ids end up in paths and lists: no id may be read as something else there.
bool valid_record_id(std::string_view id) {
  return !id.empty() && id.size() <= kMaxIdBytes && !has_dot_part(id) && std::all_of(id.begin(), id.end(), [](unsigned char ch) {
    return ch > ' ' && ch < 0x7f && ch != ',' && ch != '"' && ch != '\\';
  });
}

/// Files are named by paths, which may be anything that people call files.
bool valid_file_path(std::string_view path) {
  return !path.empty() && path.size() <= kMaxPathBytes &&
         std::none_of(path.begin(), path.end(), [](unsigned char ch) { return ch < ' ' || ch == 0x7f; });
}

std::optional<Reject> check_ids(const v1::Command& c, const servicetitan::Resource& resource) {
  const auto& ids = c.sync().ids();
  const auto* get = resource.endpoint(servicetitan::Role::get);
  const bool paths = get != nullptr && get->shape == servicetitan::Shape::binary && servicetitan::places_of(get->path).empty();
  const auto valid = paths ? valid_file_path : valid_record_id;
  if (ids.empty() || ids.size() > kMaxIds) return reject(c, "bad_ids", fmt::format("mode ids needs 1 to {} ids", kMaxIds));
  for (const auto& id : ids)
    if (!valid(id)) return reject(c, "bad_ids", fmt::format("'{}' is no id", core::printable(id, 80)));
  return std::nullopt;
}

/// It ends up in a path and in keys; there it is encoded.
bool valid_category(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && name != "." && name != ".." &&
         std::none_of(name.begin(), name.end(), [](unsigned char ch) { return ch < ' ' || ch == 0x7f; });
}

std::optional<Reject> check_report(const v1::Command& c) {
  const auto& report = c.sync().report();
  if (!valid_category(report.category()) || report.id() <= 0)
    return reject(c, "bad_report", fmt::format("mode report needs report.category (1 to {} bytes) and report.id", kMaxNameBytes));
  if (report.parameters_size() > kMaxParameters)
    return reject(c, "bad_report", fmt::format("at most {} parameters", kMaxParameters));
  for (const auto& p : report.parameters())
    if (p.name().empty() || p.name().size() > kMaxNameBytes)
      return reject(c, "bad_report", fmt::format("'{}' is no name of a parameter", core::printable(p.name(), 80)));
  return std::nullopt;
}

/// What JSON cannot say either.
bool valid_time(const google::protobuf::Timestamp& t) {
  constexpr std::int64_t kYear1 = -62'135'596'800, kYear10000 = 253'402'300'800;  // seconds
  return t.seconds() >= kYear1 && t.seconds() < kYear10000 && t.nanos() >= 0 && t.nanos() < 1'000'000'000;
}

std::optional<Reject> check_sync(const v1::Command& c, const servicetitan::Catalogue& catalogue) {
  const auto& s = c.sync();
  for (const auto* time : {&s.from(), &s.to(), &s.start_by(), &s.deadline()})
    if (!valid_time(*time)) return reject(c, "bad_command", "a time that is not within the years 1 to 9999");
  const auto* resource = catalogue.find(s.resource());
  if (resource == nullptr)
    return reject(c, "unknown_resource",
                  fmt::format("'{}' is not a resource (see: stsync catalog list)", core::printable(s.resource(), 80)));
  const bool windowed = s.has_from() || s.has_to();
  switch (s.mode()) {
    case v1::incremental:
    case v1::full:
      if (windowed) return reject(c, "bad_window", "from and to belong to mode window");
      break;
    case v1::window:
      if (!s.has_from() || !s.has_to()) return reject(c, "bad_window", "mode window needs from and to");
      if (time_of(s.from()) >= time_of(s.to())) return reject(c, "bad_window", "from must be before to");
      break;
    case v1::ids:
      if (windowed) return reject(c, "bad_window", "from and to belong to mode window");
      if (auto bad = check_ids(c, *resource)) return bad;
      break;
    case v1::report:
      if (windowed) return reject(c, "bad_window", "from and to belong to mode window");
      break;
    default:
      break;
  }
  if ((s.ids_size() > 0 && s.mode() != v1::ids) || (s.has_report() && s.mode() != v1::report))
    return reject(c, "bad_command", "ids and report belong to modes of their own");
  if (auto ok = servicetitan::check_mode(catalogue, *resource, s); !ok) return reject(c, "unsupported_mode", ok.error().message());
  return s.mode() == v1::report ? check_report(c) : std::nullopt;
}

/// What is paused is remembered: that must be something that there can be.
std::optional<Reject> check_pause(const v1::Command& c, const IntakeContext& context) {
  const auto& resource = c.pause().resource();
  if (resource.empty()) return std::nullopt;
  const auto slash = resource.find('/');
  const auto* known = context.catalogue.find(resource.substr(0, slash));
  const bool one_report = slash != std::string::npos && known != nullptr && known->endpoint(servicetitan::Role::report) != nullptr;
  if (resource.size() > kMaxStreamBytes || known == nullptr || (slash != std::string::npos && !one_report))
    return reject(c, "unknown_resource", fmt::format("'{}' is not a resource", core::printable(resource, 80)));
  if (context.memory.tenant(tenant_journal_key(c.app(), c.tenant())).paused_resources_size() >= kMaxPaused)
    return reject(c, "queue_full", fmt::format("{} resources of this tenant are paused already", kMaxPaused));
  return std::nullopt;
}

std::optional<Reject> check_control(const v1::Command& c, const IntakeContext& context) {
  const auto& catalogue = context.catalogue;
  if (c.has_pause()) return check_pause(c, context);
  if (!c.has_cursor()) return std::nullopt;
  if (catalogue.find(c.cursor().resource()) == nullptr)
    return reject(c, "unknown_resource", fmt::format("'{}' is not a resource", core::printable(c.cursor().resource(), 80)));
  if (c.cursor().change_case() == v1::Cursor::CHANGE_NOT_SET || (c.cursor().has_reset() && !c.cursor().reset()))
    return reject(c, "bad_command", "cursor needs reset: true or set");
  return std::nullopt;
}

/// A job that may end too early for a command cannot stand for it.
bool lasts_for(const v1::Sync& job, const v1::Sync& command) {
  const auto lasts = [](bool has, const auto& of_job, bool wants, const auto& of_command) {
    return !has || (wants && time_of(of_job) >= time_of(of_command));
  };
  return lasts(job.has_deadline(), job.deadline(), command.has_deadline(), command.deadline()) &&
         lasts(job.has_start_by(), job.start_by(), command.has_start_by(), command.start_by());
}

/// The job with the ids of another command too; nothing: it has them all. An error: they are too many for one job.
core::Result<std::optional<v1::JobState>> widened(const v1::JobState& job, const v1::Sync& sync) {
  auto wider = job;
  auto& own = *wider.mutable_command()->mutable_sync();
  unpack_ids(own);
  std::set<std::string> known(own.ids().begin(), own.ids().end());
  const auto before = own.ids_size();
  for (const auto& id : sync.ids())
    if (known.insert(id).second) own.add_ids(id);
  if (own.ids_size() > kMaxIds) return core::fail(core::ErrorKind::too_large, "too many ids for one job");
  if (own.ids_size() == before) return std::optional<v1::JobState>();
  pack_ids(own);
  return std::optional(std::move(wider));
}

/// Into one of the newest jobs of a kind, if it waits. Older ones could not take in those that came after them either.
std::optional<Coalesce> merge_into(const std::string& kind, const v1::Command& c, const std::string& hash,
                                   const IntakeContext& context) {
  const auto& jobs = context.memory.jobs().of_kind(kind);
  auto left = kLookedAt;
  for (auto it = jobs.rbegin(); it != jobs.rend() && left > 0; ++it, --left) {
    const std::string key(it->second);
    const auto& job = *context.memory.job(key);
    if (job.phase() != v1::JobState::waiting || job.counts().calls() > 0 || context.runs(key)) continue;
    const auto& other = job.command();
    if (!lasts_for(other.sync(), c.sync())) continue;
    if (other.sync().mode() != c.sync().mode()) return Coalesce{c, hash, other.id()};
    if (auto wider = widened(job, c.sync())) return Coalesce{c, hash, other.id(), std::move(*wider)};
  }
  return std::nullopt;
}

/// Into a waiting job of the same stream that does what this one would, or can do it too.
std::optional<Coalesce> merge(const v1::Command& c, const std::string& hash, const IntakeContext& context) {
  auto merged = merge_into(kind_of_sync(c, c.sync().mode()), c, hash, context);
  if (!merged && c.sync().mode() == v1::incremental) merged = merge_into(kind_of_sync(c, v1::full), c, hash, context);
  return merged;
}

}  // namespace

std::optional<std::string> no_memory_for(const v1::Command& c, const Memory& memory, std::size_t free) {
  const auto load = memory.jobs().load(c.app(), c.tenant());
  const auto bytes = memory_of(c);
  if (load.bytes == 0 ? bytes <= free : load.bytes + 2 * bytes <= free) return std::nullopt;
  return fmt::format("no memory is left for it: jobs of this tenant that have not ended take {} KiB (worker.max_memory)",
                     load.bytes >> 10);
}

std::string body_hash(const v1::Command& command) { return core::sha256_hex(command.SerializeAsString()); }

std::size_t size_of(const kafka::Message& m) noexcept {
  auto size = (m.value ? m.value->size() : 0) + (m.key ? m.key->size() : 0);
  for (const auto& [name, value] : m.headers) size += bytes_of_header(name, value);
  return size;
}

Decision decide(const kafka::Message& message, const IntakeContext& context) {
  v1::Command command;
  if (auto bad = read(message, command)) return *bad;
  if (auto bad = check_address(command, context.config)) return *bad;
  context.known(command);
  const auto key = tenant_key(command.app(), command.tenant());
  const auto partition = kafka::partition_for(key, context.partitions);
  if (message.key != key || partition != context.partition) {
    if (message.header(kForwarded) == nullptr) return Forward{key, partition};
    return reject(command, "wrong_partition", "the command stands on a partition that its app and tenant do not belong on");
  }
  const auto hash = body_hash(command);
  if (const auto* known = context.memory.job(job_journal_key(command.app(), command.tenant(), command.id())); known != nullptr) {
    if (known->body_hash() == hash) return Duplicate{std::move(command)};
    return reject(command, "conflict", "another command with this id was accepted before");
  }
  if (!command.has_sync()) {
    if (auto bad = check_control(command, context)) return *bad;
    return Control{std::move(command), hash};
  }
  if (auto bad = check_sync(command, context.catalogue)) return *bad;
  if (auto full = no_memory_for(command, context.memory, context.free_memory)) return reject(command, "queue_full", *full);
  if (auto merged = merge(command, hash, context)) return std::move(*merged);
  if (context.memory.jobs().load(command.app(), command.tenant()).waiting >= context.waiting_of_tenant_limit)
    return reject(command, "queue_full",
                  fmt::format("{} jobs of this tenant are waiting already", context.waiting_of_tenant_limit));
  auto note = pause_over(command, context.memory).value_or("");
  return Accept{std::move(command), hash, std::move(note)};
}

}  // namespace stsync::sync
