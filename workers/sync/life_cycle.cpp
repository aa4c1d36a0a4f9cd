#include "sync/life_cycle.hpp"

#include <algorithm>
#include <iterator>

#include "core/text.hpp"
#include "sync/status.hpp"

namespace stsync::sync {
namespace {

using Job = v1::JobState;
using Event = v1::StatusEvent;

/// A job that has begun is in one of four phases, which differ in what it waits for: the same can happen in all of them.
struct Row {
  Job::Phase from;
  Event::Type event;
  Job::Phase to;
};

constexpr Row kTable[] = {
    {Job::unspecified, Event::accepted, Job::waiting},  {Job::unspecified, Event::coalesced, Job::coalesced},
    {Job::unspecified, Event::rejected, Job::rejected}, {Job::unspecified, Event::completed, Job::control},
    {Job::waiting, Event::started, Job::running},       {Job::waiting, Event::paused, Job::paused},
    {Job::waiting, Event::cancelled, Job::cancelled},   {Job::waiting, Event::failed, Job::failed},
    {Job::waiting, Event::progress, Job::waiting},      {Job::running, Event::progress, Job::running},
    {Job::running, Event::restarted, Job::running},     {Job::running, Event::throttled, Job::throttled},
    {Job::running, Event::retrying, Job::retrying},     {Job::running, Event::auth_failed, Job::auth_failed},
    {Job::running, Event::paused, Job::paused},         {Job::running, Event::completed, Job::completed},
    {Job::running, Event::failed, Job::failed},         {Job::running, Event::cancelled, Job::cancelled},
    {Job::paused, Event::resumed, Job::waiting},        {Job::paused, Event::failed, Job::failed},
    {Job::paused, Event::cancelled, Job::cancelled},    {Job::paused, Event::progress, Job::paused},
    {Job::coalesced, Event::cancelled, Job::cancelled},
};

}  // namespace

std::optional<Job::Phase> after(Job::Phase phase, Event::Type event) noexcept {
  const auto from = begun(phase) ? Job::running : phase;
  const auto row =
      std::find_if(std::begin(kTable), std::end(kTable), [&](const Row& r) { return r.from == from && r.event == event; });
  return row == std::end(kTable) ? std::nullopt : std::optional(row->to);
}

bool begun(Job::Phase phase) noexcept {
  return phase == Job::running || phase == Job::throttled || phase == Job::retrying || phase == Job::auth_failed;
}

bool terminal(Job::Phase phase) noexcept {
  switch (phase) {
    case Job::completed:
    case Job::failed:
    case Job::cancelled:
    case Job::coalesced:
    case Job::control:
    case Job::rejected:
      return true;
    default:
      return false;
  }
}

limits::WorkClass work_of(const v1::Sync& sync) noexcept {
  if (sync.priority() == v1::interactive) return limits::WorkClass::interactive;
  if (sync.priority() == v1::backfill) return limits::WorkClass::backfill;
  if (sync.mode() == v1::ids) return limits::WorkClass::interactive;
  return sync.mode() == v1::incremental ? limits::WorkClass::incremental : limits::WorkClass::backfill;
}

bool may_visit(const Job& guest, const Job& host, const v1::StreamState& stream) noexcept {
  const auto long_one = host.command().sync().mode();
  if (long_one != v1::full && long_one != v1::window) return false;
  const auto mode = guest.command().sync().mode();
  const bool has_cursor = !stream.token().empty() || stream.watermark_ms() > 0;
  return mode == v1::ids || (mode == v1::incremental && has_cursor);
}

std::optional<core::Error> overdue(const Job& job, core::WallTime now) {
  const auto& sync = job.command().sync();
  if (sync.has_deadline() && now >= time_of(sync.deadline()))
    return core::Error(core::ErrorKind::expired, "the job was to end by " + core::format_utc(time_of(sync.deadline())));
  if (sync.has_start_by() && !begun(job.phase()) && job.counts().calls() == 0 && now >= time_of(sync.start_by()))
    return core::Error(core::ErrorKind::expired, "the job was to begin by " + core::format_utc(time_of(sync.start_by())));
  return std::nullopt;
}

}  // namespace stsync::sync
