#include "sync/control.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "sync/names.hpp"

namespace stsync::sync {
namespace {

using Asked = v1::AskedState;

ControlEffect ask(const ControlledJob& job, Asked::What what) {
  if (job.asked.what() == what) return {};
  auto asked = job.asked;
  asked.set_what(what);
  return {asked, {}};
}

ControlEffect cancel(const ControlledJob& job) {
  if (job.followed) {
    if (job.asked.withdrawn()) return {};
    auto asked = job.asked;
    asked.set_withdrawn(true);
    return {asked, {}};
  }
  if (job.runs) return ask(job, Asked::cancel);
  return {{}, v1::StatusEvent::cancelled};
}

ControlEffect pause(const ControlledJob& job) {
  if (job.asked.what() == Asked::cancel) return {};
  if (job.runs) return ask(job, Asked::pause);
  // On its way out, to come back at once: it does not.
  if (job.phase == v1::JobState::paused) return ask(job, Asked::nothing);
  return {{}, v1::StatusEvent::paused};
}

ControlEffect resume(const ControlledJob& job) {
  if (job.runs) return job.asked.what() == Asked::pause ? ask(job, Asked::resume) : ControlEffect{};
  if (job.phase != v1::JobState::paused) return {};
  return {{}, v1::StatusEvent::resumed};
}

/// Which jobs a control command means: one, those of a resource, or with neither all of the tenant.
struct Target {
  std::string job, resource;
};

Target target_of(const v1::Command& c) {
  if (c.has_cancel()) return {c.cancel().job(), c.cancel().resource()};
  if (c.has_pause()) return {c.pause().job(), c.pause().resource()};
  return {c.resume().job(), c.resume().resource()};
}

bool of_resource(const v1::Sync& sync, const std::string& resource) {
  return sync.resource() == resource || stream_name(sync) == resource;
}

v1::TenantState tenant_of(const v1::Command& c, const Memory& memory) {
  return memory.tenant(tenant_journal_key(c.app(), c.tenant()));
}

}  // namespace

ControlEffect effect_of(v1::Command::ActionCase action, const ControlledJob& job) {
  switch (action) {
    case v1::Command::kCancel:
      return cancel(job);
    case v1::Command::kPause:
      return pause(job);
    case v1::Command::kResume:
      return resume(job);
    default:
      return {};
  }
}

std::optional<v1::StatusEvent::Type> left_to_do(const ControlledJob& job) noexcept {
  const bool paused = job.phase == v1::JobState::paused;
  if (job.asked.withdrawn() && !job.followed) return v1::StatusEvent::cancelled;
  switch (job.asked.what()) {
    case Asked::cancel:
      return v1::StatusEvent::cancelled;
    case Asked::pause:
      return paused ? std::nullopt : std::optional(v1::StatusEvent::paused);
    case Asked::resume:
      return paused ? std::optional(v1::StatusEvent::resumed) : std::nullopt;
    default:
      return std::nullopt;
  }
}

void forget_asked(std::vector<JournalEntry>& journal, const Memory& memory, const std::string& job, bool ended) {
  auto asked = memory.asked(job);
  if (asked.what() == Asked::nothing && !asked.withdrawn()) return;
  asked.set_what(Asked::nothing);
  if (ended) asked.clear_withdrawn();
  journal.push_back(asked_entry(job, asked));
}

std::optional<std::string> pause_over(const v1::Command& sync, const Memory& memory) {
  const auto tenant = tenant_of(sync, memory);
  if (tenant.paused()) return fmt::format("tenant {} is paused", sync.tenant());
  for (const auto& resource : tenant.paused_resources())
    if (of_resource(sync.sync(), resource)) return fmt::format("{} is paused", resource);
  return std::nullopt;
}

std::optional<Refusal> cannot_resume(const v1::Command& command, const Memory& memory) {
  const auto target = target_of(command);
  if (!command.has_resume() || (target.job.empty() && target.resource.empty())) return std::nullopt;
  std::optional<std::string> over;
  if (const auto* job = memory.job(job_journal_key(command.app(), command.tenant(), target.job)); job != nullptr)
    over = pause_over(job->command(), memory);
  else if (tenant_of(command, memory).paused())
    over = fmt::format("tenant {} is paused", command.tenant());
  if (!over) return std::nullopt;
  return Refusal{"paused", *over + " as a whole: it goes on with that only"};
}

std::vector<std::string> jobs_meant(const v1::Command& command, const Memory& memory) {
  const auto target = target_of(command);
  std::vector<std::string> out;
  if (!target.job.empty()) {
    const auto key = job_journal_key(command.app(), command.tenant(), target.job);
    const auto* job = memory.job(key);
    if (job == nullptr) return out;
    const auto into = job_journal_key(command.app(), command.tenant(), job->target());
    const bool follows = job->phase() == v1::JobState::coalesced && memory.open_jobs().contains(into);
    if (!terminal(job->phase()) || (follows && command.has_cancel())) out.push_back(key);
    return out;
  }
  const auto prefix = job_journal_key(command.app(), command.tenant(), "");
  const auto& open = memory.open_jobs();
  for (auto key = open.lower_bound(prefix); key != open.end() && key->starts_with(prefix); ++key) {
    if (!target.resource.empty() && !of_resource(memory.job(*key)->command().sync(), target.resource)) continue;
    if (command.has_cancel()) out.insert(out.end(), memory.jobs().followers(*key).begin(), memory.jobs().followers(*key).end());
    out.push_back(*key);
  }
  return out;
}

std::optional<JournalEntry> tenant_after(const v1::Command& command, const Memory& memory) {
  const auto target = target_of(command);
  if (!target.job.empty() || command.has_cancel()) return std::nullopt;
  auto tenant = tenant_of(command, memory);
  auto& resources = *tenant.mutable_paused_resources();
  const bool known = std::find(resources.begin(), resources.end(), target.resource) != resources.end();
  if (command.has_pause()) {
    if (target.resource.empty()) tenant.set_paused(true);
    if (!target.resource.empty() && !known) tenant.add_paused_resources(target.resource);
  } else if (target.resource.empty()) {
    if (!tenant.paused() && resources.empty()) return std::nullopt;
    tenant = {};
  } else {
    if (!known) return std::nullopt;
    resources.erase(std::remove(resources.begin(), resources.end(), target.resource), resources.end());
  }
  const bool nothing = !tenant.paused() && tenant.paused_resources().empty();
  return JournalEntry{tenant_journal_key(command.app(), command.tenant()),
                      nothing ? std::nullopt : std::optional<JournalEntry::Value>(tenant)};
}

}  // namespace stsync::sync
