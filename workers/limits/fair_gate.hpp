#pragma once
#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <utility>

#include <boost/asio/awaitable.hpp>

#include "core/clock.hpp"
#include "limits/fair_ring.hpp"

namespace stsync::limits {

/// Who wants something that tenants share.
struct Sharer {
  std::string app;
  std::int64_t tenant = 0;
  WorkClass work = WorkClass::incremental;
  int weight = 1;
};

/// A few places (of helper threads) for which tenants take turns, by classes and weights: one that floods it waits for itself.
/// What a turn costs is said when it is over. A turn cannot be cancelled: what it is for takes milliseconds. Loop thread only;
/// outlives its turns.
class FairGate {
 public:
  FairGate(core::Clock& clock, std::size_t places) : clock_(clock), free_(places) {}
  FairGate(const FairGate&) = delete;
  FairGate& operator=(const FairGate&) = delete;

 private:
  struct Flow;

 public:
  /// A place; it goes back with this.
  class Turn {
   public:
    Turn(FairGate& gate, Flow& flow, WorkClass work) : gate_(&gate), flow_(&flow), work_(work) {}
    Turn(Turn&& o) noexcept : gate_(std::exchange(o.gate_, nullptr)), flow_(o.flow_), work_(o.work_), cost_(o.cost_) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (gate_ != nullptr) gate_->leave(*flow_, work_, cost_);
    }
    /// 1 unless it is said.
    void costs(double cost) noexcept { cost_ = cost; }

   private:
    FairGate* gate_;
    Flow* flow_;
    WorkClass work_;
    double cost_ = 1;
  };
  boost::asio::awaitable<Turn> enter(Sharer who);
  std::size_t waiting() const noexcept { return waiting_; }

 private:
  struct Waiter {
    core::Signal* signal;
    bool granted = false;
  };
  struct Flow {
    ByClass<std::list<Waiter*>> lines;
  };
  void leave(Flow& flow, WorkClass work, double cost);
  void grant();

  core::Clock& clock_;
  std::size_t free_;
  std::size_t waiting_ = 0;
  std::map<std::pair<std::string, std::int64_t>, Flow> flows_;
  ByClass<FairRing<Flow>> rings_;
  ClassShares shares_;
};

}  // namespace stsync::limits
