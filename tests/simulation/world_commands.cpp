// The people who send commands.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "codec/wire.hpp"
#include "core/text.hpp"
#include "kafka/client.hpp"
#include "simulation/controls.hpp"
#include "simulation/world.hpp"
#include "sync/names.hpp"
#include "sync/status.hpp"

namespace stsync::simulation {

v1::Command World::command_for(std::int64_t tenant) {
  v1::Command c;
  c.set_id(fmt::format("c{}", sent_.size()));
  c.set_app("acme");
  c.set_tenant(tenant);
  return c;
}

void World::send(const v1::Command& command, bool wrong_place) {
  Entry entry;
  entry.key = sync::tenant_key(command.app(), command.tenant());
  entry.value = codec::to_json(command);
  const auto& topic = config_.kafka.topics.commands;
  const auto count = cluster_.broker.partitions(topic);
  const auto right = kafka::partition_for(entry.key, count);
  cluster_.broker.append(topic, wrong_place ? (right + 1) % count : right, std::move(entry));
  sent_.push_back(command);
  if (wrong_place) misplaced_.insert(command.id());
}

v1::Command World::some_recent_command() {
  return sent_[rng_.between(sent_.size() - std::min<std::size_t>(sent_.size(), 6), sent_.size() - 1)];
}

void World::send_some_command() {
  if (chance(0.3)) vendor_.grow(some_tenant(), chance(0.5) ? "jpm/jobs" : "crm/customers", static_cast<int>(rng_.between(1, 60)));
  if (s_.controls && !sent_.empty() && chance(0.35)) return chance(0.3) ? send_again() : send_control(some_recent_command());
  if (chance(0.05)) return send_cursor();
  constexpr std::array kModes{v1::incremental, v1::incremental, v1::incremental, v1::full, v1::full, v1::ids, v1::window};
  send_sync(kModes[rng_.between(0, kModes.size() - 1)]);
}

void World::send_sync(v1::Mode mode) {
  auto c = command_for(some_tenant());
  auto& sync = *c.mutable_sync();
  sync.set_mode(mode);
  sync.set_resource(mode == v1::ids ? "crm.customers" : some_resource());
  if (chance(0.3)) sync.set_priority(chance(0.5) ? v1::interactive : v1::backfill);
  const auto* list = vendor_.list(c.tenant(), path_of(sync.resource()));
  // What has no window of modification refuses the mode.
  if (mode == v1::window && list != nullptr && list->kind() != ListModel::Kind::windowed) sync.set_mode(v1::full);
  if (sync.mode() == v1::window) {
    const auto now = clock_.wall_now();
    sync::set_time(*sync.mutable_to(), now);
    sync::set_time(*sync.mutable_from(), now - std::chrono::seconds(rng_.between(1, chance(0.3) ? 7200 : 300)));
  }
  if (mode == v1::ids) {
    const auto first = rng_.between(0, 40);
    for (auto i = rng_.between(1, 30); i > 0; --i)
      sync.add_ids(std::to_string(VendorModel::id_of(static_cast<std::int64_t>(first + i))));
  }
  send(c, s_.controls && chance(0.1));
}

/// Back to the beginning, or to a place of somebody's choice.
void World::send_cursor() {
  auto c = command_for(some_tenant());
  auto& cursor = *c.mutable_cursor();
  cursor.set_resource(some_resource());
  const auto path = path_of(cursor.resource());
  if (chance(0.5))
    cursor.set_reset(true);
  else if (vendor_.list(c.tenant(), path) != nullptr)
    cursor.set_set(core::format_utc(clock_.wall_now() - std::chrono::seconds(rng_.between(1, 300))));
  else
    cursor.set_set(fmt::format("token-{}", rng_.between(0, static_cast<std::uint64_t>(vendor_.size(c.tenant(), path)))));
  send(c);
}

/// Of that job, of a resource, or of its whole tenant.
void World::send_control(const v1::Command& other) {
  auto c = command_for(other.tenant());
  const auto address = [&](auto& action) {
    if (chance(0.7)) return action.set_job(other.id());
    if (chance(0.5)) action.set_resource(some_resource());
  };
  if (chance(0.4))
    address(*c.mutable_cancel());
  else if (chance(0.6))
    address(*c.mutable_pause());
  else
    address(*c.mutable_resume());
  send(c);
}

/// To tenants with a pause that stands, then to jobs whose last order was to pause. Any other job goes on by itself.
void World::resume_the_paused() {
  const Controls controls(statuses_, sent_);
  for (const auto& [tenant, by] : controls.standing()) {
    if (!resumed_.insert(by).second) continue;
    auto c = command_for(core::parse_int(tenant.substr(tenant.find('/') + 1)).value_or(0));
    c.mutable_resume();
    send(c);
  }
  for (const auto& job : controls.paused()) {
    if (controls.standing().contains(job.substr(0, job.rfind('/'))) || !resumed_.insert(job).second) continue;
    const auto it = std::find_if(sent_.begin(), sent_.end(), [&](const auto& c) { return job_name(c) == job; });
    auto c = command_for(it->tenant());
    c.mutable_resume()->set_job(it->id());
    send(c);
  }
}

/// The same command once more, or another one with its id.
void World::send_again() {
  auto c = sent_[rng_.between(0, sent_.size() - 1)];
  // One that is forwarded may come after this one, and would be the other one of the two.
  if (chance(0.2) && c.has_sync() && !misplaced_.contains(c.id()))
    c.mutable_sync()->set_resource(c.sync().resource() == "jpm.jobs" ? "crm.customers" : "jpm.jobs");
  send(c);
  sent_.pop_back();  // one command, however often it was sent
}

}  // namespace stsync::simulation
