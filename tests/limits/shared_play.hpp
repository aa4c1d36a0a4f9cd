#pragma once
#include <algorithm>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/rng.hpp"
#include "limits/pacer.hpp"
#include "limits/shared_pace.hpp"
#include "store_model.hpp"

namespace stsync::limits::test {

using core::Duration;
using core::TimePoint;

/// Workers that always have calls waiting, the store between them and the vendor behind them, in virtual time: events in order,
/// each a function.
class Play {
 public:
  struct Worker {
    Worker(std::string n, SharedPace p) : name(std::move(n)), pace(std::move(p)) {}
    std::string name;
    SharedPace pace;
    std::size_t waiting = 8;
    bool alive = true, reaches_store = true, hears_store = true;
    std::uint64_t woken = 0;  ///< a newer wake-up makes an older one void
    std::uint64_t trip = 0;
    bool busy = false;
    std::vector<TimePoint> calls;
    std::vector<std::pair<TimePoint, SharedPace::Mode>> switches;
  };
  struct Arrival {
    TimePoint at;
    std::size_t worker;
  };

  explicit Play(std::uint64_t seed, double limit = 60) : random(seed), limit_(limit) {}

  Worker& add(std::int64_t least, bool may_rest = false) {
    const auto index = workers.size();
    const auto hear = [this, index](SharedPace::Mode mode) { workers[index]->switches.emplace_back(now, mode); };
    const auto local = [](double rate) { return std::make_unique<Pacer>(rate); };
    workers.push_back(
        std::make_unique<Worker>("w" + std::to_string(index), SharedPace({"app/1", limit_, least, may_rest}, local, hear)));
    act(*workers.back());
    return *workers.back();
  }
  void at(TimePoint when, std::function<void()> f) { events_.emplace(std::max(when, now), std::move(f)); }
  void run_until(TimePoint end) {
    while (!events_.empty() && events_.begin()->first <= end) {
      auto event = events_.extract(events_.begin());
      now = event.key();
      event.mapped()();
    }
    now = end;
  }
  /// Uniform in [0, most].
  Duration some(Duration most) { return Duration(static_cast<std::int64_t>(random.unit() * static_cast<double>(most.count()))); }

  /// Does what is due for a worker and wakes it again when something may be.
  void act(Worker& w) {
    if (!w.alive) return;
    w.pace.look(now);
    if (!w.busy) {
      if (auto request = w.pace.wants(now, w.waiting)) trip(w, std::move(*request));
    }
    while (w.waiting > 0 && w.pace.next(now) <= now) {
      w.pace.take(now);
      w.calls.push_back(now);
      arrivals.push_back({now + some(jitter), index(w)});
    }
    auto when = w.busy ? now + std::chrono::milliseconds(100) : w.pace.wakes(now, w.waiting);
    if (w.waiting > 0) when = std::min(when, w.pace.next(now));
    if (when == TimePoint::max()) return;
    const auto turn = ++w.woken;
    at(std::max(when, now + std::chrono::microseconds(10)) + lateness(), [this, &w, turn] {
      if (turn == w.woken) act(w);
    });
  }

  void kill_store() { store_up = false; }
  void start_store_empty() {
    model.forget();
    store_up = true;
  }
  void crash(Worker& w) { w.alive = false; }
  void leave(Worker& w) {
    w.alive = false;
    model.leave(w.name, "app/1");
  }

  /// The most calls that arrived in any second that begins in [from, to).
  std::size_t most_in_a_second(TimePoint from = TimePoint::min(), TimePoint to = TimePoint::max()) {
    sort();
    std::size_t most = 0, end = 0;
    for (std::size_t i = 0; i < arrivals.size(); ++i) {
      if (arrivals[i].at < from || arrivals[i].at >= to) continue;
      end = std::max(end, i);
      while (end < arrivals.size() && arrivals[end].at - arrivals[i].at < std::chrono::seconds(1)) ++end;
      most = std::max(most, end - i);
    }
    return most;
  }
  /// The fewest in any `span` within [from, to).
  std::size_t fewest_in(Duration span, TimePoint from, TimePoint to) {
    sort();
    std::size_t fewest = arrivals.size();
    for (auto start = from; start + span <= to; start += std::chrono::milliseconds(100))
      fewest = std::min(fewest, count(start, start + span));
    return fewest;
  }
  std::size_t count(TimePoint from, TimePoint to) const {
    const auto before = [](const Arrival& a, TimePoint t) { return a.at < t; };
    return static_cast<std::size_t>(std::lower_bound(arrivals.begin(), arrivals.end(), to, before) -
                                    std::lower_bound(arrivals.begin(), arrivals.end(), from, before));
  }

  TimePoint now{std::chrono::hours(1)};
  core::Rng random;
  Duration jitter = std::chrono::milliseconds(5);
  Duration trip_takes = std::chrono::milliseconds(1);
  std::function<Duration()> late_timer;  ///< how late a worker wakes up, exactly on time if not set
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<Arrival> arrivals;
  StoreModel model;
  bool store_up = true;
  std::int64_t store_clock = 1'790'000'000'000'000;  ///< microseconds, at virtual time 0

 private:
  std::size_t index(const Worker& w) const {
    for (std::size_t i = 0; i < workers.size(); ++i)
      if (workers[i].get() == &w) return i;
    return workers.size();
  }
  Duration lateness() { return late_timer ? late_timer() : Duration{}; }
  void sort() {
    std::sort(arrivals.begin(), arrivals.end(), [](const Arrival& a, const Arrival& b) { return a.at < b.at; });
  }

  void trip(Worker& w, LeaseRequest request) {
    w.busy = true;
    const auto asked = now;
    // A dead process refuses at once, a lost network says nothing.
    if (!w.reaches_store) return at(now + kTripTime, [this, &w] { lost(w); });
    at(now + some(trip_takes), [this, &w, asked, request = std::move(request)] {
      if (!store_up) return at(now + some(trip_takes), [this, &w] { lost(w); });
      const auto clock = store_clock + std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
      const auto answer = model.lease(clock, w.name, request);
      at(now + some(trip_takes), [this, &w, asked, answer] {
        if (!w.reaches_store || !w.hears_store) return at(std::max(now, asked + kTripTime), [this, &w] { lost(w); });
        w.busy = false;
        if (!w.alive) return;
        w.pace.granted(now, from(answer, asked));
        act(w);
      });
    });
  }
  void lost(Worker& w) {
    w.busy = false;
    if (!w.alive) return;
    w.pace.failed(now);
    act(w);
  }
  Lease from(const StoreModel::Answer& a, TimePoint asked) const {
    const auto later = [this](std::int64_t us) { return now + std::chrono::microseconds(us); };
    Lease lease;
    lease.first = later(a.wait);
    lease.doubt = now - asked;
    lease.interval = std::chrono::microseconds(a.interval);
    lease.slots = a.given;
    lease.again = later(a.again);
    lease.frozen_until = a.frozen > 0 ? later(a.frozen) : TimePoint{};
    lease.share = a.offer;
    lease.claims = a.claims;
    lease.members = a.members;
    lease.shared = a.sharing;
    return lease;
  }

  double limit_;
  std::multimap<TimePoint, std::function<void()>> events_;
};

}  // namespace stsync::limits::test
