// What goes wrong, and who puts it right.
#include "simulation/world.hpp"

namespace stsync::simulation {

using namespace std::chrono_literals;

Scenario Scenario::calm(std::uint64_t seed) {
  Scenario s;
  s.seed = seed;
  return s;
}

/// Faults in random sets, so that there are runs with one kind only, with all of them and with none.
Scenario Scenario::of(std::uint64_t seed) {
  core::Rng rng(seed * 2654435761U + 17);
  const auto coin = [&rng] { return rng.between(0, 1) == 1; };
  Scenario s;
  s.seed = seed;
  s.workers = static_cast<int>(rng.between(1, 3));
  s.tenants = static_cast<int>(rng.between(1, 4));
  s.length = std::chrono::seconds(rng.between(40, 300));
  s.static_ids = coin();
  s.stops = coin();
  s.kills = coin();
  s.freezes = coin();
  s.isolations = coin();
  s.broker = coin();
  s.vendor = coin();
  s.controls = coin();
  s.little_memory = rng.between(0, 3) == 0;
  return s;
}

void World::something_happens() {
  if (chance(0.35)) send_some_command();
  if (s_.controls && chance(0.1)) control_in_trouble();
  if (chance(0.15)) vendor_.change_lists();
  if (chance(0.15)) disturb_worker();
  if (s_.broker && chance(0.12)) disturb_broker();
  if (s_.vendor && chance(0.08)) disturb_vendor();
}

void World::keep_to_script(core::Duration since_start) {
  while (happened_ < s_.script.size() && s_.script[happened_].at <= since_start) happen(s_.script[happened_++]);
}

/// Workers have their turn one after the other.
void World::happen(const Happening& happening) {
  using What = Happening::What;
  const auto until = clock_.now() + happening.lasts;
  auto& slot = slots_[happened_ % slots_.size()];
  const bool works = slot.worker && !slot.worker->stopping() && !slot.worker->frozen();
  switch (happening.what) {
    case What::broker_away:
      cluster_.network.trouble.away_until = until;
      return;
    case What::coordinator_moves:
      cluster_.broker.moving_until = until;
      return;
    case What::group_moves:
      cluster_.broker.group().move_until(until);
      return;
    case What::worker_killed:
      if (!works) return;
      ++report_.kills;
      slot.worker->kill();
      replace(slot, happening.lasts);
      return;
    case What::worker_frozen:
      if (!works) return;
      ++report_.freezes;
      slot.worker->freeze();
      slot.thaw_at = until;
      return;
    case What::worker_stopped:
      if (works) slot.worker->stop();
  }
}

void World::replace(Slot& slot, core::Duration pause) {
  gone_.push_back(std::move(slot.worker));
  slot.start_at = clock_.now() + pause;
}

void World::disturb_worker() {
  auto& slot = slots_[rng_.between(0, slots_.size() - 1)];
  if (!slot.worker || slot.worker->stopping() || slot.worker->frozen()) return;
  switch (rng_.between(0, 3)) {
    case 0:
      if (s_.stops) slot.worker->stop();
      return;
    case 1:
      if (s_.kills) kill(slot);
      return;
    case 2:
      if (!s_.freezes) return;
      ++report_.freezes;
      slot.worker->freeze();
      slot.thaw_at = clock_.now() + between(1s, chance(0.5) ? 120s : 20s);
      // Somebody thinks it is dead and starts another one.
      if (chance(0.3)) replace(slot, between(0s, 30s));
      return;
    default:
      if (s_.isolations) slot.worker->isolate(clock_.now() + between(1s, chance(0.5) ? 150s : 20s));
  }
}

/// Somebody changes his mind about a job that runs, and before the answers are committed something goes wrong.
void World::control_in_trouble() {
  statuses_.read_on();
  std::vector<const v1::Command*> running;
  for (const auto& c : sent_)
    if (c.has_sync() && statuses_.runs(job_name(c))) running.push_back(&c);
  if (running.empty()) return;
  const auto job = *running[rng_.between(0, running.size() - 1)];
  auto& trouble = cluster_.network.trouble;
  const auto usual = trouble;
  if (s_.broker && chance(0.7)) trouble.slowest = between(100ms, 2s);
  for (auto orders = rng_.between(1, 4); orders > 0; --orders) {
    send_control(job);
    clock_.run_for(between(1ms, 500ms));
  }
  if (s_.broker && chance(0.5)) trouble.away_until = clock_.now() + between(100ms, 20s);
  if (s_.broker && chance(0.3)) trouble.answer_lost = trouble.lost = 0.3;
  for (auto& slot : slots_)
    if (s_.kills && slot.worker && chance(0.5)) kill(slot);
  clock_.run_for(between(1ms, 3s));
  trouble = usual;
}

void World::kill(Slot& slot) {
  ++report_.kills;
  slot.worker->kill();
  replace(slot, between(100ms, chance(0.3) ? 100s : 10s));
}

void World::disturb_broker() {
  auto& t = cluster_.network.trouble;
  switch (rng_.between(0, 11)) {
    case 0:
      t.lost = rng_.unit() * 0.1;
      break;
    case 1:
      t.answer_lost = rng_.unit() * 0.1;
      break;
    case 2:
      t.late = rng_.unit();
      break;
    case 3:
      t.aborted = rng_.unit() * 0.1;
      break;
    case 4:
      t.refused = rng_.unit() * 0.3;
      break;
    case 5:
      t.slowest = between(1ms, chance(0.2) ? 3s : 100ms);
      break;
    case 6:
      t.lost = t.answer_lost = t.aborted = 0.1;
      t.late = 1;
      break;
    case 7:
      t.out_of_order = rng_.unit() * 0.02;
      break;
    case 8:
      marking_ = between(0ms, chance(0.2) ? 5s : 200ms);
      break;
    case 9:
      cluster_.broker.moving_until = clock_.now() + between(100ms, chance(0.2) ? 70s : 5s);
      break;
    case 10:
      cluster_.broker.group().move_until(clock_.now() + between(100ms, chance(0.2) ? 70s : 5s));
      break;
    default:
      t.away_until = clock_.now() + between(500ms, chance(0.3) ? 150s : 15s);
  }
}

void World::disturb_vendor() {
  auto& h = vendor_.habits;
  switch (rng_.between(0, 5)) {
    case 0:
      h.refuses = rng_.unit() * 0.1;
      break;
    case 1:
      h.fails = rng_.unit() * 0.1;
      break;
    case 2:
      h.breaks = rng_.unit() * 0.1;
      break;
    case 3:
      if (chance(0.3)) vendor_.revoke_tokens();
      break;
    case 4:
      h.locks_out = chance(0.3) ? 0.5 : 0;
      break;
    default:
      h.slowest = between(5ms, 8s);
  }
}

/// Whoever has ended is started again after a while; whoever is frozen goes on when its time has come.
void World::keep_workers_up() {
  for (auto& slot : slots_) {
    if (slot.worker && slot.worker->ended()) replace(slot, between(100ms, 15s));
    if (slot.worker && slot.worker->frozen() && clock_.now() >= slot.thaw_at) slot.worker->thaw();
    if (slot.worker || clock_.now() < slot.start_at) continue;
    const auto number = static_cast<std::size_t>(&slot - slots_.data());
    slot.worker = std::make_unique<SimWorker>(cluster_, vendor_, config_, catalogue(),
                                              s_.static_ids ? "w-" + std::to_string(number) : "", rng_.next());
    slot.worker->start(tasks_);
  }
  std::erase_if(gone_, [](const auto& worker) { return worker->ended(); });
  for (auto& worker : gone_)
    if (worker->frozen() && chance(0.05)) worker->thaw();
}

/// All faults end.
void World::calm_down() {
  cluster_.network.trouble = {};
  cluster_.broker.moving_until = {};
  cluster_.broker.group().move_until({});
  marking_ = {};
  vendor_.habits = {};
  for (auto& slot : slots_)
    if (slot.worker) {
      slot.worker->isolate({});
      slot.worker->thaw();
    }
  for (auto& worker : gone_) {
    worker->isolate({});
    worker->thaw();
  }
}

}  // namespace stsync::simulation
