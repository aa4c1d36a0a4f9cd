#include "sync/control.hpp"

#include <gtest/gtest.h>

namespace stsync::sync {
namespace {

using enum ControlEffect;

TEST(Control, ReachesAJobWhereverItStands) {
  constexpr auto kCancel = v1::Command::kCancel, kPause = v1::Command::kPause, kResume = v1::Command::kResume;
  struct Case {
    v1::Command::ActionCase action;
    v1::JobState::Phase phase;
    bool runs;
    ControlEffect effect;
  };
  for (const auto& c : {
           Case{kCancel, v1::JobState::waiting, false, cancel},
           Case{kCancel, v1::JobState::waiting, true, ask_to_cancel},  // started a moment ago
           Case{kCancel, v1::JobState::running, true, ask_to_cancel},
           Case{kCancel, v1::JobState::running, false, cancel},  // its tenant is not configured at present
           Case{kCancel, v1::JobState::paused, false, cancel},   // paused long ago, or on its way out: both do not hear
           Case{kPause, v1::JobState::waiting, false, pause},
           Case{kPause, v1::JobState::waiting, true, ask_to_pause},
           Case{kPause, v1::JobState::running, true, ask_to_pause},
           Case{kPause, v1::JobState::running, false, pause},
           Case{kPause, v1::JobState::paused, false, nothing},
           Case{kResume, v1::JobState::waiting, false, nothing},
           Case{kResume, v1::JobState::running, true, ask_to_resume},  // it may have been asked to pause
           Case{kResume, v1::JobState::running, false, nothing},
           Case{kResume, v1::JobState::paused, false, resume},
           Case{v1::Command::kSync, v1::JobState::running, true, nothing},
       })
    EXPECT_EQ(effect_of(c.action, c.phase, c.runs), c.effect)
        << c.action << " on " << v1::JobState::Phase_Name(c.phase) << (c.runs ? ", runs" : "");
}

}  // namespace
}  // namespace stsync::sync
