// The last word of a job, and what goes on in its place.
#include "core/text.hpp"
#include "sync/control.hpp"
#include "sync/job.hpp"
#include "sync/names.hpp"
#include "sync/schedules.hpp"
#include "sync/status.hpp"
#include "telemetry/log.hpp"

namespace stsync::sync {

using core::Error;
using core::ErrorKind;
using servicetitan::LostCursor;
using namespace std::chrono_literals;

namespace {

constexpr core::Duration kSayAgain = 10s;
/// So often a job that cannot go on begins anew as another one.
constexpr std::int64_t kMaxRestarts = 5;

/// What ends a lane, or says that it has ended.
bool ends_lane(const Error& e) {
  return e.kind() == ErrorKind::doubt || e.kind() == ErrorKind::fenced || e.kind() == ErrorKind::cancelled;
}

}  // namespace

LostCursor Job::lost_cursor() const {
  const auto& policy = context_.config.worker.lost_cursor;
  if (policy == "fail") return LostCursor::fail;
  return policy == "restart" ? LostCursor::restart : LostCursor::from_watermark;
}

/// Whether a job that cannot go on begins anew as another one.
bool Job::goes_on(const Error& why) const {
  if (state_.restarts() >= kMaxRestarts) return false;
  if (why.kind() == ErrorKind::restarted) return true;
  return why.kind() == ErrorKind::cursor_lost && lost_cursor() != LostCursor::fail;
}

v1::JobState Job::successor(const Error& why) const {
  v1::JobState next;
  *next.mutable_command() = state_.command();
  next.mutable_command()->set_id(core::uuid5("restart " + state_.command().id()));
  if (why.kind() == ErrorKind::cursor_lost) next.mutable_command()->mutable_sync()->set_mode(v1::full);
  next.set_phase(v1::JobState::waiting);
  next.set_accepted_ms(now().time_since_epoch().count());
  next.set_order(state_.order());
  next.set_restarts(state_.restarts() + 1);
  next.mutable_counts();
  return next;
}

/// In one transaction with the end of this job: its successor, and the cursor forgotten that was lost.
void Job::add_successor(Contribution& c, const v1::JobState& next, const Error& why) const {
  const auto& topic = context_.config.kafka.topics.status;
  if (why.kind() == ErrorKind::cursor_lost) {
    const auto key = stream_;
    auto stream = context_.memory.stream(key);
    forget_cursor(stream);
    stream.set_updated_ms(now().time_since_epoch().count());
    c.journal.push_back({key, stream});
  }
  c.journal.push_back({job_journal_key(account_.app, account_.tenant, next.command().id()), next});
  auto told = job_event(v1::StatusEvent::restarted, state_, now());
  told.set_note("goes on as job " + next.command().id());
  c.messages.insert(c.messages.begin(), status_message(topic, told));
  c.messages.push_back(status_message(topic, job_event(v1::StatusEvent::accepted, next, now())));
}

void count_end(Contribution& c, telemetry::Metrics& metrics, const v1::JobState& job) {
  c.on_committed = [&metrics, app = job.command().app(), outcome = v1::JobState::Phase_Name(job.phase()),
                    then = std::move(c.on_committed)] {
    metrics.job_ended(app, outcome);
    if (then) then();
  };
}

/// The last word of a job, built on what is committed: pages that never will be are not counted. Where it cannot be written (the
/// topic of statuses is gone) it is said again until it can: a job that nobody ends would keep its stream for good.
boost::asio::awaitable<JobEnd> Job::end(v1::JobState::Phase phase, v1::StatusEvent::Type type, const Error* why, JobEnd result) {
  ending_ = true;
  const auto counts = state_.counts();
  if (why != nullptr) state_ = committed_;
  state_.mutable_counts()->set_calls(counts.calls());
  state_.mutable_counts()->set_retries(counts.retries());
  state_.mutable_counts()->set_throttled(counts.throttled());
  std::optional<v1::JobState> next;
  if (why != nullptr && goes_on(*why)) {
    next = successor(*why);
    state_.set_target(next->command().id());
  }
  terminal(phase) ? end_job(state_, phase, now()) : state_.set_phase(phase);
  if (why != nullptr) {
    *state_.mutable_failure() = failure_of(*why, "crawl", false);
    telemetry::log(telemetry::Level::error, "job_failed", why->message(),
                   {{"job", state_.command().id()},
                    {"app", account_.app},
                    {"tenant", account_.tenant},
                    {"resource", name_},
                    {"code", core::to_string(why->kind())}});
  }
  auto event = job_event(type, state_, now());
  if (why != nullptr) *event.mutable_failure() = state_.failure();
  do {
    auto c = contribution_of_state();
    // One that is to come back at once is paused first.
    if (phase != v1::JobState::paused || context_.memory.asked(key_).what() != v1::AskedState::resume)
      forget_asked(c.journal, context_.memory, key_, terminal(phase));
    if (terminal(phase)) {
      note_scheduled_end(c.journal, context_.memory, state_, next ? next->command().id() : "");
      count_end(c, context_.metrics, state_);
    }
    c.messages.push_back(status_message(context_.config.kafka.topics.status, event));
    if (next) add_successor(c, *next, *why);
    const auto ticket = context_.committer.submit(std::move(c));
    const auto committed = co_await ticket->wait();
    if (committed) co_return result;
    if (ends_lane(committed.error())) co_return JobEnd::lane_stopped;
  } while (co_await wait(kSayAgain, lane_stop_));
  co_return JobEnd::lane_stopped;
}

}  // namespace stsync::sync
