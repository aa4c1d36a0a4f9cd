#include "simulation/schedule_check.hpp"

#include <fmt/format.h>

#include "core/text.hpp"
#include "sync/schedule_times.hpp"

namespace stsync::simulation {

using namespace std::chrono_literals;

namespace {

constexpr std::string_view kScheduled = "scheduled, due at ", kMissed = "stands for ";
/// What a run may be late by, where nothing is wrong any more: others of its stream may have to end first.
constexpr core::Duration kLate = 2min;

}  // namespace

config::Schedule every_minute() {
  config::Schedule out;
  out.resources = {"jpm.jobs", "marketing.categories", "marketing.costs"};
  out.every = 1min;
  return out;
}

std::optional<ToldRun> told_run(const v1::StatusEvent& accepted) {
  const std::string_view note = accepted.note();
  if (!note.starts_with(kScheduled)) return std::nullopt;
  ToldRun out;
  out.due = core::parse_utc(note.substr(kScheduled.size(), 24)).value();
  if (const auto at = note.find(kMissed); at != std::string_view::npos)
    out.missed =
        core::parse_int(note.substr(at + kMissed.size(), note.find(' ', at + kMissed.size()) - at - kMissed.size())).value();
  return out;
}

std::vector<std::string> check_runs(const StatusReader& statuses, core::WallTime end) {
  std::map<std::string, std::map<std::int64_t, ToldRun>>
      streams;  ///< by the offset of the status: one partition has all of a tenant
  for (const auto& [name, told] : statuses.jobs())
    for (const auto& t : told)
      if (const auto run = told_run(t.event); t.event.type() == v1::StatusEvent::accepted && run)
        streams[fmt::format("{}/{}/{}", t.event.app(), t.event.tenant(), t.event.resource())][t.offset] = *run;
  std::vector<std::string> problems;
  for (const auto& [stream, runs] : streams) {
    const core::Duration every = stream.ends_with("jpm.jobs") ? core::Duration(sync::kFeedGap) : 1min;
    std::optional<core::WallTime> last;
    for (const auto& [offset, run] : runs) {
      if (last && run.due != *last + (run.missed + 1) * every)
        problems.push_back(fmt::format("stream {}: a run due at {} that stands for {} more follows one due at {}", stream,
                                       core::format_utc(run.due), run.missed, core::format_utc(*last)));
      last = run.due;
    }
    if (*last + every + kLate < end)
      problems.push_back(
          fmt::format("stream {}: the last run was due at {}, it is {}", stream, core::format_utc(*last), core::format_utc(end)));
  }
  return problems;
}

}  // namespace stsync::simulation
