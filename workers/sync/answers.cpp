#include "sync/answers.hpp"

#include <string>
#include <utility>

#include "sync/dead_letter.hpp"
#include "sync/names.hpp"
#include "sync/status.hpp"

namespace stsync::sync {
namespace {

constexpr const char* kStage = "validate";

std::int64_t ms(core::WallTime t) { return t.time_since_epoch().count(); }

std::string key_of(const v1::Command& command) { return job_journal_key(command.app(), command.tenant(), command.id()); }

v1::JobState job_of(const v1::Command& command, const Answering& to) {
  v1::JobState job;
  *job.mutable_command() = command;
  job.set_accepted_ms(ms(to.now));
  return job;
}

Contribution settling(const Answering& to) {
  Contribution c;
  c.settled = to.settled();
  c.urgent = true;
  return c;
}

v1::Failure failure(std::string code, std::string message) {
  v1::Failure out;
  out.set_code(std::move(code));
  out.set_stage(kStage);
  out.set_message(std::move(message));
  return out;
}

}  // namespace

Contribution answer(const Accept& accept, const Answering& to) {
  auto job = job_of(accept.command, to);
  pack_ids(*job.mutable_command()->mutable_sync());
  job.set_body_hash(accept.body_hash);
  job.set_phase(v1::JobState::waiting);
  job.set_order(to.message.offset);
  job.mutable_counts();
  auto c = settling(to);
  auto event = job_event(v1::StatusEvent::accepted, job, to.now);
  event.set_note(accept.note);
  c.messages.push_back(status_message(to.topics.status, event));
  c.journal.push_back({key_of(accept.command), std::move(job)});
  return c;
}

Contribution answer(const Coalesce& coalesce, const Answering& to) {
  auto job = job_of(coalesce.command, to);
  job.set_body_hash(coalesce.body_hash);
  job.set_phase(v1::JobState::coalesced);
  job.set_target(coalesce.target);
  job.set_finished_ms(job.accepted_ms());
  auto c = settling(to);
  c.messages.push_back(status_message(to.topics.status, job_event(v1::StatusEvent::coalesced, job, to.now)));
  forget_arguments(*job.mutable_command());
  c.journal.push_back({key_of(coalesce.command), std::move(job)});
  if (coalesce.widened) c.journal.push_back({key_of(coalesce.widened->command()), *coalesce.widened});
  return c;
}

Contribution answer(const Duplicate& duplicate, const Answering& to, const Memory& memory) {
  const auto& command = duplicate.command;
  auto job = job_of(command, to);
  job.set_target(command.id());
  auto c = settling(to);
  c.messages.push_back(status_message(to.topics.status, job_event(v1::StatusEvent::duplicate, job, to.now)));
  const auto tell_end_of = [&](const std::string& id) {
    const auto* known = memory.job(job_journal_key(command.app(), command.tenant(), id));
    const auto event = known == nullptr ? std::nullopt : end_event(*known, to.now);
    if (event) c.messages.push_back(status_message(to.topics.status, *event));
    return event ? event->target() : std::string();
  };
  if (const auto target = tell_end_of(command.id()); !target.empty()) tell_end_of(target);
  return c;
}

Contribution answer(const Forward& forward, const Answering& to) {
  auto c = settling(to);
  c.messages.push_back({to.topics.commands, forward.partition, forward.key, to.message.value, to.message.headers});
  c.messages.back().headers.emplace_back("st-forwarded", "1");
  return c;
}

Contribution answer(const Reject& reject, const Answering& to) {
  const auto& m = to.message;
  v1::JobState job;
  if (reject.command) *job.mutable_command() = *reject.command;
  auto event = job_event(v1::StatusEvent::rejected, job, to.now);
  *event.mutable_failure() = failure(reject.code, reject.message);
  auto c = settling(to);
  c.messages.push_back(status_message(to.topics.status, event, m.key.value_or("")));
  c.messages.push_back(dead_letter_message(to.topics.dlq, {m.key.value_or(""), m.value.value_or(""), m.topic, m.partition, m.offset,
                                                           kStage, reject.code, reject.message, m.headers}));
  return c;
}

Contribution answer(const Control& control, const Answering& to, const std::optional<Refusal>& refusal) {
  auto job = job_of(control.command, to);
  job.set_body_hash(control.body_hash);
  job.set_phase(refusal ? v1::JobState::rejected : v1::JobState::control);
  job.set_finished_ms(job.accepted_ms());
  if (refusal) *job.mutable_failure() = failure(refusal->code, refusal->message);
  auto c = settling(to);
  c.messages.push_back(status_message(to.topics.status, *end_event(job, to.now)));
  forget_arguments(*job.mutable_command());
  c.journal.push_back({key_of(control.command), std::move(job)});
  return c;
}

}  // namespace stsync::sync
