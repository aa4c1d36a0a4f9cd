#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include "app/follow.hpp"
#include "app/setup.hpp"
#include "app/surroundings.hpp"
#include "app/tally.hpp"
#include "codec/wire.hpp"
#include "core/text.hpp"
#include "kafka/mock.hpp"
#include "kafka/producer.hpp"
#include "kafka/reader.hpp"
#include "sim/describe.hpp"
#include "sim/simulator.hpp"
#include "sync/cluster.hpp"
#include "sync/names.hpp"
#include "sync/worker.hpp"
#include "telemetry/log.hpp"

namespace stsync::app {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
namespace asio = boost::asio;

constexpr auto kSilence = 60s;  ///< without any event or record the demo gives up
constexpr int kPartitions = 3;
constexpr int kRecordPartitions = 6;

/// What the demonstration reads: the largest kinds of records, by export feeds and by lists.
constexpr const char* kShown[] = {"accounting.invoices",
                                  "accounting.payments",
                                  "crm.bookings",
                                  "crm.customers",
                                  "crm.locations",
                                  "dispatch.appointment-assignments",
                                  "inventory.vendors",
                                  "jpm.appointments",
                                  "jpm.job-types",
                                  "jpm.jobs",
                                  "jpm.projects",
                                  "marketing.campaigns",
                                  "memberships.memberships",
                                  "settings.business-units",
                                  "settings.employees",
                                  "settings.technicians"};

/// The simulator on a thread of its own, so that it does not disturb the pace of the worker it is to measure.
class SimulatorThread {
 public:
  ~SimulatorThread() { stop(); }

  core::Result<void> start(sim::Options options) {
    clock_ = core::make_system_clock(loop_.get_executor());
    auto made = sim::start(loop_.get_executor(), *clock_, std::move(options));
    if (!made) return core::fail(made.error());
    simulator_ = std::move(*made);
    thread_ = std::thread([this] { loop_.run(); });
    return {};
  }
  const sim::Simulator& simulator() const { return *simulator_; }
  /// Of the resources that are shown.
  std::vector<sim::Truth> truth() {
    std::promise<std::vector<sim::Truth>> out;
    asio::post(loop_, [&] {
      std::vector<sim::Truth> all;
      for (const auto* name : kShown)
        for (auto& truth : simulator_->truth(name)) all.push_back(std::move(truth));
      out.set_value(std::move(all));
    });
    return out.get_future().get();
  }
  void stop() {
    if (!thread_.joinable()) return;
    asio::co_spawn(loop_, simulator_->stop(), [this](const std::exception_ptr&) { work_.reset(); });
    thread_.join();
  }

