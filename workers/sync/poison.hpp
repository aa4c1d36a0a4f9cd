#pragma once
#include <string>
#include <string_view>

#include "core/crash_notes.hpp"
#include "kafka/message.hpp"
#include "stsync/v1/status.pb.h"
#include "sync/intake.hpp"

namespace stsync::sync {

/// The code of what crashed the worker twice: it is set aside, not tried a third time.
inline constexpr const char* kPoison = "poison";

/// How a command is called in notes of crashes, wherever and whenever it is read: "command/<topic>/<partition>/<offset>/<time>". A
/// topic that was made anew has other times.
std::string crash_name(const kafka::Message& command);
/// What is known of a command that has been read: its job's key in the journal.
std::string crash_detail(const v1::Command& command);

/// Without looking at the command again; whose it is stands in the note, if it was known by then.
Reject poison_command(const core::CrashNote& note);
/// Of a job that crashed the worker.
v1::Failure poison_job(const core::CrashNote& note);

}  // namespace stsync::sync
