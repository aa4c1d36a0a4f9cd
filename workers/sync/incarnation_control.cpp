// What commands and time do to a lane's jobs, besides starting them.
#include <utility>

#include "core/at_work.hpp"
#include "core/text.hpp"
#include "sync/incarnation.hpp"
#include "sync/names.hpp"
#include "sync/poison.hpp"
#include "sync/schedules.hpp"
#include "sync/status.hpp"
#include "telemetry/log.hpp"

namespace stsync::sync {

/// What it changes of a cursor or a tenant is committed with the answer; jobs tell by themselves what they do.
void Lane::Incarnation::control(const Control& control, const Answering& to) {
  const auto& command = control.command;
  Contribution changes;
  const auto refusal = command.has_cursor() ? control_cursor(command, changes) : control_jobs(command, changes);
  auto c = answer(control, to, refusal);
  c.journal.insert(c.journal.begin(), changes.journal.begin(), changes.journal.end());
  ctx.metrics.command(refusal ? "rejected" : "accepted");
  submit_answer(std::move(c), to.message);
}

/// What a command without a job means is true of jobs to come, too. A job's own events follow when it has stopped.
std::optional<Refusal> Lane::Incarnation::control_jobs(const v1::Command& command, Contribution& changes) {
  if (auto refusal = cannot_resume(command, memory)) return refusal;
  const auto meant = jobs_meant(command, memory);
  const auto tenant = tenant_after(command, memory);
  if (meant.empty() && !tenant) return Refusal{"not_found", "there is no such job"};
  for (const auto& key : meant) control_job(command.action_case(), key);
  if (tenant) changes.journal.push_back(*tenant);
  return std::nullopt;
}

void Lane::Incarnation::control_job(v1::Command::ActionCase action, const std::string& key) {
  const auto state = *memory.job(key);
  // With the last of those that were merged into it a job may have been cancelled a moment ago.
  if (terminal(state.phase()) && state.phase() != v1::JobState::coalesced) return;
  if (state.phase() == v1::JobState::coalesced) {
    change(key, v1::StatusEvent::cancelled);
    const auto target = job_journal_key(state.command().app(), state.command().tenant(), state.target());
    if (memory.asked(target).withdrawn() && memory.jobs().followers(target).empty()) control_job(action, target);
    return;
  }
  const auto it = running.find(key);
  const bool runs = it != running.end() && !it->second->ending();
  const auto effect = effect_of(action, {state.phase(), memory.asked(key), runs, !memory.jobs().followers(key).empty()});
  if (effect.event) return change(key, *effect.event);
  if (!effect.asked) return;
  Contribution c;
  c.journal.push_back(asked_entry(key, *effect.asked));
  c.urgent = true;
  if (effect.asked->withdrawn() && !memory.asked(key).withdrawn()) {
    auto event = job_event(v1::StatusEvent::progress, state, wall());
    event.set_note("cancelled, and goes on for the commands that were merged into it");
    c.messages.push_back(status_message(topics().status, event));
  }
  committer.submit(std::move(c));
  if (runs && effect.asked->what() == v1::AskedState::cancel) it->second->cancel();
  if (runs && effect.asked->what() == v1::AskedState::pause) it->second->pause();
}

std::optional<Refusal> Lane::Incarnation::control_cursor(const v1::Command& command, Contribution& changes) {
  const auto key = stream_journal_key(command.app(), command.tenant(), command.cursor().resource());
  auto stream = memory.stream(key);
  forget_cursor(stream);
  if (command.cursor().has_set()) {
    const auto* resource = ctx.catalogue.find(command.cursor().resource());
    if (resource->endpoint(servicetitan::Role::export_feed) != nullptr) {
      stream.set_token(command.cursor().set());
    } else {
      const auto time = core::parse_utc(command.cursor().set());
      if (!time) return Refusal{"bad_command", "the cursor of a list is a time such as 2026-01-02T03:04:05Z"};
      stream.set_watermark_ms(time->time_since_epoch().count());
    }
  }
  stream.set_updated_ms(wall().time_since_epoch().count());
  changes.journal.push_back({key, stream});
  return std::nullopt;
}

/// What happens to a job that nobody works on, or to a command that was merged. What was asked of it has happened with that.
void Lane::Incarnation::change(const std::string& key, v1::StatusEvent::Type type, const std::optional<v1::Failure>& why,
                               std::function<void()> on_committed) {
  const core::AtWork at_work(key);
  auto state = *memory.job(key);
  const auto phase = after(state.phase(), type);
  core::check(phase.has_value(), "a job changes along the table of its life");
  terminal(*phase) ? end_job(state, *phase, wall()) : state.set_phase(*phase);
  if (why) *state.mutable_failure() = *why;
  Contribution c;
  c.journal.push_back({key, state});
  forget_asked(c.journal, memory, key, terminal(*phase));
  c.on_committed = std::move(on_committed);
  if (terminal(*phase)) {
    note_scheduled_end(c.journal, memory, state);
    count_end(c, ctx.metrics, state);
  }
  auto event = job_event(type, state, wall());
  if (why) *event.mutable_failure() = *why;
  c.messages.push_back(status_message(topics().status, event));
  c.urgent = true;
  committer.submit(std::move(c));
}

/// Whether it is a job that crashed the worker again and again: nobody works on it any more.
bool Lane::Incarnation::set_aside(const std::string& key) {
  const auto crash = ctx.poison(key);
  if (!crash) return false;
  const auto why = poison_job(*crash);
  telemetry::log(telemetry::Level::error, "job_failed", why.message(),
                 {{"job", memory.job(key)->command().id()}, {"code", why.code()}});
  change(key, v1::StatusEvent::failed, why, ctx.forgets(key));
  return true;
}

/// A job whose time is over. One that runs ends by itself.
void Lane::Incarnation::expire(const std::string& key) {
  const auto why = overdue(*memory.job(key), wall());
  if (!why) return;
  const auto it = running.find(key);
  if (it == running.end()) return change(key, v1::StatusEvent::failed, failure_of(*why, "crawl", false));
  if (!it->second->ending()) it->second->give_up(*why);
}

/// What an earlier lane heard and did not live to do comes before everything else.
void Lane::Incarnation::do_what_is_left() {
  const auto open = memory.open_jobs();
  for (const auto& key : open) {
    if (set_aside(key)) continue;
    const core::AtWork at_work(key);
    const auto& job = *memory.job(key);
    const auto asked = memory.asked(key);
    const auto event = left_to_do({job.phase(), asked, false, !memory.jobs().followers(key).empty()});
    if (event) {
      change(key, *event);
    } else if (begun(job.phase())) {
      Contribution c;
      c.messages.push_back(status_message(topics().status, job_event(v1::StatusEvent::restarted, job, wall())));
      c.urgent = true;
      committer.submit(std::move(c));
    }
  }
}

}  // namespace stsync::sync
