// Calls about reports: they wait for their turn (one run a minute), are repeated here instead of by the API, and what the vendor
// holds for a job is given back at its end. These waits are long: they hold neither memory of pages nor a place in the tenant's
// quota.
#include <fmt/format.h>

#include "core/text.hpp"
#include "servicetitan/classify.hpp"
#include "sync/job.hpp"
#include "sync/names.hpp"

namespace stsync::sync {

using core::Error;
using core::ErrorKind;
using servicetitan::Remedy;

namespace {

/// Of a call that the job can do without.
constexpr int kFewTries = 3;

std::int64_t ms(core::WallTime t) { return t.time_since_epoch().count(); }
Error stopped() { return {ErrorKind::cancelled, "stopped"}; }

}  // namespace

/// Until the call may be made; what was published before is committed then.
boost::asio::awaitable<std::optional<Error>> Job::take_turn(const servicetitan::Request& request) {
  if (auto error = co_await wait_for_room(0)) co_return error;
  const auto turn = *request.turn;
  if (turn.wait.count() > 0 && !co_await wait(turn.wait, stop_.token())) co_return stopped();
  if (turn.run) co_return co_await wait_for_run(turn.at_once);
  co_return std::nullopt;
}

/// The time of a run is journalled before it begins: whoever takes the job over keeps its distance too.
boost::asio::awaitable<std::optional<Error>> Job::wait_for_run(bool at_once) {
  bool told = false;
  for (;;) {
    const auto pause = pace_->wait(ms(now()), at_once);
    if (pause.count() <= 0) break;
    const Error why(ErrorKind::throttled, fmt::format("{} may be run again at {}", stream_name(state_.command().sync()),
                                                      core::format_utc(now() + pause)));
    if (!std::exchange(told, true)) stall(v1::StatusEvent::throttled, why, "request", pause);
    if (!co_await wait(pause, stop_.token())) co_return stopped();
  }
  pace_->began(ms(now()));
  auto stream = context_.memory.stream(stream_);
  stream.set_report_run_ms(pace_->last_run_ms());
  Contribution c;
  c.journal.push_back({stream_, stream});
  c.urgent = true;
  const auto written = co_await context_.committer.submit(std::move(c))->wait();
  if (!written) co_return written.error();
  co_return std::nullopt;
}

/// A run counts from when it went out: it may have stood in the tenant's line.
void Job::ran() {
  if (const auto sent = ms(calls_.sent); sent > pace_->last_run_ms()) pace_->began(sent);
}

/// Whether the same call is made once more; waits where that is not its turn's business. After a stop it says so too: the turn that
/// follows ends it.
boost::asio::awaitable<bool> Job::asks_again(const servicetitan::Request& request, const Error& error,
                                             servicetitan::Attempts& attempts) {
  const auto& turn = *request.turn;
  if (turn.may_fail && attempts.retries + attempts.bad_pages + attempts.refusals >= kFewTries) co_return false;
  const auto verdict = servicetitan::classify(error, attempts, context_.rng);
  if (verdict.remedy == Remedy::slow_down) {
    if (turn.run) {
      pace_->refused(ms(now()), error.retry_after());
      co_return true;
    }
    throttled(error);
    co_await wait(error.retry_after().value_or(std::chrono::seconds(1)), stop_.token());
    co_return true;
  }
  if (verdict.remedy != Remedy::retry) co_return false;
  ++calls_.retries;
  count_calls();
  retrying(error, verdict.wait);
  co_await wait(verdict.wait, stop_.token());
  co_return true;
}

/// Gives back what the vendor holds for a job that will not go on here, so that the tenant's next report finds a place. Tried once:
/// the vendor forgets by itself in the end.
boost::asio::awaitable<void> Job::say_farewell() {
  if (!crawl_) co_return;
  const auto request = crawl_->farewell();
  if (!request) co_return;
  static_cast<void>(co_await context_.pages.get_page(account_, *request, calls_, *this, lane_stop_));
  count_calls();
  crawl_->said_farewell();
  const auto role = state_.crawl().role();
  *state_.mutable_crawl() = crawl_->state();
  state_.mutable_crawl()->set_role(role);
}

}  // namespace stsync::sync
