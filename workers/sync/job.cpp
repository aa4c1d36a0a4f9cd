#include "sync/job.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "config/units.hpp"
#include "core/at_work.hpp"
#include "servicetitan/classify.hpp"
#include "sync/names.hpp"
#include "sync/status.hpp"
#include "telemetry/log.hpp"

namespace stsync::sync {

using core::Error;
using core::ErrorKind;
using servicetitan::FetchedPage;
using namespace std::chrono_literals;

namespace {

constexpr core::Duration kThrottledEvery = 10s;
constexpr core::Duration kAuthWait = 60s;
constexpr core::Duration kLongestStall = 15min;
/// A page is in memory twice: as its body, and in the producer's queue until the broker has it.
constexpr std::size_t kCopies = 2;
/// With each page that is not committed goes the journal's entry of the job, what that was before, and what to go back to.
constexpr std::size_t kEntries = 3;
/// What the list of records takes of each: on the page, in the step, in the run.
constexpr std::size_t kRecordMemory = sizeof(codec::Record) + sizeof(std::uint32_t) + sizeof(PageRows::Row);

/// Bytes that a page takes until it is published. One that stands in a file is in memory where it is looked at, and in the
/// producer's queue as far as that goes.
std::size_t memory_of(const FetchedPage& page) {
  if (!page.body->spooled()) return page.body->size() * kCopies;
  return page.page.records.size() * kRecordMemory + core::Passage::kWindow + kafka::kQueueBytes;
}
/// Of a file.
constexpr std::size_t kLongestKey = 2048;

RecordOrigin make_origin(const JobContext& context, const servicetitan::Resource& resource, const tokens::Account& account,
                         const v1::Command& command) {
  const auto& config = context.config;
  auto prefix = record_key_prefix(config, context.catalogue, resource, account.tenant);
  if (command.sync().mode() == v1::report) prefix += report_name(command.sync().report()) + ":";
  const auto& environment = config.find_tenant(account.app, account.tenant)->environment;
  return {records_topic(config.kafka.topics, resource, environment),
          std::move(prefix),
          fmt::format("{}/{}/{}/{}", account.app, account.tenant, environment, resource.name),
          command.id(),
          config.cloudevents ? "com.servicetitan." + resource.name : "",
          job_journal_key(account.app, account.tenant, command.id())};
}

/// The most bytes of a file that its topic takes as a record.
std::size_t most_of_file(const servicetitan::Resource& resource, std::size_t record_limit) {
  const auto room = record_limit - std::min(record_limit, kRecordOverhead + kLongestKey);
  return std::min(static_cast<std::size_t>(resource.max_file), room);
}

/// A refusal may mean something to the crawl: a parent that is gone, a sort that is not known, a file that is too large. Any other
/// failure does not, unless it is of a call that may fail.
bool ends_job(const servicetitan::Request& request, const Error& e) {
  if (request.turn && request.turn->may_fail) return e.kind() == ErrorKind::cancelled;
  if (request.wants_file() && e.kind() == ErrorKind::too_large) return false;
  return e.kind() != ErrorKind::not_found && e.kind() != ErrorKind::bad_request;
}

/// An incremental list whose watermark is newer than what has settled.
bool nothing_to_do(const v1::CrawlState& crawl) {
  if (crawl.has_list()) return crawl.list().from_ms() >= crawl.list().to_ms();
  if (crawl.has_fanout() && crawl.fanout().has_parents()) return nothing_to_do(crawl.fanout().parents());
  return crawl.has_period() && crawl.period().begin_ms() >= crawl.period().end_ms();
}

}  // namespace

Job::Job(JobContext& context, std::string key, v1::JobState state, StreamSeat seat)
    : context_(context),
      key_(std::move(key)),
      seat_(seat),
      state_(std::move(state)),
      committed_(state_),
      name_(state_.command().sync().resource()),
      stream_(stream_journal_key(state_.command())),
      resource_(context.catalogue.find(name_)),
      account_{state_.command().app(), state_.command().tenant()},
      origin_(resource_ == nullptr ? RecordOrigin{} : make_origin(context, *resource_, account_, state_.command())) {}

void Job::cancel() {
  asked_ = JobEnd::cancelled;
  stop_.request_stop();
}

void Job::pause() {
  if (!asked_) asked_ = JobEnd::paused;
  stop_.request_stop();
}

void Job::give_up(Error why) {
  if (asked_ == JobEnd::cancelled || given_up_) return;
  asked_ = JobEnd::finished;
  given_up_ = std::move(why);
  stop_.request_stop();
}

boost::asio::awaitable<JobEnd> Job::run(core::StopToken lane_stop) {
  lane_stop_ = lane_stop;
  const auto on_lane_stop = lane_stop.on_stop([this] { stop_.request_stop(); });
  auto error = begin();
  if (!error) error = co_await crawl_pages();
  if (!error) {
    telemetry::log(telemetry::Level::info, "job_completed", "job completed",
                   {{"job", state_.command().id()},
                    {"app", account_.app},
                    {"tenant", account_.tenant},
                    {"resource", name_},
                    {"records", state_.counts().records()},
                    {"pages", state_.counts().pages()}});
    co_return JobEnd::finished;
  }
  if (error->kind() == ErrorKind::doubt || error->kind() == ErrorKind::fenced || lane_stop.stop_requested())
    co_return JobEnd::lane_stopped;
  // What is to stop does not begin anew either.
  if (asked_ && (error->kind() == ErrorKind::cancelled || goes_on(*error))) {
    co_await say_farewell();
    if (given_up_) co_return co_await end(v1::JobState::failed, v1::StatusEvent::failed, &*given_up_, JobEnd::finished);
    const bool cancelled = *asked_ == JobEnd::cancelled;
    co_return co_await end(cancelled ? v1::JobState::cancelled : v1::JobState::paused,
                           cancelled ? v1::StatusEvent::cancelled : v1::StatusEvent::paused, nullptr, *asked_);
  }
  if (error->kind() == ErrorKind::cancelled) co_return JobEnd::lane_stopped;
  co_await say_farewell();
  co_return co_await end(v1::JobState::failed, v1::StatusEvent::failed, &*error, JobEnd::finished);
}

core::Result<servicetitan::Plan> Job::make_plan() const {
  const auto& sync = state_.command().sync();
  const auto stream = context_.memory.stream(stream_);
  return servicetitan::plan({context_.catalogue, *resource_, sync, stream, settled_ms(),
                             context_.pages.vendor_now().time_since_epoch().count(), lost_cursor()});
}

/// Without its key nothing is hashed, and what should be hashed is not published.
std::optional<Error> Job::make_redactor() {
  if (resource_->drop_fields.empty() && resource_->hash_fields.empty()) return std::nullopt;
  core::Secret key;
  if (const auto& ref = context_.config.catalogue_hash_key; ref.set()) {
    auto secret = ref.read();
    if (!secret) return secret.error();
    key = std::move(*secret);
  }
  redactor_ = std::make_shared<codec::Redactor>(resource_->drop_fields, resource_->hash_fields, std::move(key));
  return std::nullopt;
}

/// A job that never made a call gets its crawl from the mode and the stream's cursor; any other goes on from its own state.
std::optional<Error> Job::begin() {
  const core::AtWork mark(key_);
  if (resource_ == nullptr) return Error(ErrorKind::unknown_resource, fmt::format("there is no resource '{}' any more", name_));
  if (auto error = make_redactor()) return error;
  const bool waiting = state_.phase() == v1::JobState::waiting;
  if (state_.crawl().kind_case() == v1::CrawlState::KIND_NOT_SET) {
    const auto plan = make_plan();
    if (!plan) return plan.error();
    const auto stream = context_.memory.stream(stream_);
    state_.set_stream_version(stream.version());
    state_.mutable_command()->mutable_sync()->set_mode(plan->mode);
    *state_.mutable_crawl() = plan->start;
    telemetry::log(telemetry::Level::info, "job_planned", plan->why,
                   {{"job", state_.command().id()},
                    {"app", account_.app},
                    {"tenant", account_.tenant},
                    {"resource", name_},
                    {"mode", v1::Mode_Name(plan->mode)}});
  }
  if (auto error = make_crawl()) return error;
  const auto mode = state_.command().sync().mode();
  if (mode == v1::report)
    pace_.emplace(context_.config.find_app(account_.app)->limits.reports_per_minute,
                  context_.memory.stream(stream_).report_run_ms());
  // Single rows may come from another endpoint, with other fields; a report tells its columns itself; files have none. What two
  // jobs learn of one stream at once would not agree.
  if (!seat_.guest && mode != v1::ids && mode != v1::report && !resource_->has_files())
    drift_.emplace(context_.memory.stream(stream_), state_.command().id(), state_.counts().pages() == 0);
  // A pause, or a time without any worker, is nothing that it waited for in vain.
  if (waiting || now() - core::WallTime(std::chrono::milliseconds(state_.not_before_ms())) > kLongestStall) {
    state_.clear_not_before_ms();
    state_.clear_stalled_ms();
  }
  if (!waiting) return std::nullopt;
  state_.set_phase(v1::JobState::running);
  auto c = contribution_of_state();
  c.messages.push_back(status_message(context_.config.kafka.topics.status, job_event(v1::StatusEvent::started, state_, now())));
  context_.committer.submit(std::move(c));
  return std::nullopt;
}

/// From what the plan or the journal says.
std::optional<Error> Job::make_crawl() {
  auto sync = state_.command().sync();
  unpack_ids(sync);
  auto crawl = servicetitan::make_crawl(context_.catalogue, *resource_, state_.crawl(), sync);
  if (!crawl) return crawl.error();
  crawl_ = std::move(*crawl);
  return std::nullopt;
}

/// Everything modified before this time is visible at the vendor by now.
std::int64_t Job::settled_ms() const {
  const auto settle = std::chrono::duration_cast<std::chrono::milliseconds>(context_.config.worker.settle);
  return (context_.pages.vendor_now() - settle).time_since_epoch().count();
}

/// The first answer of all tells the vendor's clock. Where ours is ahead of it, the window just asked for was not over yet.
bool Job::close_window_earlier() {
  const auto mode = state_.command().sync().mode();
  if (state_.counts().pages() > 0 || servicetitan::end_of(state_.crawl()) == 0) return false;
  auto again = make_plan();
  if (!again || again->mode != mode || servicetitan::end_of(again->start) >= servicetitan::end_of(state_.crawl())) return false;
  *state_.mutable_crawl() = again->start;
  return !make_crawl();  // as the one before was
}

boost::asio::awaitable<std::optional<Error>> Job::crawl_pages() {
  if (nothing_to_do(state_.crawl())) {
    auto keep = co_await end(v1::JobState::completed, v1::StatusEvent::completed, nullptr, JobEnd::finished);
    co_return keep == JobEnd::finished ? std::nullopt : std::optional(Error(ErrorKind::cancelled, "stopped"));
  }
  if (auto error = co_await sit_out_stall()) co_return error;
  servicetitan::Attempts attempts;
  for (;;) {
    if (auto error = co_await wait_for_room(1)) co_return error;
    if (auto error = co_await share_stream()) co_return error;
    core::Reservation memory;
    auto request = crawl_->next();
    request.fields.redactor = redactor_;
    request.fields.names = drift_.has_value();
    request.fields.tenant = account_.tenant;
    if (request.wants_file()) request.max_file = most_of_file(*resource_, context_.record_topic(origin_.topic).record_limit);
    if (request.turn)
      if (auto error = co_await take_turn(request)) co_return co_await after_pages(*error);
    auto page = co_await fetch(request, memory);
    if (request.turn && request.turn->run) ran();
    if (!page && ask_for_less(request, page.error())) continue;
    if (!page && request.turn && co_await asks_again(request, page.error(), attempts)) continue;
    if (!page && ends_job(request, page.error())) co_return co_await after_pages(page.error());
    if (close_window_earlier()) continue;
    auto step = look_at(page);
    if (!page && !step) co_return co_await after_pages(step.error());
    if (!page) page = FetchedPage{std::make_shared<const core::Body>(), {}};
    page->body->forget();
    if (!step) {
      const auto verdict = servicetitan::classify(step.error(), attempts, context_.rng);
      if (verdict.remedy != servicetitan::Remedy::retry) co_return co_await after_pages(step.error());
      retrying(step.error(), verdict.wait);
      if (!co_await wait(verdict.wait, stop_.token())) co_return co_await after_pages(Error(ErrorKind::cancelled, "stopped"));
      continue;
    }
    attempts = {};
    const auto rows = page->page.records.size();
    // A page of a report costs a minute: it is as large as it can be.
    if (request.page_size > 0 && !step->done && !request.turn)
      if (const auto size = sizer_of(*request.endpoint).after_page(request.page_size, rows, page->body->size()))
        crawl_->resize(*request.endpoint, *size);
    step->context.redactor = redactor_;
    if (auto error = too_many_dead_letters(*page, *step)) co_return co_await after_pages(*error);
    auto turn = co_await commit_turn(*page);
    if (!turn) co_return co_await after_pages(turn.error());
    if (asked_) co_return co_await after_pages(Error(ErrorKind::cancelled, "stopped"));
    if (!step->note.empty()) tell(v1::StatusEvent::progress, nullptr, "crawl", step->note);
    submit_page(*page, *step, std::move(memory), std::move(*turn));
    if (step->done) co_return co_await wait_for_room(0);
  }
}

core::Result<servicetitan::Step> Job::look_at(const core::Result<FetchedPage>& page) {
  const core::AtWork mark(key_);
  return page ? crawl_->on_page(page->view()) : crawl_->on_refusal(page.error());
}

servicetitan::PageSizer& Job::sizer_of(const servicetitan::Endpoint& endpoint) {
  return sizers_.try_emplace(&endpoint, endpoint.max_page_size).first->second;
}

/// Whether a smaller page is asked for instead of one that took too long.
bool Job::ask_for_less(const servicetitan::Request& request, const Error& error) {
  if (request.page_size == 0 || !servicetitan::took_too_long(error)) return false;
  const auto size = sizer_of(*request.endpoint).after_timeout(request.page_size);
  if (!size) return false;
  crawl_->resize(*request.endpoint, *size);
  retrying(error, {});
  return true;
}

/// A page, waiting as long as it takes for credentials that work: others go on meanwhile.
boost::asio::awaitable<core::Result<FetchedPage>> Job::fetch(const servicetitan::Request& request, core::Reservation& memory) {
  for (;;) {
    const auto entries = kEntries * bytes_of_arguments(state_.command().sync());
    const auto unknown = static_cast<std::size_t>(context_.config.worker.page_buffer) * kCopies + entries;
    const auto expected = largest_page_ == 0 ? unknown : largest_page_;
    const auto need = uncommitted_.empty() ? core::ByteBudget::Need::first : core::ByteBudget::Need::ahead;
    auto taken = co_await context_.page_memory.take(tenant_key(account_.app, account_.tenant), expected, need, stop_.token());
    if (!taken) co_return core::fail(taken.error());
    auto page = co_await context_.pages.get_page(account_, request, calls_, *this, stop_.token());
    count_calls();
    if (page) {
      const auto takes = memory_of(*page) + entries;
      largest_page_ = std::max(largest_page_, takes);
      taken->resize(takes);
      memory = std::move(*taken);
    }
    if (page || page.error().kind() != ErrorKind::unauthorized) co_return page;
    taken->release();  // this wait may be long
    const auto pause = page.error().retry_after() ? core::Duration(*page.error().retry_after()) : kAuthWait;
    stall(v1::StatusEvent::auth_failed, page.error(), "token", pause);
    if (!co_await wait(pause, stop_.token())) co_return core::fail(ErrorKind::cancelled, "stopped");
  }
}

boost::asio::awaitable<bool> Job::wait(core::Duration d, core::StopToken stop) {
  const auto signal = context_.clock.make_signal();
  const auto on_stop = stop.on_stop([&signal] { signal->notify(); });
  if (stop.stop_requested()) co_return false;
  co_await signal->wait_until(context_.clock.now() + d);
  co_return !stop.stop_requested();
}

/// Until no more than `at_most` pages are uncommitted. An error: one of them will never be.
boost::asio::awaitable<std::optional<Error>> Job::wait_for_room(std::size_t at_most) {
  while (uncommitted_.size() > at_most || (!uncommitted_.empty() && uncommitted_.front().ticket->ended())) {
    const auto ticket = uncommitted_.front().ticket;
    auto result = co_await ticket->wait();
    if (!result) co_return result.error();
    committed_ = std::move(uncommitted_.front().state);
    uncommitted_.pop_front();
  }
  co_return std::nullopt;
}

/// Until it is this job's turn among those that read the stream: the other one's answer is committed then, and so are all of ours.
boost::asio::awaitable<std::optional<Error>> Job::share_stream() {
  if (seat_.gate == nullptr || (!seat_.guest && !seat_.gate->guest_waits())) co_return std::nullopt;
  if (auto error = co_await wait_for_room(0)) co_return error;
  if (!seat_.guest) {
    co_await seat_.gate->let_by(stop_.token());
    co_return std::nullopt;
  }
  seat_.gate->leave();
  if (co_await seat_.gate->enter(stop_.token())) co_return std::nullopt;
  co_return Error(ErrorKind::cancelled, "stopped");
}

/// Why the crawl ends before its end. What becomes of the pages already submitted comes first: a page that will never be published
/// fails the job, whoever asked it to stop meanwhile.
boost::asio::awaitable<std::optional<Error>> Job::after_pages(Error why) {
  if (auto error = co_await wait_for_room(0)) co_return error;
  co_return why;
}

/// Brings what the API calls cost into the job's counts and the usage of its tenant.
void Job::count_calls() {
  const auto calls = calls_.calls - counted_.calls;
  const auto throttled = calls_.throttled - counted_.throttled;
  auto& counts = *state_.mutable_counts();
  counts.set_calls(counts.calls() + calls);
  counts.set_throttled(counts.throttled() + throttled);
  counts.set_retries(counts.retries() + calls_.retries - counted_.retries);
  auto& usage = context_.usage[tenant_key(account_.app, account_.tenant)][name_];
  usage.set_resource(name_);
  usage.set_calls(usage.calls() + calls);
  usage.set_throttled(usage.throttled() + throttled);
  usage.set_failed(usage.failed() + calls_.retries - counted_.retries);
  counted_ = calls_;
}

void Job::throttled(const Error& why) {
  const auto time = context_.clock.now();
  if (last_throttled_ != core::TimePoint{} && time - last_throttled_ < kThrottledEvery) return;
  last_throttled_ = time;
  stall(v1::StatusEvent::throttled, why, "request", why.retry_after().value_or(0ms));
}

void Job::retrying(const Error& why, core::Duration pause) {
  telemetry::log(telemetry::Level::warn, "call_retried", why.message(),
                 {{"job", state_.command().id()},
                  {"app", account_.app},
                  {"tenant", account_.tenant},
                  {"resource", name_},
                  {"wait_seconds", std::chrono::duration<double>(pause).count()}});
  stall(v1::StatusEvent::retrying, why, "request", pause);
}

/// Whoever takes the job over keeps the pause that it was in, as far as that is still to come.
boost::asio::awaitable<std::optional<Error>> Job::sit_out_stall() {
  const auto pause = core::WallTime(std::chrono::milliseconds(state_.not_before_ms())) - now();
  if (pause <= 0ms || co_await wait(std::min<core::Duration>(pause, kLongestStall), stop_.token())) co_return std::nullopt;
  co_return Error(ErrorKind::cancelled, "stopped");
}

/// It waits before its next call; what waits so for too long is given up.
void Job::stall(v1::StatusEvent::Type type, const Error& why, std::string_view stage, core::Duration pause) {
  const auto ms = now().time_since_epoch().count();
  state_.set_phase(after(state_.phase(), type).value_or(state_.phase()));
  state_.set_not_before_ms(ms + std::chrono::duration_cast<std::chrono::milliseconds>(pause).count());
  if (state_.stalled_ms() == 0) state_.set_stalled_ms(ms);
  tell(type, &why, stage);
  const auto patience = context_.config.worker.give_up_after;
  if (std::chrono::milliseconds(ms - state_.stalled_ms()) < patience) return;
  give_up(Error(why.kind(), fmt::format("nothing has got on for {}: {}", config::format_duration(patience), why.message())));
}

/// An event between pages; the journal entry makes it one with the phase.
void Job::tell(v1::StatusEvent::Type type, const Error* why, std::string_view stage, const std::string& note) {
  auto event = job_event(type, state_, now());
  if (why != nullptr) *event.mutable_failure() = failure_of(*why, stage, true);
  event.set_note(note);
  auto c = contribution_of_state();
  c.messages.push_back(status_message(context_.config.kafka.topics.status, event));
  c.owner = this;
  context_.committer.submit(std::move(c));
}

Contribution Job::contribution_of_state() const {
  Contribution c;
  c.journal.push_back({key_, state_});
  c.urgent = true;
  return c;
}

}  // namespace stsync::sync
