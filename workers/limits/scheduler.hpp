#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.hpp"
#include "limits/breaker.hpp"
#include "limits/concurrency.hpp"
#include "limits/fair_ring.hpp"
#include "limits/pace.hpp"
#include "limits/retry_budget.hpp"
#include "limits/use_meter.hpp"

namespace stsync::limits {

/// What a call waited for in the end.
enum class WaitedFor { tenant, breaker, connection, app, resource, nothing };
/// "tenant", … for the metric.
const char* name_of(WaitedFor what) noexcept;

/// Which limit: an app's (tenant 0), a tenant's, or one of a resource.
struct LimitName {
  std::string app;
  std::int64_t tenant = 0;
  std::string resource{};
  auto operator<=>(const LimitName&) const = default;
};

/// Hands out permits to call, of all limits at once: a call needs its tenant's quota or its app's, its resource's where that has
/// one, and a place among the connections of its host. Within a tenant, classes of work have their shares and calls leave in the
/// order they came; tenants that share an app's quota or a host take turns. A tenant that cannot go (its quota, its breaker) is not
/// in anybody's way. Pure: the time is told, and who may go is returned.
class Scheduler {
 public:
  /// Calls under way to one host, of all tenants.
  static constexpr std::size_t kConnections = 256;

  using MakePace = std::function<std::shared_ptr<Pace>(const LimitName&, double per_second)>;
  explicit Scheduler(MakePace make_pace);
  ~Scheduler();

  /// What is configured for a tenant.
  struct Terms {
    double per_second = 60;  ///< of the tenant, or of the app
    bool whole_app = false;  ///< the app's tenants share the quota
    int weight = 1;
    std::string host;
  };
  class Tenant;

  /// Who waits for a permit. Stays where it is until it has one or leaves.
  struct Waiter {
    WorkClass work = WorkClass::incremental;
    Pace* resource = nullptr;  ///< a further limit
    // Filled in:
    Tenant* tenant = nullptr;
    core::TimePoint since{};
    bool granted = false;
    core::TimePoint granted_at{};
    Breaker::Ticket ticket = 0;
    WaitedFor waited_for = WaitedFor::nothing;
    std::array<core::Duration, 3> blocked_before{};  ///< the tenant's blocked() when this one came
  };

  /// The terms of the first time stay. The tenant lives as long as this.
  Tenant& tenant(const std::string& app, std::int64_t id, const std::function<Terms()>& terms);
  /// The pace of an app's quota, or of a limit that one resource of a tenant has for itself. The rate of the first time stays.
  Pace& pace_of(const LimitName& name, double per_second);

  void enter(Tenant& tenant, Waiter& waiter, core::TimePoint now);
  void leave(Waiter& waiter, core::TimePoint now);
  /// Who may go now. Each holds a place of its host until finished().
  std::vector<Waiter*> grant(core::TimePoint now);
  /// When grant() may have somebody, unless something is told before; max(): nobody waits for a time.
  core::TimePoint next(core::TimePoint now);
  /// A granted call is over, or was not made.
  void finished(Tenant& tenant, core::TimePoint now);
  /// A limit may let calls go at another time than it said before.
  void changed(core::TimePoint now);
  std::size_t waiting() const noexcept { return waiting_; }
  /// Of an app's quotas, the one that is used most: its share, in calls that left lately.
  double utilisation(const std::string& app, core::TimePoint now) const;
  /// How many wait for a limit, among others.
  std::size_t waiting_for(const LimitName& name) const;

  /// The quota that the tenant's calls count against.
  static Pace& quota(Tenant& tenant) noexcept;
  static Concurrency& concurrency(Tenant& tenant) noexcept;
  static Breaker& breaker(Tenant& tenant) noexcept;
  static RetryBudget& retries(Tenant& tenant) noexcept;

 private:
  struct Host;
  struct Group;

  Group& group(const std::string& app, const Terms& terms);
  void look_at(Tenant& tenant, core::TimePoint now);
  void serve(Group& group, core::TimePoint now, std::vector<Waiter*>& out);
  Waiter* pick(Group& group, core::TimePoint now);
  void crowd_out(Tenant& tenant, core::TimePoint now);
  static WaitedFor waited_for(const Waiter& waiter, const Group& group);

  MakePace make_pace_;
  std::map<std::pair<std::string, std::int64_t>, std::unique_ptr<Tenant>> tenants_;
  std::map<std::string, std::unique_ptr<Host>> hosts_;
  std::map<std::pair<std::string, std::string>, std::unique_ptr<Group>>
      groups_;                                        ///< by host and app; "" where tenants have own quotas
  std::map<LimitName, std::shared_ptr<Pace>> paces_;  ///< of apps and resources
  std::set<std::pair<core::TimePoint, Tenant*>> timers_;
  std::size_t waiting_ = 0;
  std::size_t first_group_ = 0;
};

}  // namespace stsync::limits
