#pragma once
#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <utility>

#include <boost/asio/awaitable.hpp>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/stop.hpp"
#include "limits/fair_ring.hpp"

namespace stsync::limits {

/// Who wants something that tenants share.
struct Sharer {
  std::string app;
  std::int64_t tenant = 0;
  WorkClass work = WorkClass::incremental;
  int weight = 1;
};

/// Room (places at helper threads, bytes on their way to Kafka) for which tenants take turns, by classes and weights: one that
/// floods it waits for itself. Something larger than all of it has its turn when nothing else is inside. Loop thread only; outlives
/// its turns.
class FairGate {
 public:
  FairGate(core::Clock& clock, std::size_t room) : clock_(clock), room_(room) {}
  FairGate(const FairGate&) = delete;
  FairGate& operator=(const FairGate&) = delete;

 private:
  struct Flow;

 public:
  /// A part of the room; it goes back with this.
  class Turn {
   public:
    Turn(FairGate& gate, std::size_t size) : gate_(&gate), size_(size) {}
    Turn(Turn&& o) noexcept : gate_(std::exchange(o.gate_, nullptr)), size_(o.size_) {}
    Turn& operator=(Turn&& o) noexcept {
      std::swap(gate_, o.gate_);
      std::swap(size_, o.size_);
      return *this;
    }
    ~Turn() {
      if (gate_ != nullptr) gate_->leave(size_);
    }

   private:
    FairGate* gate_;
    std::size_t size_;
  };
  /// `size`: of the room. `cost`: what the turn counts in the tenant's share; 1 is what a weight of 1 gets in a round. cancelled:
  /// stop was asked first.
  boost::asio::awaitable<core::Result<Turn>> enter(Sharer who, std::size_t size, double cost, core::StopToken stop);
  std::size_t waiting() const noexcept { return waiting_; }

 private:
  struct Waiter {
    core::Signal* signal;
    std::size_t size;
    double cost;
    bool granted = false;
  };
  struct Flow {
    ByClass<std::list<Waiter*>> lines;
  };
  bool fits(std::size_t size) const noexcept { return used_ == 0 || used_ + size <= room_; }
  void leave(std::size_t size);
  void grant();

  core::Clock& clock_;
  const std::size_t room_;
  std::size_t used_ = 0;
  std::size_t waiting_ = 0;
  std::map<std::pair<std::string, std::int64_t>, Flow> flows_;
  ByClass<FairRing<Flow>> rings_;
  ClassShares shares_;
};

}  // namespace stsync::limits