 private:
  asio::io_context loop_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{loop_.get_executor()};
  std::unique_ptr<core::Clock> clock_;
  std::unique_ptr<sim::Simulator> simulator_;
  std::thread thread_;
};

core::WallTime time_of(const v1::StatusEvent& e) {
  return core::WallTime(std::chrono::milliseconds(e.time().seconds() * 1000 + e.time().nanos() / 1'000'000));
}

struct Outcome {
  std::map<std::string, v1::StatusEvent> finished;  ///< by resource
  std::map<std::string, core::WallTime> started;
  std::map<std::string, Tally> tallies;  ///< by resource
  std::string problem;
  /// From the first start to the last end of a job.
  double seconds() const {
    core::WallTime first = core::WallTime::max();
    core::WallTime last = core::WallTime::min();
    for (const auto& [name, time] : started) first = std::min(first, time);
    for (const auto& [name, e] : finished) last = std::max(last, time_of(e));
    return first < last ? std::chrono::duration<double>(last - first).count() : 0.001;
  }
};

/// A folder that is gone at the end.
class Scratch {
 public:
  Scratch() : path_(std::filesystem::temp_directory_path() / fmt::format("stsync-demo-{}", ::getpid())) {
    std::filesystem::create_directories(path_);
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string write(const std::string& name, const std::string& text) const {
    const auto path = (path_ / name).string();
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

 private:
  std::filesystem::path path_;
};

std::string resource_of(const kafka::Message& m) {
  const auto* source = m.header("st-source");
  return source == nullptr ? std::string() : source->substr(source->rfind('/') + 1);
}

/// Sends one full sync a resource and reads everything back while it is written.
class Driver {
 public:
  Driver(const config::Config& config, const servicetitan::Catalogue& catalogue, const kafka::Cluster& cluster)
      : config_(config), catalogue_(catalogue), cluster_(cluster) {}

  Outcome run(const std::atomic<bool>& stop) {
    if (auto ok = drive(stop); !ok) out_.problem = ok.error().message();
    return std::move(out_);
  }

 private:
  core::Result<void> drive(const std::atomic<bool>& stop) {
    const auto& app = config_.apps.front();
    const auto tenant = app.tenants.front().id;
    std::vector<std::string> topics{config_.kafka.topics.status};
    std::vector<kafka::OwnedMessage> messages;
    auto rng = core::Rng::from_system();
    for (const char* name : kShown) {
      topics.push_back(sync::records_topic(config_.kafka.topics, *catalogue_.find(name), app.tenants.front().environment));
      v1::Command c;
      c.set_id(core::uuid7(std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now()), rng));
      c.set_app(app.name);
      c.set_tenant(tenant);
      c.mutable_sync()->set_resource(name);
      c.mutable_sync()->set_mode(v1::full);
      messages.push_back(
          {config_.kafka.topics.commands, kafka::kAnyPartition, sync::tenant_key(app.name, tenant), codec::to_json(c)});
    }
    auto reader = kafka::make_reader(cluster_, topics, kafka::From::beginning, 15s);
    if (!reader) return core::fail(reader.error());
    auto producer = kafka::make_producer(cluster_);
    if (!producer) return core::fail(producer.error());
    if (auto ok = (*producer)->send(messages, 15s); !ok) return ok;
    return read(**reader, stop);
  }

  core::Result<void> read(kafka::Reader& reader, const std::atomic<bool>& stop) {
    const auto jobs = std::size(kShown);
    auto quiet_since = Clock::now();
    const bool terminal = ::isatty(STDERR_FILENO) != 0;
    auto drawn = Clock::now();
    while (!stop) {
      const auto m = reader.next(100ms);
      if (!m) return core::fail(m.error());
      if (*m) {
        quiet_since = Clock::now();
        see(**m);
      } else if (out_.finished.size() == jobs && records_ >= expected()) {
        break;
      }
      if (Clock::now() - quiet_since > kSilence) return core::fail(core::ErrorKind::timeout, "nothing has happened for a minute");
      if (Clock::now() - drawn > (terminal ? 100ms : 2000ms)) {
        drawn = Clock::now();
        std::fprintf(stderr, terminal ? "\r\033[K%s" : "%s\n", progress(jobs).c_str());
      }
      if (out_.finished.size() == jobs && records_ >= expected()) break;
    }
    if (terminal) std::fprintf(stderr, "\r\033[K");
    if (stop) return core::fail(core::ErrorKind::cancelled, "interrupted");
    return {};
  }

  void see(const kafka::Message& m) {
    if (m.topic != config_.kafka.topics.status) {
      ++records_;
      out_.tallies[resource_of(m)].add(m.key.value_or(""), m.value.value_or(""));
      return;
    }
    v1::StatusEvent e;
    if (!m.value || !codec::from_json(*m.value, e)) return;
    if (e.type() == v1::StatusEvent::started) out_.started[e.resource()] = time_of(e);
    if (e.type() == v1::StatusEvent::completed) out_.finished[e.resource()] = e;
    if (e.type() == v1::StatusEvent::failed || e.type() == v1::StatusEvent::rejected) {
      out_.finished[e.resource()] = e;
      out_.problem = event_line(e);
    }
  }

  std::string progress(std::size_t jobs) const {
    if (out_.started.empty()) return "the worker joins its group (the embedded broker takes its time) ...";
    return fmt::format("{}/{} resources  {} records read back", out_.finished.size(), jobs, records_);
  }

  std::uint64_t expected() const {
    std::uint64_t n = 0;
    for (const auto& [name, e] : out_.finished) n += static_cast<std::uint64_t>(e.counts().records());
    return n;
  }

  const config::Config& config_;
  const servicetitan::Catalogue& catalogue_;
  const kafka::Cluster& cluster_;
  Outcome out_;
  std::uint64_t records_ = 0;
};

struct Verdict {
  std::uint64_t missing = 0, surplus = 0;
  int changed = 0;  ///< resources whose bytes differ
};

Verdict compare(const Outcome& outcome, const std::vector<sim::Truth>& truth) {
  Verdict v;
  for (const auto& t : truth) {
    const auto it = outcome.tallies.find(t.resource);
    const auto count = it == outcome.tallies.end() ? 0 : it->second.count();
    v.missing += t.count > count ? t.count - count : 0;
    v.surplus += count > t.count ? count - t.count : 0;
    if (count == t.count && count > 0 && it->second.hash() != t.hash) ++v.changed;
  }
  return v;
}

void print_table(const Outcome& o) {
  std::printf("%-34s %10s %7s %7s %12s %10s\n", "resource", "records", "pages", "calls", "bytes", "records/s");
  v1::Counts sum;
  for (const auto& [name, e] : o.finished) {
    const auto& c = e.counts();
    const auto it = o.started.find(name);
    const auto ms = it == o.started.end() ? 0 : (time_of(e) - it->second).count();
    std::printf("%-34s %10lld %7lld %7lld %12lld %10lld\n", name.c_str(), static_cast<long long>(c.records()),
                static_cast<long long>(c.pages()), static_cast<long long>(c.calls()), static_cast<long long>(c.bytes()),
                static_cast<long long>(ms > 0 ? c.records() * 1000 / ms : 0));
    sum.set_records(sum.records() + c.records());
    sum.set_pages(sum.pages() + c.pages());
    sum.set_calls(sum.calls() + c.calls());
    sum.set_bytes(sum.bytes() + c.bytes());
    sum.set_throttled(sum.throttled() + c.throttled());
  }
  std::printf("%-34s %10lld %7lld %7lld %12lld %10.0f\n", "total", static_cast<long long>(sum.records()),
              static_cast<long long>(sum.pages()), static_cast<long long>(sum.calls()), static_cast<long long>(sum.bytes()),
              static_cast<double>(sum.records()) / o.seconds());
  std::printf("\nquota: %lld calls in %.1f s, %.0f %% of 60 a second; %lld refused\n", static_cast<long long>(sum.calls()),
              o.seconds(), 100.0 * static_cast<double>(sum.calls()) / (60.0 * o.seconds()),
              static_cast<long long>(sum.throttled()));
}

void print_json(const Outcome& o, const Verdict& v) {
  std::string out = "{\"resources\":[";
  for (bool first = true; const auto& [name, e] : o.finished) {
    out += fmt::format("{}{}", first ? "" : ",", codec::to_json(e));
    first = false;
  }
  std::printf("%s],\"seconds\":%.3f,\"missing\":%llu,\"surplus\":%llu,\"changed\":%d}\n", out.c_str(), o.seconds(),
              static_cast<unsigned long long>(v.missing), static_cast<unsigned long long>(v.surplus), v.changed);
}

int report(const DemoOptions& options, const Outcome& o, const std::vector<sim::Truth>& truth) {
  const auto v = compare(o, truth);
  options.output == "json" ? print_json(o, v) : print_table(o);
  complain(fmt::format("{} missing, {} too many, {} resources with other bytes than the simulator sent", v.missing, v.surplus,
                       v.changed));
  if (!o.problem.empty()) complain(o.problem);
  if (!o.problem.empty() || v.missing + v.surplus > 0 || v.changed > 0) return Exit::job_failed;
  complain(
      "next: 'stsync sim --config local.yaml' serves the simulator to a worker of yours; config/stsync.yaml shows every setting");
  return Exit::ok;
}

int ended(const core::Error& e) {
  complain(e.message());
  return exit_code(e);
}

}  // namespace

int run_demo(const DemoOptions& options) {
  const auto catalogue = servicetitan::Catalogue::load("", "");
  if (!catalogue) return ended(catalogue.error());
  auto broker = kafka::start_mock_cluster();
  if (!broker) return ended(broker.error());
  SimulatorThread simulator;
  sim::Options sim_options;
  sim_options.records = std::max<std::size_t>(1, options.records / std::size(kShown));
  sim_options.seed = options.seed;
  if (auto ok = simulator.start(sim_options); !ok) return ended(ok.error());

  const Scratch scratch;
  const auto ca = scratch.write("ca.pem", simulator.simulator().ca_pem());
  const auto file = scratch.write("demo.yaml", sim::worker_config(simulator.simulator(), {(*broker)->bootstrap_servers(), ca}));
  auto config = load_config({file, {fmt::format("kafka.partitions={}", kPartitions), "telemetry.listen=127.0.0.1:0"}});
  if (!config) return Exit::internal;
  config->kafka.properties = (*broker)->client_properties();
  const auto& t = config->kafka.topics;
  for (const auto& name : {t.commands, t.journal}) static_cast<void>((*broker)->create_topic(name, kPartitions));
  for (const auto& name : {t.status, t.usage, t.dlq, t.webhooks}) static_cast<void>((*broker)->create_topic(name, 1));
  for (const auto& [name, resource] : catalogue->all())
    static_cast<void>((*broker)->create_topic(sync::records_topic(t, resource, "local"), kRecordPartitions));
  const auto cluster = sync::make_cluster(*config, "stsync-demo");
  if (!cluster) return ended(cluster.error());
  complain(fmt::format("simulator {} with {} records, embedded broker {}", simulator.simulator().url(),
                       sim_options.records * std::size(kShown), (*broker)->bootstrap_servers()));

  Outcome outcome;
  telemetry::log_start("text", "error");
  telemetry::Metrics metrics(true);
  auto rng = core::Rng::from_system();
  const auto code = run_loop(
      [&](asio::io_context& loop, core::Clock& clock, core::StopToken interrupted) -> asio::awaitable<int> {
        core::StopSource stop;
        std::atomic<bool> driver_stop{false};
        const auto on_interrupt = interrupted.on_stop([&] {
          driver_stop = true;
          stop.request_stop();
        });
        auto quiet = *cluster;
        quiet.log = nullptr;
        std::thread driver([&] {
          outcome = Driver(*config, *catalogue, quiet).run(driver_stop);
          asio::post(loop, [&stop] { stop.request_stop(); });
        });
        auto work = asio::make_work_guard(loop);
        const auto surroundings = make_surroundings(loop.get_executor(), clock, *config, sync::client_id(""));
        sync::Worker worker(loop.get_executor(), clock, rng, *surroundings, *config, *catalogue, metrics, "");
        const auto result = co_await worker.run(stop.token());
        driver_stop = true;
        driver.join();
        if (!result) co_return ended(result.error());
        co_return static_cast<int>(interrupted.stop_requested() ? Exit::interrupted : Exit::ok);
      },
      config->worker.drain_timeout);
  telemetry::log_shutdown();
  if (code != Exit::ok) return code;
  const auto result = report(options, outcome, simulator.truth());
  simulator.stop();
  return result;
}

}  // namespace stsync::app
