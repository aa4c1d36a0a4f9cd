#pragma once
#include <optional>
#include <string>
#include <vector>

#include "stsync/v1/command.pb.h"
#include "stsync/v1/journal.pb.h"
#include "stsync/v1/status.pb.h"
#include "sync/memory.hpp"

namespace stsync::sync {

/// A job as a control command finds it.
struct ControlledJob {
  v1::JobState::Phase phase = v1::JobState::waiting;  ///< as submitted
  v1::AskedState asked;                               ///< of it before
  /// Somebody works on it and has not said its last word: a job on its way out is not asked any more, because it would not hear.
  bool runs = false;
  bool followed = false;  ///< other commands were merged into it
};

/// What cancel, pause and resume do to one job.
struct ControlEffect {
  /// What is asked of it from now on. A job that runs hears of it, and does it by itself at the next page.
  std::optional<v1::AskedState> asked;
  /// What happens to it at once: paused, resumed or cancelled.
  std::optional<v1::StatusEvent::Type> event;
};

/// Pure. Said twice, a command does nothing the second time.
ControlEffect effect_of(v1::Command::ActionCase action, const ControlledJob& job);

/// What is done about a job that was asked of something by a lane that did not live to see it. Pure.
std::optional<v1::StatusEvent::Type> left_to_do(const ControlledJob& job) noexcept;

/// What was asked of a job has happened, or will not any more (`ended`).
void forget_asked(std::vector<JournalEntry>& journal, const Memory& memory, const std::string& job, bool ended);

/// Why a control command is not carried out.
struct Refusal {
  std::string code;  ///< stable
  std::string message;
};

/// "tenant 1001 is paused", "jpm.jobs is paused": why a sync does not begin; nothing: it may. Pure.
std::optional<std::string> pause_over(const v1::Command& sync, const Memory& memory);
/// A part of what is paused as a whole goes on with that only. Pure.
std::optional<Refusal> cannot_resume(const v1::Command& command, const Memory& memory);
/// Keys of the jobs that a cancel, pause or resume means, and of commands merged into them before those. Pure.
std::vector<std::string> jobs_meant(const v1::Command& command, const Memory& memory);
/// What a pause or resume of a resource or a whole tenant makes of the tenant; nothing: it changes nothing. Pure.
std::optional<JournalEntry> tenant_after(const v1::Command& command, const Memory& memory);

}  // namespace stsync::sync
