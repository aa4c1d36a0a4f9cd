#pragma once
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <boost/asio/awaitable.hpp>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/rng.hpp"
#include "core/stop.hpp"
#include "limits/scheduler.hpp"

namespace stsync::limits {

class Limiter;

/// The right to make one call now. What became of it is told once; going away it gives its place back. Loop thread only; the
/// limiter outlives it.
class Permit {
 public:
  Permit(Limiter& limiter, Scheduler::Tenant& tenant, const Scheduler::Waiter& waiter)
      : limiter_(&limiter),
        tenant_(&tenant),
        at_(waiter.granted_at),
        sent_(at_),
        waited_(at_ - waiter.since),
        waited_for_(waiter.waited_for),
        call_(waiter.ticket) {}
  Permit(Permit&& o) noexcept
      : limiter_(std::exchange(o.limiter_, nullptr)),
        tenant_(o.tenant_),
        at_(o.at_),
        sent_(o.sent_),
        waited_(o.waited_),
        waited_for_(o.waited_for_),
        call_(std::exchange(o.call_, std::nullopt)) {}
  Permit& operator=(Permit&&) = delete;
  ~Permit();

  core::TimePoint given_at() const noexcept { return at_; }
  core::Duration waited() const noexcept { return waited_; }
  WaitedFor waited_for() const noexcept { return waited_for_; }

  /// The call is written now.
  void leaves();
  /// The host has answered it and is well, whatever it said.
  void answered();
  /// The host did not answer, or cannot (5xx).
  void failed();
  /// The vendor refused it with 429: the whole quota waits, `retry_after` or a second, at most five minutes.
  void refused(std::optional<core::Duration> retry_after);

 private:
  Limiter* limiter_;
  Scheduler::Tenant* tenant_;
  core::TimePoint at_, sent_;
  core::Duration waited_;
  WaitedFor waited_for_;
  std::optional<Breaker::Ticket> call_;  ///< until its end is told
};

/// Who asks for a permit.
struct Caller {
  std::string app;
  std::int64_t tenant = 0;
  WorkClass work = WorkClass::incremental;
  std::string resource{};
  double resource_per_second = 0;  ///< the resource's own limit; 0: it has none
};

/// The limits of this worker: callers wait here until a Scheduler lets them go; nobody overtakes, nobody asks twice. Loop thread
/// only; outlives its callers and permits.
class Limiter {
 public:
  using AskTerms = std::function<Scheduler::Terms(const std::string& app, std::int64_t tenant)>;
  Limiter(core::Clock& clock, core::Rng& rng, AskTerms terms);
  Limiter(core::Clock& clock, core::Rng& rng, AskTerms terms, Scheduler::MakePace make_pace);

  /// Waits for its turn. `cancelled` when stop was asked first. The permit is for the moment it is given: send at once.
  boost::asio::awaitable<core::Result<Permit>> acquire(Caller caller, core::StopToken stop);
  /// No call of the tenant's quota before `until`.
  void hold(const std::string& app, std::int64_t tenant, core::TimePoint until);
  /// How long to wait until a failed call of the tenant may be made again; zero: now, and it is counted.
  core::Duration retry(const std::string& app, std::int64_t tenant);
  /// Calls `look` whenever somebody begins to wait for a limit or it is frozen: for those that are leased.
  void on_demand(std::function<void(const Pace&)> look) { look_ = std::move(look); }
  /// How many wait for a limit, among others.
  std::size_t waiting_for(const LimitName& name) const { return scheduler_.waiting_for(name); }
  /// A limit may let calls go at another time than it said before.
  void changed();
  std::size_t waiting() const noexcept { return scheduler_.waiting(); }
  double utilisation(const std::string& app) const { return scheduler_.utilisation(app, clock_.now()); }
  /// Calls a second that the tenant's quota aims at now.
  double rate(const std::string& app, std::int64_t tenant);

 private:
  friend class Permit;
  Scheduler::Tenant& tenant(const std::string& app, std::int64_t id);
  struct Standing {
    Scheduler::Waiter waiter;
    std::unique_ptr<core::Signal> signal;
  };
  boost::asio::awaitable<void> stand(Standing& one, core::StopToken stop);
  void serve();

  core::Clock& clock_;
  core::Rng& rng_;
  const AskTerms terms_;
  Scheduler scheduler_;
  std::function<void(const Pace&)> look_ = [](const Pace&) {};
  std::map<const Scheduler::Waiter*, Standing*> standing_;
  std::list<Standing*> line_;  ///< the same in the order they came: what happens must not hang on addresses
  /// One of those who wait keeps the time for all: it wakes when the next may go, whoever that is.
  Standing* timekeeper_ = nullptr;
  core::TimePoint wakes_at_{};
};

}  // namespace stsync::limits
