#include "limits/scheduler.hpp"

#include <algorithm>

namespace stsync::limits {

using core::TimePoint;

namespace {
constexpr auto kNoTime = TimePoint::max();
}

const char* name_of(WaitedFor what) noexcept {
  static constexpr std::array kNames{"tenant", "breaker", "connection", "app", "resource", "nothing"};
  return kNames[static_cast<std::size_t>(what)];
}

struct Scheduler::Host {
  std::size_t under_way = 0;
  std::vector<Tenant*> crowded_out;  ///< have more than is free; looked at when a call is over

  bool full() const noexcept { return under_way >= kConnections; }
  /// One whose calls take long leaves as many places free as it has.
  bool may_have_more(std::size_t has) const noexcept { return has == 0 || has < kConnections - under_way; }
};

/// Tenants that share the same: a host, and the quota of an app where that is one for all.
struct Scheduler::Group {
  Host* host = nullptr;
  Pace* app = nullptr;
  ByClass<FairRing<Tenant>> rings;  ///< who could go as far as its own limits are concerned
  std::size_t ready = 0;
  ClassShares shares;
  WaitedFor blocked_by = WaitedFor::nothing;

  ByClass<bool> has_work() const {
    ByClass<bool> has{};
    for (std::size_t c = 0; c < kWorkClasses; ++c) has[c] = !rings[c].empty();
    return has;
  }
};

class Scheduler::Tenant {
 public:
  Tenant(Group& g, int w, std::shared_ptr<Pace> pace, double rate)
      : group(g), weight(w), own(std::move(pace)), concurrency(rate), per_second(rate) {}

  Group& group;
  const int weight;
  const std::shared_ptr<Pace> own;  ///< null: the app's
  Concurrency concurrency;
  Breaker breaker;
  RetryBudget retries;
  UseMeter use;
  const double per_second;  ///< of its quota
  ByClass<std::list<Waiter*>> lines;
  ClassShares shares;
  std::size_t waiting = 0, under_way = 0;
  bool ready = false;
  bool crowded_out = false;
  TimePoint timer = kNoTime;

  /// What keeps its callers from going, or nothing that is its own, from now on.
  void blocked_by(WaitedFor what, TimePoint now) {
    if (blocked_by_ < blocked_.size()) blocked_[blocked_by_] += now - blocked_since_;
    blocked_by_ = static_cast<std::size_t>(what);
    blocked_since_ = now;
  }
  /// For how long so far, by reason.
  const std::array<core::Duration, 3>& blocked() const noexcept { return blocked_; }

  /// The first of a class whose resource lets it go.
  static std::list<Waiter*>::iterator first_of(std::list<Waiter*>& line, TimePoint now) {
    return std::find_if(line.begin(), line.end(),
                        [&](const Waiter* w) { return w->resource == nullptr || w->resource->next(now) <= now; });
  }

