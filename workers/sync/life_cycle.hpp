#pragma once
#include <optional>

#include "stsync/v1/journal.pb.h"
#include "stsync/v1/status.pb.h"

namespace stsync::sync {

/// Where an event leads a job from its phase; nothing: it must not happen there. Everything that a job does is a row of one table
/// (docs/jobs.md). `unspecified`: nothing is known of the job yet. Pure.
std::optional<v1::JobState::Phase> after(v1::JobState::Phase phase, v1::StatusEvent::Type event) noexcept;

/// The job has ended, or its command has: nothing is done for it any more.
bool terminal(v1::JobState::Phase phase) noexcept;
/// It has begun, and goes on by itself.
bool begun(v1::JobState::Phase phase) noexcept;

}  // namespace stsync::sync
