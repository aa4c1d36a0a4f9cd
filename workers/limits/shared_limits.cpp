#include "limits/shared_limits.hpp"

#include <algorithm>

namespace stsync::limits {

using core::TimePoint;
using core::asio::awaitable;

SharedLimits::SharedLimits(core::asio::any_io_executor loop, core::Clock& clock, std::unique_ptr<LeaseStore> store, Hooks hooks)
    : clock_(clock), store_(std::move(store)), hooks_(std::move(hooks)), signal_(clock.make_signal()), tasks_(loop, clock) {
  tasks_.spawn("shared limits", run());
}

SharedPace& SharedLimits::add(SharedPace::Settings settings, SharedPace::MakeLocal make_local,
                              std::function<std::size_t()> waiting) {
  const auto same = [&settings](const Limit& limit) { return limit.pace.name() == settings.name; };
  core::check(std::none_of(limits_.begin(), limits_.end(), same), "a shared limit was added twice");
  auto observer = [this, name = settings.name](SharedPace::Mode mode) {
    changed_ = true;
    hooks_.switched(name, mode);
  };
  auto& limit =
      limits_.emplace_back(Limit{SharedPace(std::move(settings), std::move(make_local), std::move(observer)), std::move(waiting)});
  by_pace_[&limit.pace] = &limit;
  active_.push_back(&limit);
  signal_->notify();
  return limit.pace;
}

void SharedLimits::look(const Pace& pace) {
  if (const auto at = by_pace_.find(&pace); at != by_pace_.end()) wake(*at->second);
}

void SharedLimits::wake(Limit& limit) {
  if (const auto until = std::exchange(limit.rests_until, std::nullopt)) {
    resting_.erase({*until, &limit});
    active_.push_back(&limit);
  }
  signal_->notify();
}

void SharedLimits::lay_down() {
  std::erase_if(active_, [this](Limit* limit) {
    const auto until = limit->pace.rests_until();
    if (!until || limit->waiting() > 0) return false;
    limit->rests_until = until;
    resting_.insert({*until, limit});
    return true;
  });
}

awaitable<void> SharedLimits::run() {
  while (!closing_) {
    const auto now = clock_.now();
    if (!resting_.empty() && resting_.begin()->first <= now)
      while (!resting_.empty() && resting_.begin()->first <= now + kRestTogether) wake(*resting_.begin()->second);
    for (auto* limit : active_) limit->pace.look(now);
    if (std::exchange(changed_, false)) hooks_.changed();
    if (!busy_) start_trip(now);
    co_await signal_->wait_until(wakes(now));
  }
}

TimePoint SharedLimits::wakes(TimePoint now) const {
  if (busy_) return now < give_up_ ? give_up_ : TimePoint::max();
  auto when = resting_.empty() ? TimePoint::max() : resting_.begin()->first;
  for (const auto* limit : active_) when = std::min(when, limit->pace.wakes(now, limit->waiting()));
  return when;
}

void SharedLimits::start_trip(TimePoint now) {
  std::vector<LeaseRequest> requests;
  std::vector<Limit*> asked;
  for (auto* limit : active_) {
    auto request = limit->pace.wants(now, limit->waiting());
    if (!request) continue;
    requests.push_back(std::move(*request));
    asked.push_back(limit);
  }
  if (requests.empty()) return;
  busy_ = true;
  give_up_ = now + kTripTime;
  tasks_.spawn("trip to the store of limits", trip(std::move(requests), std::move(asked)));
}

awaitable<void> SharedLimits::trip(std::vector<LeaseRequest> requests, std::vector<Limit*> asked) {
  auto go = [store = store_.get(), requests = std::move(requests)] { return store->lease(requests); };
  const auto got = co_await core::run_on(thread_.executor(), std::move(go));
  busy_ = false;
  const auto now = clock_.now();
  core::check(!got || got->size() == asked.size(), "the store answered another number of requests");
  for (std::size_t i = 0; i < asked.size(); ++i) got ? asked[i]->pace.granted(now, (*got)[i]) : asked[i]->pace.failed(now);
  lay_down();
  if (!got) hooks_.trip_failed(got.error());
  changed_ = false;
  hooks_.changed();
  signal_->notify();
}

awaitable<void> SharedLimits::close() {
  closing_ = true;
  signal_->notify();
  co_await tasks_.join();
  std::vector<std::string> names;
  for (const auto& limit : limits_) names.push_back(limit.pace.name());
  auto leave = [store = store_.get(), names = std::move(names)] { return store->leave(names); };
  if (const auto left = co_await core::run_on(thread_.executor(), std::move(leave)); !left) hooks_.trip_failed(left.error());
}

}  // namespace stsync::limits
