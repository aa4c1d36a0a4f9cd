#pragma once
#include <memory>
#include <set>
#include <utility>

#include "core/clock.hpp"

namespace stsync::simulation {

/// The clock of one worker in a world of several: while it is frozen, as a stopped process is, nothing that waits goes on.
class WorkerClock final : public core::Clock {
 public:
  explicit WorkerClock(core::Clock& world) : world_(world) {}
  core::TimePoint now() const override { return world_.now(); }
  core::WallTime wall_now() const override { return world_.wall_now(); }
  std::unique_ptr<core::Signal> make_signal() override;

  void freeze() { state_->frozen = true; }
  void thaw();
  bool frozen() const noexcept { return state_->frozen; }

 private:
  class FreezableSignal;
  struct State {
    bool frozen = false;
    std::set<std::pair<std::uint64_t, core::Signal*>> held;  ///< in the order in which they would have gone on
    std::uint64_t next = 0;
  };

  core::Clock& world_;
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace stsync::simulation
