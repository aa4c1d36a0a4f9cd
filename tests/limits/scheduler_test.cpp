// Who gets the next permit: event by event, without coroutines.
#include "limits/scheduler.hpp"

#include <cmath>
#include <numeric>
#include <queue>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/rng.hpp"
#include "limits/pacer.hpp"
#include "support/seeds.hpp"

namespace stsync::limits {
namespace {

using core::Duration;
using core::TimePoint;
using namespace std::chrono_literals;

/// A tenant's work: so many callers, each of which makes one call after the other.
struct Load {
  std::int64_t tenant;
  int callers;
  Duration takes = 100ms;  ///< an answer
  Duration pause = 0s;     ///< between an answer and the next call, on average
  WorkClass work = WorkClass::incremental;
  int weight = 1;
  int calls_each = 1'000'000;
  Pace* resource = nullptr;
};

struct Tally {
  std::size_t calls = 0;
  std::vector<double> waits;  ///< seconds
  std::map<WaitedFor, std::size_t> waited_for;
  TimePoint last{};

  double wait(double quantile) {
    if (waits.empty()) return 0;
    const auto at = waits.begin() + static_cast<std::ptrdiff_t>(quantile * static_cast<double>(waits.size() - 1));
    std::nth_element(waits.begin(), at, waits.end());
    return *at;
  }
};

struct Play {
  explicit Play(bool whole_app, double per_second = 60) : whole_app_(whole_app), per_second_(per_second) {}

  /// Runs the loads beside each other; what each got.
  std::vector<Tally> run(const std::vector<Load>& loads, Duration length, std::uint64_t seed = 1) {
    struct Caller {
      std::size_t load;
      int left;
      Scheduler::Waiter waiter{};
    };
    struct Event {
      TimePoint at;
      std::size_t caller;
      bool answer;
      bool operator<(const Event& o) const { return at > o.at; }
    };
    core::Rng random(seed);
    std::vector<Caller> callers;
    std::vector<Tally> out(loads.size());
    std::priority_queue<Event> events;
    for (std::size_t l = 0; l < loads.size(); ++l)
      for (int i = 0; i < loads[l].callers; ++i) {
        events.push({now + std::chrono::duration_cast<Duration>(random.unit() * (loads[l].pause + 100ms)), callers.size(), false});
        callers.push_back({l, loads[l].calls_each});
      }
    std::map<Scheduler::Waiter*, std::size_t> who;
    for (std::size_t i = 0; i < callers.size(); ++i) who[&callers[i].waiter] = i;
    const auto end = now + length;
    while (now < end) {
      for (auto* waiter : scheduler.grant(now)) {
        const auto i = who.at(waiter);
        auto& tally = out[callers[i].load];
        ++tally.calls;
        tally.waits.push_back(std::chrono::duration<double>(now - waiter->since).count());
        ++tally.waited_for[waiter->waited_for];
        tally.last = now;
        most_under_way = std::max(most_under_way, ++under_way);
        events.push({now + loads[callers[i].load].takes, i, true});
      }
      const auto timer = scheduler.next(now);
      const auto event = events.empty() ? TimePoint::max() : events.top().at;
      now = std::min({timer, event, end});
      while (!events.empty() && events.top().at <= now) {
        const auto e = events.top();
        events.pop();
        auto& caller = callers[e.caller];
        const auto& load = loads[caller.load];
        auto& tenant = this->tenant(load.tenant, load.weight);
        if (e.answer) {
          --under_way;
          Scheduler::concurrency(tenant).answered(load.takes);
          scheduler.finished(tenant, now);
          if (--caller.left <= 0) continue;
          if (load.pause > 0s) {
            const auto pause = -std::log(1 - random.unit()) * std::chrono::duration<double>(load.pause).count();
            events.push({now + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(pause)), e.caller, false});
            continue;
          }
        }
        caller.waiter = {.work = load.work, .resource = load.resource};
        scheduler.enter(tenant, caller.waiter, now);
      }
    }
    // Whoever still waits goes away before its place does.
    for (auto& caller : callers)
      if (caller.waiter.tenant != nullptr && !caller.waiter.granted) scheduler.leave(caller.waiter, now);
    EXPECT_EQ(scheduler.waiting(), 0u);
    return out;
  }
  Scheduler::Tenant& tenant(std::int64_t id, int weight = 1) {
    return scheduler.tenant("a", id, [&] { return Scheduler::Terms{per_second_, whole_app_, weight, "h"}; });
  }

  Scheduler scheduler{[](const LimitName&, double per_second) { return std::make_shared<Pacer>(per_second); }};
  TimePoint now{1h};
  std::size_t under_way = 0, most_under_way = 0;

