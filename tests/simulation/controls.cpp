#include "simulation/controls.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

namespace stsync::simulation {

namespace {

using History = StatusReader::History;

bool open_at(const History& told, std::int64_t offset) {
  const auto* accepted = first(told, v1::StatusEvent::accepted);
  const auto* end = end_of(told);
  return accepted != nullptr && accepted->offset < offset && (end == nullptr || end->offset > offset);
}

template <class Action>
bool names(const Action& action, const v1::Command& job) {
  return (action.job().empty() || action.job() == job.id()) &&
         (action.resource().empty() || action.resource() == job.sync().resource());
}

bool means(const v1::Command& control, const v1::Command& job) {
  if (!job.has_sync() || control.app() != job.app() || control.tenant() != job.tenant()) return false;
  if (control.has_cancel()) return names(control.cancel(), job);
  if (control.has_pause()) return names(control.pause(), job);
  return control.has_resume() && names(control.resume(), job);
}

std::string tenant_of(const v1::Command& c) { return fmt::format("{}/{}", c.app(), c.tenant()); }

std::set<std::string> tenants_of(const std::vector<v1::Command>& sent) {
  std::set<std::string> out;
  for (const auto& c : sent) out.insert(tenant_of(c));
  return out;
}

}  // namespace

Controls::Controls(const StatusReader& statuses, const std::vector<v1::Command>& sent) : statuses_(statuses) {
  for (const auto& control : sent) {
    if (control.has_sync() || control.has_cursor()) continue;
    const auto* done = first(statuses.job(job_name(control)), v1::StatusEvent::completed);
    if (done == nullptr) continue;
    for (const auto& job : sent)
      if (means(control, job) && open_at(statuses.job(job_name(job)), done->offset))
        jobs_[job_name(job)].push_back({control.action_case(), control.id(), done->ended, done->offset});
  }
  for (auto& [job, asked] : jobs_)
    std::sort(asked.begin(), asked.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
  find_standing(sent);
  for (const auto& [job, told] : statuses.jobs())
    if (const auto* merged = first(told, v1::StatusEvent::coalesced))
      followed_.insert(job.substr(0, job.rfind('/') + 1) + merged->event.target());
}

void Controls::find_standing(const std::vector<v1::Command>& sent) {
  std::map<std::int64_t, const v1::Command*> answered;               ///< by offset: one partition has all of a tenant
  std::map<std::string, std::map<std::string, std::string>> paused;  ///< by tenant: what (empty: all), and by which command
  for (const auto& tenant : tenants_of(sent)) {
    answered.clear();
    for (const auto& c : sent)
      if (const auto* done = first(statuses_.job(job_name(c)), v1::StatusEvent::completed);
          done != nullptr && tenant_of(c) == tenant && (c.has_pause() || c.has_resume()))
        answered[done->offset] = &c;
    auto& what = paused[tenant];
    for (const auto& [offset, c] : answered) {
      if (c->has_pause() && c->pause().job().empty()) what[c->pause().resource()] = c->id();
      if (!c->has_resume() || !c->resume().job().empty()) continue;
      c->resume().resource().empty() ? what.clear() : static_cast<void>(what.erase(c->resume().resource()));
    }
    for (const auto& [resource, by] : what) standing_[tenant] = by;
  }
}

std::set<std::string> Controls::paused() const {
  std::set<std::string> out;
  for (const auto& [job, asked] : jobs_) {
    // A job that goes on for others is no less paused when its own command is cancelled.
    const auto last = std::find_if(asked.rbegin(), asked.rend(),
                                   [&](const Asked& a) { return a.what != v1::Command::kCancel || !followed(job); });
    if (last != asked.rend() && last->what == v1::Command::kPause && !statuses_.ended(job)) out.insert(job);
  }
  return out;
}

namespace {

/// How many of the transactions lie between two.
std::size_t between(const std::set<std::uint64_t>& pages, std::uint64_t after, std::uint64_t before) {
  return static_cast<std::size_t>(
      std::count_if(pages.begin(), pages.end(), [&](auto page) { return page > after && page < before; }));
}

/// Until when a pause holds: the next order, or the job has stopped.
std::uint64_t end_of_pause(const History& told, const Controls::Asked& pause, const Controls::Asked* next) {
  auto out = next == nullptr ? UINT64_MAX : next->ended;
  for (const auto& t : told)
    if (t.offset > pause.offset && t.event.type() == v1::StatusEvent::paused) out = std::min(out, t.ended);
  return out;
}

}  // namespace

/// A job stops at its next page: the one that is under way when it is asked may still come.
std::vector<std::string> check_controls(const Controls& controls, const StatusReader& statuses,
                                        const std::map<std::string, std::set<std::uint64_t>>& pages) {
  constexpr std::size_t kUnderWay = 1;
  std::vector<std::string> problems;
  for (const auto& [job, asked] : controls.jobs()) {
    const auto& told = statuses.job(job);
    const auto known = pages.find(job);
    for (std::size_t i = 0; i < asked.size() && known != pages.end(); ++i) {
      const auto* next = i + 1 < asked.size() ? &asked[i + 1] : nullptr;
      const bool cancel = asked[i].what == v1::Command::kCancel;
      if (asked[i].what == v1::Command::kResume || (cancel && controls.followed(job))) continue;
      const auto until = cancel ? UINT64_MAX : end_of_pause(told, asked[i], next);
      if (const auto after = between(known->second, asked[i].ended, until); after > kUnderWay)
        problems.push_back(
            fmt::format("job {}: {} pages after {} had asked it to {}", job, after, asked[i].by, cancel ? "end" : "pause"));
    }
  }
  return problems;
}

}  // namespace stsync::simulation
