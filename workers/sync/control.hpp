#pragma once
#include "stsync/v1/command.pb.h"
#include "stsync/v1/journal.pb.h"

namespace stsync::sync {

/// What cancel, pause and resume do to one job that has not ended.
enum class ControlEffect {
  nothing,
  ask_to_cancel,  ///< it runs: it ends by itself, at the next page
  ask_to_pause,
  ask_to_resume,
  cancel,  ///< it does not: its phase changes here
  pause,
  resume,
};

/// Pure. `phase`: as submitted. `runs`: somebody works on it and has not said its last word; a job on its way out is not asked any
/// more, because it would not hear.
ControlEffect effect_of(v1::Command::ActionCase action, v1::JobState::Phase phase, bool runs) noexcept;

}  // namespace stsync::sync
