#include "simulation/network.hpp"

namespace stsync::simulation {

Network::Plan Network::plan_flight(bool may_be_late) {
  const auto some = [this](core::Duration most) { return std::chrono::duration_cast<core::Duration>(most * rng_.unit()); };
  Plan p;
  p.there = std::chrono::microseconds(100) + some(trouble.slowest);
  p.back = some(trouble.slowest);
  p.arrives = rng_.unit() >= trouble.lost;
  p.answered = rng_.unit() >= trouble.answer_lost;
  p.resets = rng_.unit() < 0.5;
  p.outlives_death = rng_.unit() < 0.5;
  if (!p.arrives && may_be_late && rng_.unit() < trouble.late)
    p.late = std::chrono::milliseconds(1) + some(std::chrono::seconds(60));
  return p;
}

}  // namespace stsync::simulation
