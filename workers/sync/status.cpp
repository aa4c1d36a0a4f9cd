#include "sync/status.hpp"

#include "codec/wire.hpp"
#include "core/text.hpp"
#include "sync/names.hpp"

namespace stsync::sync {
namespace {
constexpr std::size_t kDeadLetterBytes = 512u << 10;
constexpr std::size_t kHeaderText = 1024;
}  // namespace

void set_time(google::protobuf::Timestamp& out, core::WallTime t) {
  const auto ms = t.time_since_epoch().count();
  out.set_seconds(ms / 1000);
  out.set_nanos(static_cast<int>(ms % 1000) * 1'000'000);
}

v1::StatusEvent job_event(v1::StatusEvent::Type type, const v1::JobState& job, core::WallTime now) {
  v1::StatusEvent e;
  const auto& c = job.command();
  e.set_type(type);
  e.set_job(c.id());
  e.set_app(c.app());
  e.set_tenant(c.tenant());
  if (c.has_sync()) e.set_resource(c.sync().resource());
  set_time(*e.mutable_time(), now);
  *e.mutable_counts() = job.counts();
  if (!job.target().empty()) e.set_target(job.target());
  return e;
}

v1::Failure failure_of(const core::Error& error, std::string_view stage, bool retryable) {
  v1::Failure f;
  f.set_code(std::string(core::to_string(error.kind())));
  f.set_stage(std::string(stage));
  f.set_message(error.message().substr(0, kHeaderText));
  f.set_retryable(retryable);
  return f;
}

kafka::OwnedMessage status_message(const std::string& topic, const v1::StatusEvent& event, const std::string& key) {
  return {topic, kafka::kAnyPartition, event.app().empty() ? key : tenant_key(event.app(), event.tenant()), codec::to_json(event)};
}

kafka::OwnedMessage dead_letter_message(const std::string& topic, const DeadLetter& letter) {
  kafka::OwnedMessage m{topic, kafka::kAnyPartition, std::string(letter.key),
                        std::string(letter.value.substr(0, kDeadLetterBytes))};
  m.headers = {{"__connect.errors.topic", letter.topic},
               {"__connect.errors.partition", std::to_string(letter.partition)},
               {"__connect.errors.offset", std::to_string(letter.offset)},
               {"__connect.errors.stage", letter.stage},
               {"__connect.errors.exception.message", core::printable(letter.message, kHeaderText)},
               {"st-error-code", letter.code}};
  if (letter.value.size() > kDeadLetterBytes) {
    m.headers.emplace_back("st-truncated", std::to_string(letter.value.size()));
    m.headers.emplace_back("st-sha256", core::sha256_hex(letter.value));
  }
  return m;
}

}  // namespace stsync::sync
