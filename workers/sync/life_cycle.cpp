#include "sync/life_cycle.hpp"

#include <algorithm>
#include <iterator>

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

}  // namespace stsync::sync
