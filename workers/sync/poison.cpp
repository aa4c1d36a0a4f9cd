#include "sync/poison.hpp"

#include <fmt/format.h>

#include "core/text.hpp"
#include "sync/names.hpp"

namespace stsync::sync {
namespace {

std::string why(const core::CrashNote& note) {
  return fmt::format("it crashed the worker twice (signal {}, lately at {})", note.signal,
                     core::format_utc(core::WallTime(std::chrono::seconds(note.seconds))));
}

/// Of "job/<app>/<tenant>/<id>"; nothing where it is anything else.
std::optional<v1::Command> command_of(std::string_view detail) {
  const auto app = detail.find('/');
  const auto tenant = app == detail.npos ? app : detail.find('/', app + 1);
  const auto id = tenant == detail.npos ? tenant : detail.find('/', tenant + 1);
  if (id == detail.npos) return std::nullopt;
  const auto number = core::parse_int(detail.substr(tenant + 1, id - tenant - 1));
  if (!number || !valid_id(detail.substr(id + 1))) return std::nullopt;
  v1::Command command;
  command.set_app(std::string(detail.substr(app + 1, tenant - app - 1)));
  command.set_tenant(*number);
  command.set_id(std::string(detail.substr(id + 1)));
  if (crash_detail(command) != detail) return std::nullopt;
  return command;
}

}  // namespace

std::string crash_name(const kafka::Message& command) {
  return fmt::format("command/{}/{}/{}/{}", command.topic, command.partition, command.offset, command.timestamp_ms);
}

std::string crash_detail(const v1::Command& command) { return job_journal_key(command.app(), command.tenant(), command.id()); }

Reject poison_command(const core::CrashNote& note) { return {command_of(note.detail), kPoison, why(note)}; }

v1::Failure poison_job(const core::CrashNote& note) {
  v1::Failure out;
  out.set_code(kPoison);
  out.set_stage("crawl");
  out.set_message(why(note));
  return out;
}

}  // namespace stsync::sync