 private:
  bool whole_app_;
  double per_second_;
};

double jain(const std::vector<double>& x) {
  const auto sum = std::accumulate(x.begin(), x.end(), 0.0);
  const auto squares = std::inner_product(x.begin(), x.end(), x.begin(), 0.0);
  return sum * sum / (static_cast<double>(x.size()) * squares);
}

TEST(Fairness, BusyTenantsOfOneAppShareItsQuotaAlike) {
  std::vector<Load> loads;
  for (int t = 1; t <= 50; ++t) loads.push_back({t, t == 1 ? 64 : 2});
  const auto tally = Play(true).run(loads, 10min);
  std::vector<double> calls;
  for (const auto& t : tally) calls.push_back(static_cast<double>(t.calls));
  EXPECT_GE(jain(calls), 0.999);
  EXPECT_GE(std::accumulate(calls.begin(), calls.end(), 0.0), 0.99 * 60 * 600);
}

TEST(Fairness, ALargeTenantIsHardlyFeltByTheSmallOnes) {
  std::vector<Load> small;
  for (int t = 2; t <= 50; ++t) small.push_back({t, 1, 100ms, 1100ms});
  auto alone = Play(true).run(small, 10min);
  auto loads = small;
  loads.push_back({1, 64});
  auto together = Play(true).run(loads, 10min);
  std::vector<double> before, after;
  for (std::size_t i = 0; i < small.size(); ++i) {
    before.insert(before.end(), alone[i].waits.begin(), alone[i].waits.end());
    after.insert(after.end(), together[i].waits.begin(), together[i].waits.end());
  }
  Tally a, b;
  a.waits = before;
  b.waits = after;
  EXPECT_LE(b.wait(0.95), 2 * a.wait(0.95)) << a.wait(0.95) << " s before";
  const auto total = std::accumulate(together.begin(), together.end(), std::size_t{0}, [](auto n, auto& t) { return n + t.calls; });
  EXPECT_GE(total, 0.99 * 60 * 600) << "what the small ones leave is used";
}

TEST(Fairness, AWeightIsAShare) {
  const auto tally =
      Play(true).run({{1, 8}, {2, 8, 100ms, 0s, WorkClass::incremental, 4}, {3, 8, 100ms, 0s, WorkClass::incremental, 16}}, 10min);
  EXPECT_NEAR(static_cast<double>(tally[1].calls) / static_cast<double>(tally[0].calls), 4, 0.1);
  EXPECT_NEAR(static_cast<double>(tally[2].calls) / static_cast<double>(tally[0].calls), 16, 0.3);
}

TEST(Fairness, ClassesOfATenantHaveTheirLeastSharesAndOthersUseWhatIsIdle) {
  for (const bool whole_app : {false, true}) {
    SCOPED_TRACE(whole_app);
    const Load interactive{1, 16, 100ms, 0s, WorkClass::interactive}, incremental{1, 16},
        backfill{1, 16, 100ms, 0s, WorkClass::backfill};
    auto tally = Play(whole_app).run({interactive, incremental, backfill}, 10min);
    const auto all = static_cast<double>(tally[0].calls + tally[1].calls + tally[2].calls);
    EXPECT_NEAR(static_cast<double>(tally[0].calls) / all, 0.5, 0.01);
    EXPECT_NEAR(static_cast<double>(tally[1].calls) / all, 0.3, 0.01);
    EXPECT_NEAR(static_cast<double>(tally[2].calls) / all, 0.2, 0.01);
    tally = Play(whole_app).run({{1, 1, 100ms, 10s, WorkClass::interactive}, backfill}, 10min);
    EXPECT_GE(tally[0].calls + tally[1].calls, 0.99 * 60 * 600);
    EXPECT_LE(tally[0].wait(0.99), 0.05) << "one that comes now and then goes next";
  }
}

TEST(Fairness, ClassesShareAnAppsQuotaWhoeversTheyAre) {
  std::vector<Load> loads;
  for (int t = 1; t <= 10; ++t) loads.push_back({t, 8, 100ms, 0s, t <= 2 ? WorkClass::interactive : WorkClass::backfill});
  const auto tally = Play(true).run(loads, 10min);
  double interactive = 0, all = 0;
  for (std::size_t i = 0; i < tally.size(); ++i) {
    all += static_cast<double>(tally[i].calls);
    if (i < 2) interactive += static_cast<double>(tally[i].calls);
  }
  EXPECT_NEAR(interactive / all, 5.0 / 7, 0.02);
}

TEST(Fairness, AFrozenTenantIsInNobodysWay) {
  Play play(false);
  play.run({{1, 64}, {2, 1}}, 1s);
  Scheduler::quota(play.tenant(1)).freeze(play.now + 1h);
  auto tally = play.run({{1, 64}, {2, 64}}, 1min);
  EXPECT_EQ(tally[0].calls, 0u);
  EXPECT_GE(tally[1].calls, 0.985 * 60 * 60);
}

TEST(Fairness, SlowTenantsLeaveRoomForOthers) {
  Play play(false);
  std::vector<Load> loads;
  for (int t = 1; t <= 10; ++t) loads.push_back({t, 64, 100s});
  loads.push_back({11, 16, 100ms, 1s});
  auto tally = play.run(loads, 10min);
  EXPECT_LE(play.most_under_way, Scheduler::kConnections);
  EXPECT_LE(tally.back().wait(0.95), 0.1) << "ten that are slow have not taken every connection";
  EXPECT_GE(tally[0].calls, 10u);
}

TEST(Fairness, ATenantTakesNoMoreConnectionsThanItsRateNeeds) {
  Play quick(false);
  quick.run({{1, 64, 50ms}}, 10s);
  EXPECT_LE(Scheduler::concurrency(quick.tenant(1)).most(), 5u);
  Play slow(false);
  auto tally = slow.run({{1, 64, 900ms}}, 1min);
  EXPECT_GE(Scheduler::concurrency(slow.tenant(1)).most(), 54u);
  EXPECT_GE(tally[0].calls, 0.95 * 60 * 60) << "and as many as it needs";
}

TEST(Fairness, AResourcesOwnLimitHoldsItsCallsOnly) {
  Play play(false);
  auto& pace = play.scheduler.pace_of({"a", 1, "slow"}, 2);
  auto tally = play.run({{1, 8, 100ms, 0s, WorkClass::incremental, 1, 1'000'000, &pace}, {1, 16}}, 1min);
  EXPECT_NEAR(static_cast<double>(tally[0].calls), 119, 3);
  EXPECT_GE(tally[0].calls + tally[1].calls, 0.98 * 60 * 60);
  EXPECT_GE(tally[0].waited_for[WaitedFor::resource], 60u);
}

TEST(Scheduler, KnowsHowManyWaitForEachLimit) {
  Scheduler scheduler([](const LimitName&, double rate) { return std::make_shared<Pacer>(rate); });
  auto& tenant = scheduler.tenant("a", 1, [] { return Scheduler::Terms{.host = "h"}; });
  auto& pace = scheduler.pace_of({"a", 1, "slow"}, 2);
  std::array<Scheduler::Waiter, 3> waiters;
  waiters[0].resource = &pace;
  for (auto& w : waiters) scheduler.enter(tenant, w, TimePoint(1h));
  EXPECT_EQ(scheduler.waiting_for({"a", 1}), 3u);
  EXPECT_EQ(scheduler.waiting_for({"a"}), 3u);
  EXPECT_EQ(scheduler.waiting_for({"a", 1, "slow"}), 1u) << "others of the tenant need none of its calls";
  EXPECT_EQ(scheduler.waiting_for({"a", 1, "unknown"}), 0u);
  for (auto& w : waiters) scheduler.leave(w, TimePoint(1h));
}

TEST(Fairness, ItIsKnownWhatACallWaitedFor) {
  auto tally = Play(false).run({{1, 8}}, 1min);
  EXPECT_GE(tally[0].waited_for[WaitedFor::tenant], tally[0].calls * 9 / 10);
  tally = Play(true).run({{1, 8}, {2, 8}}, 1min);
  EXPECT_GE(tally[0].waited_for[WaitedFor::app], tally[0].calls * 9 / 10);
  tally = Play(false).run({{1, 64, 30s}}, 5min);
  EXPECT_GE(tally[0].waited_for[WaitedFor::connection], 40u) << "until it is known that answers take long";
}

TEST(Fairness, WhateverComesNobodyIsForgotten) {
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(40); ++seed) {
    SCOPED_TRACE(seed);
    core::Rng random(seed);
    Play play(random.between(0, 1) == 1, static_cast<double>(random.between(1, 100)));
    std::vector<Load> loads;
    for (std::uint64_t i = random.between(1, 12); i > 0; --i)
      loads.push_back({static_cast<std::int64_t>(random.between(1, 6)), static_cast<int>(random.between(1, 20)),
                       std::chrono::milliseconds(random.between(1, 5000)), std::chrono::milliseconds(random.between(0, 3000)),
                       static_cast<WorkClass>(random.between(0, 2)), static_cast<int>(random.between(1, 16)), 3});
    const auto tally = play.run(loads, 30min, seed);
    for (std::size_t i = 0; i < loads.size(); ++i)
      EXPECT_EQ(tally[i].calls, static_cast<std::size_t>(loads[i].callers) * 3) << "load " << i;
    EXPECT_EQ(play.under_way, 0u);
  }
}

}  // namespace
}  // namespace stsync::limits
