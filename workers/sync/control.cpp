#include "sync/control.hpp"

namespace stsync::sync {

ControlEffect effect_of(v1::Command::ActionCase action, v1::JobState::Phase phase, bool runs) noexcept {
  const bool paused = phase == v1::JobState::paused;
  switch (action) {
    case v1::Command::kCancel:
      return runs ? ControlEffect::ask_to_cancel : ControlEffect::cancel;
    case v1::Command::kPause:
      if (runs) return ControlEffect::ask_to_pause;
      return paused ? ControlEffect::nothing : ControlEffect::pause;
    case v1::Command::kResume:
      if (runs) return ControlEffect::ask_to_resume;
      return paused ? ControlEffect::resume : ControlEffect::nothing;
    default:
      return ControlEffect::nothing;
  }
}

}  // namespace stsync::sync