 private:
  std::array<core::Duration, 3> blocked_{};
  std::size_t blocked_by_ = static_cast<std::size_t>(WaitedFor::nothing);
  TimePoint blocked_since_{};
};

Scheduler::Scheduler(MakePace make_pace) : make_pace_(std::move(make_pace)) {}
Scheduler::~Scheduler() = default;

Pace& Scheduler::quota(Tenant& tenant) noexcept { return tenant.own ? *tenant.own : *tenant.group.app; }
Concurrency& Scheduler::concurrency(Tenant& tenant) noexcept { return tenant.concurrency; }
Breaker& Scheduler::breaker(Tenant& tenant) noexcept { return tenant.breaker; }
RetryBudget& Scheduler::retries(Tenant& tenant) noexcept { return tenant.retries; }

Scheduler::Group& Scheduler::group(const std::string& app, const Terms& terms) {
  auto& group = groups_[{terms.host, terms.whole_app ? app : ""}];
  if (group) return *group;
  group = std::make_unique<Group>();
  auto& host = hosts_[terms.host];
  if (!host) host = std::make_unique<Host>();
  group->host = host.get();
  if (terms.whole_app) group->app = &pace_of({app}, terms.per_second);
  return *group;
}

Pace& Scheduler::pace_of(const LimitName& name, double per_second) {
  auto& pace = paces_[name];
  if (!pace) pace = make_pace_(name, per_second);
  return *pace;
}

Scheduler::Tenant& Scheduler::tenant(const std::string& app, std::int64_t id, const std::function<Terms()>& ask) {
  auto& tenant = tenants_[{app, id}];
  if (tenant) return *tenant;
  const auto terms = ask();
  auto own = terms.whole_app ? nullptr : make_pace_({app, id}, terms.per_second);
  tenant = std::make_unique<Tenant>(group(app, terms), std::max(1, terms.weight), std::move(own), terms.per_second);
  return *tenant;
}

void Scheduler::enter(Tenant& tenant, Waiter& waiter, TimePoint now) {
  waiter.tenant = &tenant;
  waiter.since = now;
  tenant.lines[index_of(waiter.work)].push_back(&waiter);
  ++waiting_;
  ++tenant.waiting;
  look_at(tenant, now);
  waiter.blocked_before = tenant.blocked();
}

void Scheduler::leave(Waiter& waiter, TimePoint now) {
  const auto left = waiter.tenant->lines[index_of(waiter.work)].remove(&waiter);
  waiting_ -= left;
  waiter.tenant->waiting -= left;
  look_at(*waiter.tenant, now);
}

/// Whether the tenant could go as far as its own limits are concerned, for which class, and when else.
void Scheduler::look_at(Tenant& t, TimePoint now) {
  if (t.timer != kNoTime) timers_.erase({std::exchange(t.timer, kNoTime), &t});
  const bool busy = t.under_way >= t.concurrency.most();
  const auto quota = t.own ? t.own->next(now) : now, breaker = t.breaker.next(now);
  const auto own = std::max(quota, breaker);
  auto soonest = kNoTime;
  ByClass<bool> can{};
  for (std::size_t c = 0; c < kWorkClasses && !busy && !t.crowded_out; ++c)
    for (auto* w : t.lines[c]) {
      const auto when = w->resource == nullptr ? own : std::max(own, w->resource->next(now));
      if (when > own) w->waited_for = WaitedFor::resource;
      soonest = std::min(soonest, when);
      can[c] = can[c] || when <= now;
    }
  for (std::size_t c = 0; c < kWorkClasses; ++c) can[c] ? t.group.rings[c].add(&t, t.weight) : t.group.rings[c].remove(&t);
  const bool ready = can != ByClass<bool>{};
  if (ready != t.ready) t.group.ready += ready ? 1 : -1;
  t.ready = ready;
  t.blocked_by(busy || t.crowded_out ? WaitedFor::connection
               : own <= now          ? WaitedFor::nothing
               : breaker > quota     ? WaitedFor::breaker
                                     : WaitedFor::tenant,
               now);
  if (!ready && soonest != kNoTime) timers_.insert({t.timer = soonest, &t});
}

std::vector<Scheduler::Waiter*> Scheduler::grant(TimePoint now) {
  while (!timers_.empty() && timers_.begin()->first <= now) look_at(*timers_.begin()->second, now);
  std::vector<Waiter*> out;
  // One each in turn, since they may share a host.
  for (std::size_t before = 0; !groups_.empty();) {
    auto at = std::next(groups_.begin(), static_cast<std::ptrdiff_t>(++first_group_ % groups_.size()));
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      serve(*at->second, now, out);
      if (++at == groups_.end()) at = groups_.begin();
    }
    if (out.size() == before) break;
    before = out.size();
  }
  return out;
}

void Scheduler::serve(Group& group, TimePoint now, std::vector<Waiter*>& out) {
  if (group.ready == 0) return;
  if (group.host->full()) group.blocked_by = WaitedFor::connection;
  if (group.host->full()) return;
  if (group.app != nullptr && group.app->next(now) > now) {
    group.blocked_by = WaitedFor::app;
    return;
  }
  auto* waiter = pick(group, now);
  if (waiter == nullptr) return;
  auto& t = *waiter->tenant;
  for (auto* pace : {t.own.get(), group.app, waiter->resource})
    if (pace != nullptr) pace->take(now);
  t.use.took(now);
  ++t.under_way;
  ++group.host->under_way;
  --waiting_;
  --t.waiting;
  waiter->ticket = t.breaker.began(now);
  waiter->granted = true;
  waiter->granted_at = now;
  look_at(t, now);
  if (waiter->waited_for == WaitedFor::nothing && now > waiter->since) waiter->waited_for = waited_for(*waiter, group);
  out.push_back(waiter);
}

