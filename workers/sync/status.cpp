#include "sync/status.hpp"

#include <algorithm>

#include "codec/wire.hpp"
#include "core/text.hpp"
#include "sync/names.hpp"

namespace stsync::sync {
namespace {
constexpr std::size_t kHeaderText = 1024;
constexpr std::size_t kKeyBytes = 1024;
constexpr std::size_t kNameBytes = 128;

/// At most `limit` bytes, whole characters: half of one is no text, and a journal entry that holds it cannot be read again.
std::string cut(const std::string& text, std::size_t limit) {
  auto end = std::min(limit, text.size());
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) --end;
  return text.substr(0, end);
}

std::string name(const std::string& text) { return core::printable(text, kNameBytes); }

}  // namespace

void set_time(google::protobuf::Timestamp& out, core::WallTime t) {
  const auto ms = t.time_since_epoch().count();
  out.set_seconds(ms / 1000);
  out.set_nanos(static_cast<int>(ms % 1000) * 1'000'000);
}

core::WallTime time_of(const google::protobuf::Timestamp& t) noexcept {
  return core::WallTime(std::chrono::milliseconds(t.seconds() * 1000 + t.nanos() / 1'000'000));
}

v1::StatusEvent job_event(v1::StatusEvent::Type type, const v1::JobState& job, core::WallTime now) {
  v1::StatusEvent e;
  const auto& c = job.command();
  e.set_type(type);
  e.set_job(name(c.id()));
  e.set_app(name(c.app()));
  e.set_tenant(c.tenant());
  if (c.has_sync()) e.set_resource(name(c.sync().resource()));
  set_time(*e.mutable_time(), now);
  *e.mutable_counts() = job.counts();
  if (!job.target().empty()) e.set_target(name(job.target()));
  return e;
}

std::optional<v1::StatusEvent> end_event(const v1::JobState& job, core::WallTime now) {
  const auto event = [&](v1::StatusEvent::Type type) {
    auto e = job_event(type, job, now);
    if (job.has_failure()) *e.mutable_failure() = job.failure();
    return e;
  };
  switch (job.phase()) {
    case v1::JobState::completed:
    case v1::JobState::control:
      return event(v1::StatusEvent::completed);
    case v1::JobState::failed:
      return event(v1::StatusEvent::failed);
    case v1::JobState::cancelled:
      return event(v1::StatusEvent::cancelled);
    case v1::JobState::rejected:
      return event(v1::StatusEvent::rejected);
    case v1::JobState::coalesced:
      return event(v1::StatusEvent::coalesced);
    default:
      return std::nullopt;
  }
}

v1::Failure failure_of(const core::Error& error, std::string_view stage, bool retryable) {
  v1::Failure f;
  f.set_code(std::string(core::to_string(error.kind())));
  f.set_stage(std::string(stage));
  f.set_message(cut(error.message(), kHeaderText));
  f.set_retryable(retryable);
  return f;
}

kafka::OwnedMessage status_message(const std::string& topic, const v1::StatusEvent& event, const std::string& key) {
  auto own = event.app().empty() ? key.substr(0, kKeyBytes) : tenant_key(event.app(), event.tenant());
  return {topic, kafka::kAnyPartition, std::move(own), codec::to_json(event)};
}

}  // namespace stsync::sync
