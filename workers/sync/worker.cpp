#include "sync/worker.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.hpp"
#include "http/probes.hpp"
#include "servicetitan/quota.hpp"
#include "sync/migration.hpp"
#include "sync/record_topics.hpp"
#include "telemetry/log.hpp"

namespace stsync::sync {

using core::ErrorKind;
using core::Result;
using telemetry::Level;
using namespace std::chrono_literals;

namespace {

constexpr core::Duration kTick = 1s;
/// More than calls can be under way: the limiter decides who gets one, and tokens are fetched beside them.
constexpr std::size_t kConnections = limits::Scheduler::kConnections + 64;
constexpr int kLogEvery = 60;  // seconds: a broker that is away is said once a minute

}  // namespace

Worker::Worker(boost::asio::any_io_executor loop, core::Clock& clock, core::Rng& rng, Surroundings& surroundings,
               const config::Config& config, const servicetitan::Catalogue& catalogue, telemetry::Metrics& metrics,
               std::string instance_id)
    : loop_(loop),
      clock_(clock),
      rng_(rng),
      surroundings_(surroundings),
      config_(config),
      catalogue_(catalogue),
      metrics_(metrics),
      instance_id_(std::move(instance_id)),
      spool_(config.worker.spool_dir),
      limit_store_(loop, clock, config, metrics),
      token_gate_(clock, [this](const std::string& app) { return limit_store_.token_requests(app); }),
      token_watch_(metrics),
      limiter_(clock, rng, servicetitan::quota_terms(config),
               [this](const limits::LimitName& name, double per_second) { return limit_store_.quota(name, per_second); }),
      shares_(config.worker.max_memory),
      page_memory_(clock, shares_.pages(0)),
      tick_(clock.make_signal()),
      closings_(loop, clock),
      tasks_(loop, clock) {}

Worker::~Worker() = default;

std::string Worker::telemetry_url() const { return server_ ? server_->url() : std::string(); }

boost::asio::awaitable<Result<void>> Worker::run(core::StopToken stop) {
  const auto on_stop = stop.on_stop([this] { fatal_.request_stop(); });
  const auto on_fatal = fatal_.token().on_stop([this] { membership_.request_stop(); });
  if (auto ok = co_await start(fatal_.token()); !ok) {
    if (server_) co_await server_->stop(1s);
    co_await limit_store_.close();
    co_return stop.stop_requested() ? Result<void>() : ok;
  }
  tasks_.spawn("loop watch", watch_loop());
  tasks_.spawn("drain watch", drain_watch(fatal_.token()));
  while (!fatal_.stop_requested()) {
    co_await consumer_->run(membership_.token(), config_.worker.drain_timeout);
    co_await closings_.join();  // lanes that are on their way out already: two that wait for them would wake each other for ever
    co_await close_lanes();
    if (fatal_.stop_requested()) break;
    membership_ = core::StopSource();
    if (auto ok = make_consumer(); !ok) {
      failure_ = ok.error();
      fatal_.request_stop();
    }
  }
  ended_.request_stop();
  co_await tokens_->close();
  co_await limit_store_.close();
  for (auto* clients : {&clients_, &storage_})
    for (auto& [name, client] : *clients) co_await client->close();
  co_await server_->stop(1s);
  co_await tasks_.join();
  if (failure_) co_return core::fail(*failure_);
  co_return Result<void>();
}

boost::asio::awaitable<Result<void>> Worker::start(core::StopToken stop) {
  if (auto ok = make_clients(); !ok) co_return ok;
  if (auto ok = start_telemetry(); !ok) co_return ok;
  const auto member = fmt::format("{}-{:016x}", client_id(instance_id_), rng_.next());  // a process that comes after is another one
  if (auto ok = limit_store_.open(member, limiter_, token_gate_); !ok) co_return ok;
  token_source_ = std::make_unique<tokens::HttpTokenSource>(config_, clients_);
  tokens_ = std::make_unique<tokens::Tokens>(loop_, clock_, rng_, *token_source_, token_gate_, token_watch_);
  api_ = std::make_unique<servicetitan::Api>(servicetitan::Api::Parts{clock_, rng_, config_, clients_, storage_, *tokens_, limiter_,
                                                                      metrics_, surroundings_.helpers(),
                                                                      surroundings_.large_helpers(), spool_});
  for (const auto& app : config_.apps) metrics_.quota(app.name, app.limits.requests_per_second);
  if (auto ok = co_await find_topics(stop); !ok) co_return ok;
  if (auto ok = make_consumer(); !ok) co_return ok;
  telemetry::log(Level::info, "worker_started", "joining the group",
                 {{"group", config_.kafka.group},
                  {"instance", instance_id_},
                  {"library", kafka::library_version()},
                  {"telemetry", server_->url()}});
  co_return Result<void>();
}

Result<void> Worker::make_consumer() {
  consumer_.reset();  // the one before gives its identity up first
  auto consumer =
      surroundings_.join({.group = config_.kafka.group,
                          .instance_id = instance_id_,
                          .topic = config_.kafka.topics.commands,
                          .session_timeout = std::chrono::duration_cast<std::chrono::milliseconds>(config_.kafka.session_timeout)},
                         *this);
  if (!consumer) return core::fail(consumer.error());
  consumer_ = std::move(*consumer);
  return {};
}

Result<void> Worker::make_clients() {
  for (const auto& [name, environment] : config_.environments) {
    auto client = surroundings_.client({.ca_file = environment.ca_file, .max_connections_per_origin = kConnections});
    if (!client) return core::fail(client.error().within("setting up environment " + name));
    clients_[name] = std::move(*client);
    auto storage = surroundings_.client({.ca_file = environment.ca_file, .public_only = true});
    if (!storage) return core::fail(storage.error().within("setting up environment " + name));
    storage_[name] = std::move(*storage);
  }
  return {};
}

/// Waits for the cluster as long as it takes; what it then holds must be as the delivery rules need it.
boost::asio::awaitable<Result<void>> Worker::find_topics(core::StopToken stop) {
  const auto& topics = config_.kafka.topics;
  std::vector<std::string> names{topics.commands, topics.journal, topics.status, topics.usage, topics.dlq};
  const auto records = record_topics(config_, catalogue_);
  for (;;) {
    auto wanted = names;
    wanted.insert(wanted.end(), records.begin(), records.end());
    auto found = co_await surroundings_.describe(std::move(wanted), {"cleanup.policy", "max.message.bytes"}, 5s);
    if (stop.stop_requested()) co_return core::fail(ErrorKind::cancelled, "stopped before the cluster answered");
    if (!found) {
      if (found.error().kind() == ErrorKind::bad_config) co_return core::fail(found.error());
      telemetry::log_rarely(Level::warn, "kafka_unreachable", kLogEvery, found.error().message(),
                            {{"servers", config_.kafka.bootstrap_servers}});
      const auto signal = clock_.make_signal();
      const auto on_stop = stop.on_stop([&signal] { signal->notify(); });
      co_await signal->wait_until(clock_.now() + kTick);
      continue;
    }
    for (const auto& name : names)
      if (!found->contains(name))
        co_return core::fail(ErrorKind::bad_config, fmt::format("topic {} does not exist: run 'stsync topics create'", name));
    for (const auto& name : {topics.commands, topics.journal})
      if (const auto wrong = wrong_partitions(found->at(name).partitions, config_.kafka.partitions); !wrong.empty())
        co_return core::fail(ErrorKind::bad_config, fmt::format("topic {} {}", name, wrong));
    const auto& journal = found->at(topics.journal).config;
    if (const auto policy = journal.find("cleanup.policy");
        policy != journal.end() && policy->second.find("compact") == std::string::npos)
      co_return core::fail(ErrorKind::bad_config,
                           fmt::format("topic {} must have cleanup.policy=compact, it has {}", topics.journal, policy->second));
    for (const auto& name : records) {
      if (!found->contains(name)) continue;
      const auto& config = found->at(name).config;
      const auto limit = config.find("max.message.bytes");
      auto& topic = record_topics_[name];
      topic.partitions = found->at(name).partitions;
      if (limit == config.end()) continue;
      const auto bytes = static_cast<std::size_t>(core::parse_int(limit->second).value_or(1'000'000));
      topic.record_limit = std::min(bytes, kafka::kMaxMessageBytes);
    }
    co_return Result<void>();
  }
}

Result<void> Worker::start_telemetry() {
  http::ServerOptions options;
  options.listen = config_.telemetry.listen;
  auto server = surroundings_.serve(std::move(options), http::probes(
                                                            [this] {
                                                              update_metrics();
                                                              return metrics_.render();
                                                            },
                                                            [this] { return ready(); }));
  if (!server) return core::fail(server.error().within("starting the telemetry server"));
  server_ = std::move(*server);
  return {};
}

bool Worker::ready() const {
  if (!consumer_ || membership_.stop_requested()) return false;
  if (clock_.now() - consumer_->last_heartbeat() > config_.kafka.session_timeout) return false;
  return std::all_of(lanes_.begin(), lanes_.end(), [](const auto& lane) { return lane.second->ready(); });
}

void Worker::assigned(const std::vector<std::int32_t>& partitions) {
  metrics_.rebalance();
  telemetry::log(Level::info, "partitions_assigned", "partitions assigned", {{"count", partitions.size()}});
  lane_tasks_ = std::make_unique<core::TaskGroup>(loop_, clock_);
  for (const auto p : partitions) {
    lanes_[p] = std::make_unique<Lane>(
        LaneContext{loop_, clock_, rng_, config_, catalogue_, *consumer_, *api_, limiter_, metrics_, record_topics_,
                    [this] {
                      return static_cast<int>(
                          std::count_if(lanes_.begin(), lanes_.end(), [](const auto& l) { return l.second->busy(); }));
                    },
                    page_memory_, shares_, [this] { return lanes_.size(); }, [this] { return open_jobs(); },
                    [this](const core::Error& e) { error(e, true); }, surroundings_.crash_notes()},
        p);
    lane_tasks_->spawn(fmt::format("lane {}", p), lanes_[p]->run());
  }
}

std::size_t Worker::open_jobs() const {
  std::size_t bytes = 0;
  for (const auto& [p, lane] : lanes_) bytes += lane->open_jobs();
  return bytes;
}

void Worker::revoked(bool lost) {
  metrics_.rebalance();
  telemetry::log(lost ? Level::warn : Level::info, "partitions_revoked", lost ? "partitions lost" : "partitions given back",
                 {{"count", lanes_.size()}});
  for (auto& [p, lane] : lanes_) lost ? lane->give_up() : lane->stop();
  if (lost && clock_.now() - consumer_->last_heartbeat() > config_.kafka.session_timeout * 9 / 10) expired_ = clock_.now();
  closings_.spawn("closing lanes", [](Worker& self) -> boost::asio::awaitable<void> {
    co_await self.close_lanes();
    self.consumer_->complete_revoke();
  }(*this));
}

boost::asio::awaitable<void> Worker::close_lanes() {
  for (auto& [p, lane] : lanes_) lane->stop();
  if (lane_tasks_) co_await lane_tasks_->join();
  for (auto& [p, lane] : lanes_) metrics_.lag_remove(p);
  lanes_.clear();
}

void Worker::messages() {
  for (auto& [p, lane] : lanes_) lane->messages();
}

void Worker::error(const core::Error& error, bool fatal) {
  metrics_.kafka_error(core::to_string(error.kind()));
  telemetry::log_rarely(fatal ? Level::error : Level::warn, "kafka_error", kLogEvery, error.message());
  if (!fatal) return;
  if (error.kind() == ErrorKind::fenced && own_ghost()) {
    telemetry::log(Level::warn, "rejoining", "the session ran out and the group fenced what was left of it",
                   {{"instance", instance_id_}});
    expired_ = {};
    for (auto& [p, lane] : lanes_) lane->give_up();
    membership_.request_stop();
    return;
  }
  failure_ = error;
  fatal_.request_stop();
}

/// A session that ran out by itself, because the brokers were away, comes back as a new member of the same name. Requests of the
/// old one that are still on their way are answered "fenced": that is nobody's twin. A twin takes a session that is alive.
bool Worker::own_ghost() const {
  const auto session = config_.kafka.session_timeout;
  if (clock_.now() - consumer_->last_heartbeat() > session * 9 / 10) return true;
  return expired_ != core::TimePoint{} && clock_.now() - expired_ < session + 60s;
}

void Worker::update_metrics() {
  std::map<std::string, int> phases;
  Freshness freshness;
  core::Duration schedule_lag{};
  for (const auto& [p, lane] : lanes_) {
    metrics_.lag(p, lane->lag());
    for (const auto& [phase, count] : lane->phases()) phases[phase] += count;
    lane->add_freshness(freshness);
    schedule_lag = std::max(schedule_lag, lane->schedule_lag());
  }
  metrics_.freshness(freshness.of_resources(clock_.wall_now()), freshness.of_tenants(clock_.wall_now()));
  metrics_.schedule_lag(std::chrono::duration<double>(schedule_lag).count());
  for (const auto& app : config_.apps) metrics_.utilisation(app.name, limiter_.utilisation(app.name));
  metrics_.jobs(phases);
  metrics_.lanes(static_cast<int>(lanes_.size()));
  metrics_.log_lines_dropped(telemetry::log_lines_dropped());
  metrics_.ready(ready());
}

/// How late the loop is: a loop that stalls delays every pace it keeps.
boost::asio::awaitable<void> Worker::watch_loop() {
  const auto on_end = ended_.token().on_stop([this] { tick_->notify(); });
  while (!ended_.stop_requested()) {
    const auto due = clock_.now() + kTick;
    if (co_await tick_->wait_until(due) == core::Wake::expired)
      metrics_.loop_lag(std::chrono::duration<double>(clock_.now() - due).count());
  }
}

/// When the drain takes too long, what cannot be committed is given up: the journal knows where to go on.
boost::asio::awaitable<void> Worker::drain_watch(core::StopToken stop) {
  const auto signal = clock_.make_signal();
  const auto on_stop = stop.on_stop([&signal] { signal->notify(); });
  const auto on_end = ended_.token().on_stop([&signal] { signal->notify(); });
  while (!stop.stop_requested() && !ended_.stop_requested()) co_await signal->wait();
  const auto deadline = clock_.now() + config_.worker.drain_timeout * 8 / 10;
  while (!ended_.stop_requested() && clock_.now() < deadline) co_await signal->wait_until(deadline);
  if (ended_.stop_requested()) co_return;
  telemetry::log(Level::warn, "drain_timeout", "giving up what is not committed");
  for (auto& [p, lane] : lanes_) lane->give_up();
}

}  // namespace stsync::sync
