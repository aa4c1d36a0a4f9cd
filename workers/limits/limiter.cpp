#include "limits/limiter.hpp"

#include <algorithm>

#include "limits/pacer.hpp"

namespace stsync::limits {

namespace {

constexpr core::Duration kDefaultFreeze = std::chrono::seconds(1);
constexpr core::Duration kLongestFreeze = std::chrono::minutes(5);

std::shared_ptr<Pace> local_pace(const LimitName&, double per_second) { return std::make_shared<Pacer>(per_second); }

}  // namespace

Permit::~Permit() {
  if (limiter_ == nullptr) return;
  if (call_) Scheduler::breaker(*tenant_).abandoned(*call_);
  limiter_->scheduler_.finished(*tenant_, limiter_->clock_.now());
  limiter_->serve();
}

void Permit::leaves() {
  sent_ = limiter_->clock_.now();
  if (sent_ > at_) Scheduler::quota(*tenant_).left_late(at_, sent_);
}

void Permit::answered() {
  Scheduler::concurrency(*tenant_).answered(limiter_->clock_.now() - sent_);
  if (const auto call = std::exchange(call_, std::nullopt)) Scheduler::breaker(*tenant_).succeeded(*call);
  Scheduler::retries(*tenant_).called();
}

void Permit::failed() {
  if (const auto call = std::exchange(call_, std::nullopt))
    Scheduler::breaker(*tenant_).failed(*call, limiter_->clock_.now(), limiter_->rng_);
}

void Permit::refused(std::optional<core::Duration> retry_after) {
  const auto now = limiter_->clock_.now();
  auto& quota = Scheduler::quota(*tenant_);
  quota.refused(sent_, now);
  quota.freeze(now + std::clamp(retry_after.value_or(kDefaultFreeze), kDefaultFreeze, kLongestFreeze));
  limiter_->look_(quota);
}

Limiter::Limiter(core::Clock& clock, core::Rng& rng, AskTerms terms) : Limiter(clock, rng, std::move(terms), local_pace) {}

Limiter::Limiter(core::Clock& clock, core::Rng& rng, AskTerms terms, Scheduler::MakePace make_pace)
    : clock_(clock), rng_(rng), terms_(std::move(terms)), scheduler_(std::move(make_pace)) {}

Scheduler::Tenant& Limiter::tenant(const std::string& app, std::int64_t id) {
  return scheduler_.tenant(app, id, [&] { return terms_(app, id); });
}

boost::asio::awaitable<core::Result<Permit>> Limiter::acquire(Caller caller, core::StopToken stop) {
  const core::Error stopped(core::ErrorKind::cancelled, "stopped while waiting for the rate limit");
  if (stop.stop_requested()) co_return core::fail(stopped);
  auto& tenant = this->tenant(caller.app, caller.tenant);
  Standing one{{.work = caller.work}, clock_.make_signal()};
  if (caller.resource_per_second > 0)
    one.waiter.resource = &scheduler_.pace_of({caller.app, caller.tenant, caller.resource}, caller.resource_per_second);
  standing_[&one.waiter] = &one;
  const auto place = line_.insert(line_.end(), &one);
  scheduler_.enter(tenant, one.waiter, clock_.now());
  serve();
  if (!one.waiter.granted) {
    look_(Scheduler::quota(tenant));
    if (one.waiter.resource != nullptr) look_(*one.waiter.resource);
  }
  co_await stand(one, stop);
  standing_.erase(&one.waiter);
  line_.erase(place);
  if (!one.waiter.granted) {
    scheduler_.leave(one.waiter, clock_.now());
    serve();
    co_return core::fail(stopped);
  }
  Permit permit(*this, tenant, one.waiter);
  if (stop.stop_requested()) co_return core::fail(stopped);
  co_return permit;
}

boost::asio::awaitable<void> Limiter::stand(Standing& one, core::StopToken stop) {
  const auto on_stop = stop.on_stop([&one] { one.signal->notify(); });
  while (!one.waiter.granted && !stop.stop_requested()) {
    if (timekeeper_ == nullptr) timekeeper_ = &one;
    if (timekeeper_ != &one) {
      co_await one.signal->wait();
      continue;
    }
    wakes_at_ = scheduler_.next(clock_.now());
    if (wakes_at_ > clock_.now()) co_await one.signal->wait_until(wakes_at_);
    serve();
  }
  if (timekeeper_ == &one) timekeeper_ = nullptr;
  if (timekeeper_ != nullptr) co_return;  // whoever is woken below may have stopped, too, and wakes the next
  for (auto* other : line_)
    if (other != &one && !other->waiter.granted) {
      other->signal->notify();
      break;
    }
}

/// Lets go who may; wakes the timekeeper where the next may go earlier than it thinks.
void Limiter::serve() {
  const auto now = clock_.now();
  for (auto* waiter : scheduler_.grant(now)) standing_.at(waiter)->signal->notify();
  if (timekeeper_ != nullptr && scheduler_.next(now) < wakes_at_) timekeeper_->signal->notify();
}

void Limiter::hold(const std::string& app, std::int64_t id, core::TimePoint until) {
  Scheduler::quota(tenant(app, id)).freeze(until);
}

core::Duration Limiter::retry(const std::string& app, std::int64_t id) {
  auto& budget = Scheduler::retries(tenant(app, id));
  const auto now = clock_.now();
  return budget.may_retry(now) ? core::Duration(0) : budget.next(now) - now;
}

void Limiter::changed() {
  scheduler_.changed(clock_.now());
  serve();
}

double Limiter::rate(const std::string& app, std::int64_t id) { return Scheduler::quota(tenant(app, id)).rate(); }

}  // namespace stsync::limits