/// What took the longest; what was not its tenant's own is the group's.
WaitedFor Scheduler::waited_for(const Waiter& waiter, const Group& group) {
  auto rest = waiter.granted_at - waiter.since;
  auto longest = core::Duration(0);
  auto what = group.blocked_by;
  for (std::size_t i = 0; i < waiter.blocked_before.size(); ++i) {
    const auto took = waiter.tenant->blocked()[i] - waiter.blocked_before[i];
    rest -= took;
    if (took > longest) what = static_cast<WaitedFor>(i);
    longest = std::max(longest, took);
  }
  return rest > longest ? group.blocked_by : what;
}

/// The next one of the group, out of its line.
Scheduler::Waiter* Scheduler::pick(Group& group, TimePoint now) {
  while (group.ready > 0) {
    // A tenant alone divides what it has by its own account; where several wait, classes share what all of them get.
    const auto has_work = group.has_work();
    auto* shares = &group.shares;
    if (group.ready == 1)
      for (std::size_t c = 0; c < kWorkClasses; ++c)
        if (has_work[c]) shares = &group.rings[c].next()->shares;
    const auto work = shares->next(has_work);
    auto& ring = group.rings[index_of(work)];
    auto& t = *ring.next();
    if (!group.host->may_have_more(t.under_way)) {
      crowd_out(t, now);
      continue;
    }
    auto& line = t.lines[index_of(work)];
    const auto at = Tenant::first_of(line, now);
    if (at == line.end()) {  // a resource's limit, taken up since
      look_at(t, now);
      continue;
    }
    auto* waiter = *at;
    line.erase(at);
    ring.charge(&t, 1);
    shares->served(work);
    return waiter;
  }
  return nullptr;
}

void Scheduler::crowd_out(Tenant& t, TimePoint now) {
  t.crowded_out = true;
  t.group.host->crowded_out.push_back(&t);
  for (auto& ring : t.group.rings) ring.remove(&t);
  if (std::exchange(t.ready, false)) --t.group.ready;
  t.blocked_by(WaitedFor::connection, now);
}

TimePoint Scheduler::next(TimePoint now) {
  auto when = timers_.empty() ? kNoTime : timers_.begin()->first;
  for (const auto& [key, group] : groups_)
    if (group->ready > 0 && group->app != nullptr && !group->host->full()) when = std::min(when, group->app->next(now));
  return when;
}

void Scheduler::finished(Tenant& t, TimePoint now) {
  --t.under_way;
  auto& host = *t.group.host;
  --host.under_way;
  for (auto* other : std::exchange(host.crowded_out, {})) {
    other->crowded_out = false;
    look_at(*other, now);
  }
  look_at(t, now);
}

void Scheduler::changed(TimePoint now) {
  for (const auto& [key, tenant] : tenants_)
    if (tenant->waiting > 0) look_at(*tenant, now);
}

double Scheduler::utilisation(const std::string& app, TimePoint now) const {
  double most = 0, all = 0;
  for (auto at = tenants_.lower_bound({app, 0}); at != tenants_.end() && at->first.first == app; ++at) {
    const auto& t = *at->second;
    const auto share = t.use.rate(now) / t.per_second;
    all += t.own ? 0 : share;
    most = std::max({most, share, all});
  }
  return most;
}

std::size_t Scheduler::waiting_for(const LimitName& name) const {
  std::size_t n = 0;
  if (!name.resource.empty()) {
    const auto tenant = tenants_.find({name.app, name.tenant});
    const auto pace = paces_.find(name);
    if (tenant == tenants_.end() || pace == paces_.end()) return 0;
    for (const auto& line : tenant->second->lines)
      n += static_cast<std::size_t>(
          std::count_if(line.begin(), line.end(), [&](const Waiter* w) { return w->resource == pace->second.get(); }));
    return n;
  }
  const auto begin = tenants_.lower_bound({name.app, name.tenant});
  for (auto at = begin; at != tenants_.end() && at->first.first == name.app; ++at) {
    if (name.tenant != 0 && at->first.second != name.tenant) break;
    n += at->second->waiting;
  }
  return n;
}

}  // namespace stsync::limits
