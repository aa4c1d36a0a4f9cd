#pragma once
#include <optional>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "limits/fair_ring.hpp"
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

/// How soon somebody wants what a sync reads.
limits::WorkClass work_of(const v1::Sync& sync) noexcept;
/// Whether a job may be read beside another one of its stream, page about: single rows, or what has changed since the cursor,
/// beside a full or a window. Pure.
bool may_visit(const v1::JobState& guest, const v1::JobState& host, const v1::StreamState& stream) noexcept;
/// Why a job is over although it has not ended: it was to have begun, or ended, by a time that its command names. Pure.
std::optional<core::Error> overdue(const v1::JobState& job, core::WallTime now);

}  // namespace stsync::sync
