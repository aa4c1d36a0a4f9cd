#include "simulation/world.hpp"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "core/text.hpp"
#include "kafka/client.hpp"
#include "simulation/schedule_check.hpp"
#include "sync/names.hpp"

namespace stsync::simulation {

using namespace std::chrono_literals;

namespace {

constexpr int kPartitions = 4;
constexpr int kRecordPartitions = 3;
const std::vector<std::string> kFeeds{"jpm.jobs", "crm.customers"};
const std::vector<std::pair<std::string, ListModel::Kind>> kLists{{"marketing.categories", ListModel::Kind::windowed},
                                                                  {"marketing.costs", ListModel::Kind::sorted},
                                                                  {"jpm.project-types", ListModel::Kind::plain}};
/// A call leaves so much later than the lease was looked at, at most.
constexpr core::Duration kCallDelay = 1s;
/// So long a job may take that begins by itself, where nothing is wrong any more.
constexpr auto kEndsWithin = 3min;

config::Config config_of(const Scenario& s) {
  std::vector<std::int64_t> tenants(static_cast<std::size_t>(s.tenants));
  std::iota(tenants.begin(), tenants.end(), 1001);
  auto c = make_config(tenants);
  c.kafka.partitions = kPartitions;
  c.kafka.record_partitions = kRecordPartitions;
  if (s.little_memory) {
    c.worker.max_memory = 25'000;
    c.worker.page_buffer = 2'500;
  }
  if (s.schedules)
    for (auto& tenant : c.apps[0].tenants) tenant.schedules = {every_minute()};
  c.worker.settle = 20s;  // what changes during a run is read in it
  return c;
}

std::uint64_t mix(std::uint64_t hash, std::string_view text) {
  for (const auto c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return (hash ^ 0xff) * 0x100000001b3ULL;
}

}  // namespace

/// Reading it takes longer than a run: it is read once.
const servicetitan::Catalogue& World::catalogue() {
  static const auto loaded = servicetitan::Catalogue::load("", "").value();
  return loaded;
}

World::World(const Scenario& scenario)
    : s_(scenario),
      rng_(scenario.seed),
      config_(config_of(scenario)),
      cluster_(loop_.get_executor(), clock_, rng_, config_.kafka.topics.commands, kPartitions),
      vendor_(clock_, rng_),
      statuses_(cluster_.broker, config_.kafka.topics.status),
      tasks_(loop_.get_executor(), clock_) {
  make_topics();
  cluster_.bugs = s_.bugs;
  fill_vendor();
  vendor_.on_call = [this](const Link& link, std::int64_t tenant) { return check_call(link, tenant); };
  slots_.resize(static_cast<std::size_t>(s_.workers));
  cluster_.network.trouble = s_.trouble;
  marking_ = s_.marking;
  clock_.run_for(1h);  // a clock at zero would stand for "just heard of"
}

void World::make_topics() {
  const auto& t = config_.kafka.topics;
  cluster_.broker.create_topic(t.journal, kPartitions);
  for (const auto& topic : {t.status, t.usage, t.dlq}) cluster_.broker.create_topic(topic, kRecordPartitions);
  for (const auto& resource : kFeeds) cluster_.broker.create_topic("st." + resource, kRecordPartitions);
  for (const auto& [resource, kind] : kLists) cluster_.broker.create_topic("st." + resource, kRecordPartitions);
  cluster_.broker.stamp = [this] { return clock_.wall_now().time_since_epoch().count(); };
  cluster_.broker.marking = [this] { return marking_ == core::Duration(0) ? marking_ : between({}, marking_); };
  cluster_.broker.on_marking = [this](core::Duration after) { tasks_.spawn("marks", write_marks(after)); };
  cluster_.broker.on_change = [this](const std::string& topic) {
    if (topic != config_.kafka.topics.commands) return;
    for (auto* fetcher : cluster_.fetchers) fetcher->notify();
  };
}

void World::fill_vendor() {
  for (const auto& tenant : config_.apps[0].tenants) {
    vendor_.grow(tenant.id, "jpm/jobs", static_cast<int>(rng_.between(0, 400)));
    vendor_.grow(tenant.id, "crm/customers", static_cast<int>(rng_.between(80, 300)));
    for (const auto& [resource, kind] : kLists) {
      auto& list = vendor_.make_list(tenant.id, path_of(resource), kind);
      for (auto rows = rng_.between(1, 150); rows > 0; --rows) list.add(clock_.wall_now());
    }
  }
}

/// Who has not heard of the group for half a session may be nobody any more. A static twin takes a session that is alive: that its
/// predecessor hears of at its next heartbeat. Returns whether the tenant is the caller's.
bool World::check_call(const Link& link, std::int64_t tenant) {
  const auto silent = clock_.now() - link.heard;
  const auto key = sync::tenant_key(config_.apps[0].name, tenant);
  const auto owner = cluster_.broker.group().owner(kafka::partition_for(key, kPartitions));
  if (silent > config_.kafka.session_timeout / 2 + kCallDelay)
    report_.problems.push_back(fmt::format("{} calls for tenant {}, {} s after its group has last answered", link.member, tenant,
                                           std::chrono::duration_cast<std::chrono::seconds>(silent).count()));
  else if (!s_.static_ids && owner && *owner != link.member)
    report_.problems.push_back(fmt::format("{} calls for tenant {}, who is {}'s", link.member, tenant, *owner));
  return !owner || *owner == link.member;
}

World::~World() = default;

core::Duration World::between(core::Duration low, core::Duration high) {
  return low + std::chrono::duration_cast<core::Duration>((high - low) * rng_.unit());
}
std::int64_t World::some_tenant() {
  return 1000 + static_cast<std::int64_t>(rng_.between(1, static_cast<std::uint64_t>(s_.tenants)));
}
std::string World::some_resource() {
  if (chance(0.6)) return kFeeds[rng_.between(0, kFeeds.size() - 1)];
  return kLists[rng_.between(0, kLists.size() - 1)].first;
}

boost::asio::awaitable<void> World::broker_time() {
  while (!over_) {
    cluster_.broker.tick(clock_.now());
    co_await clock_.sleep_for(1s);
  }
}

boost::asio::awaitable<void> World::write_marks(core::Duration after) {
  co_await clock_.sleep_for(after);
  cluster_.broker.tick(clock_.now());
}

Report World::play() {
  const auto start = clock_.now();
  tasks_.spawn("broker", broker_time());
  while (clock_.now() - start < s_.length) {
    keep_workers_up();
    keep_to_script(clock_.now() - start);
    something_happens();
    clock_.run_for(between(50ms, 5s));
  }
  calm_down();
  if (!wait_for([this] { return all_ended(); }, 1h, "commands to end")) return end_of(start);
  // What changed last is read by everybody's last job.
  clock_.run_for(config_.worker.settle + 1s);
  std::vector<std::string> all = kFeeds;
  for (const auto& [resource, kind] : kLists) all.push_back(resource);
  for (const auto& tenant : config_.apps[0].tenants)
    for (const auto& resource : all) {
      auto c = command_for(tenant.id);
      c.mutable_sync()->set_resource(resource);
      send(c);
    }
  wait_for([this] { return all_ended(); }, 1h, "the last commands to end");
  return end_of(start);
}

Report World::end_of(core::TimePoint start) {
  finish();
  report_.virtual_time = clock_.now() - start;
  return std::move(report_);
}

/// Nobody sends the commands of jobs that begin by themselves, and all else holds of them too.
void World::read_statuses() {
  statuses_.read_on();
  know_scheduled();
  know_successors();
}

void World::know_scheduled() {
  for (const auto& [name, told] : statuses_.jobs()) {
    const auto& accepted = told.front().event;
    if (!told_run(accepted) || !scheduled_.emplace(name, time_of(accepted)).second) continue;
    auto c = command_for(accepted.tenant());
    c.set_id(accepted.job());
    c.mutable_sync()->set_resource(accepted.resource());
    sent_.push_back(std::move(c));
  }
}

/// A job that cannot go on from its cursor (the row of the newest change went) ends, and a full follows it under an id that is made
/// of its own.
void World::know_successors() {
  for (std::size_t i = 0; i < sent_.size(); ++i) {
    const auto& told = statuses_.job(job_name(sent_[i]));
    const auto* end = simulation::end_of(told);
    if (first(told, v1::StatusEvent::restarted) == nullptr || end == nullptr) continue;
    if (end->event.failure().code() != "cursor_lost") continue;
    auto next = sent_[i];
    next.set_id(core::uuid5("restart " + next.id()));
    if (!followed_on_.insert(next.id()).second) continue;
    next.mutable_sync()->set_mode(v1::full);
    sent_.push_back(std::move(next));
  }
}

bool World::all_ended() {
  keep_workers_up();
  read_statuses();
  const auto ended = [this](const auto& c) { return statuses_.ended(job_name(c)) || scheduled_.contains(job_name(c)); };
  if (std::all_of(sent_.begin(), sent_.end(), ended)) return true;
  resume_the_paused();
  return false;
}

/// Looks every few seconds of virtual time.
bool World::wait_for(const std::function<bool()>& done, core::Duration limit, const char* what) {
  const auto end = clock_.now() + limit;
  while (clock_.now() < end) {
    if (done()) return true;
    clock_.run_for(3s);
  }
  report_.problems.push_back(fmt::format("stuck: waiting for {}", what));
  return false;
}

void World::finish() {
  const auto end = clock_.wall_now();
  for (auto& slot : slots_)
    if (slot.worker) slot.worker->stop();
  for (auto& worker : gone_) worker->stop();
  wait_for(
      [this] {
        const auto ended = [](const auto& w) { return !w || w->ended(); };
        return std::all_of(slots_.begin(), slots_.end(), [&](const auto& s) { return ended(s.worker); }) &&
               std::all_of(gone_.begin(), gone_.end(), ended);
      },
      30min, "workers to end");
  over_ = true;
  tasks_.spawn("settle", cluster_.network.settle());
  clock_.run_for(10min);
  read_statuses();
  std::set<std::string> young;  // of those that begin by themselves some always have not ended
  for (const auto& [name, accepted] : scheduled_)
    if (accepted > end - kEndsWithin) young.insert(name);
  Checker checker(cluster_, vendor_, config_, statuses_, sent_, young);
  for (auto& problem : checker.check()) report_.problems.push_back(std::move(problem));
  if (s_.schedules)
    for (auto& problem : check_runs(statuses_, end)) report_.problems.push_back(std::move(problem));
  report_.runs = scheduled_.size();
  report_.commands = sent_.size();
  report_.records = checker.records();
  report_.transactions = cluster_.batches.size();
  report_.calls = vendor_.calls;
  report_.unreachable = cluster_.network.unreachable;
  for (const auto& [number, batch] : cluster_.batches) {
    report_.doubts += batch.told == kafka::Outcome::doubt ? 1 : 0;
    report_.aborts += batch.told == kafka::Outcome::aborted ? 1 : 0;
  }
  report_.fingerprint = fingerprint();
  gone_.clear();
  slots_.clear();
}

std::uint64_t World::fingerprint() const {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const auto& topic : cluster_.broker.topics())
    for (int p = 0; p < cluster_.broker.partitions(topic); ++p)
      for (const auto& e : cluster_.broker.log(topic, p).entries()) {
        hash = mix(mix(mix(hash, e.key), e.value.value_or("")), std::to_string(e.timestamp_ms));
        hash = (hash ^ (static_cast<std::uint64_t>(e.fate) + e.ended)) * 0x100000001b3ULL;
      }
  return hash;
}

Report play(const Scenario& scenario) { return World(scenario).play(); }

}  // namespace stsync::simulation
