#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "kafka/message.hpp"
#include "stsync/v1/journal.pb.h"
#include "stsync/v1/status.pb.h"

namespace stsync::sync {

/// An event about a job as it stands. Small whatever the command says: names that no command may have are cut and made printable.
v1::StatusEvent job_event(v1::StatusEvent::Type type, const v1::JobState& job, core::WallTime now);
/// The last event of a job once more; nothing when it has not ended.
std::optional<v1::StatusEvent> end_event(const v1::JobState& job, core::WallTime now);
v1::Failure failure_of(const core::Error& error, std::string_view stage, bool retryable);
/// On the status topic, keyed by the event's app and tenant, or by `key` (its first 1,024 bytes) where there is none.
kafka::OwnedMessage status_message(const std::string& topic, const v1::StatusEvent& event, const std::string& key = {});

void set_time(google::protobuf::Timestamp& out, core::WallTime t);
core::WallTime time_of(const google::protobuf::Timestamp& t) noexcept;

}  // namespace stsync::sync
