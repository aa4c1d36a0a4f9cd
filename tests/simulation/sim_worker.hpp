#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "simulation/cluster.hpp"
#include "simulation/vendor_model.hpp"
#include "simulation/worker_clock.hpp"
#include "sync/worker.hpp"

namespace stsync::simulation {

/// For workers of the model: an app, acme, with these tenants.
config::Config make_config(const std::vector<std::int64_t>& tenants);

/// Models in the place of Kafka, the vendor and the port of a worker.
class SimSurroundings final : public sync::Surroundings {
 public:
  SimSurroundings(Port port, VendorModel& vendor) : port_(std::move(port)), vendor_(vendor) {}
  boost::asio::awaitable<core::Result<std::map<std::string, kafka::TopicInfo>>> describe(
      std::vector<std::string> topics, std::vector<std::string> config_names, std::chrono::milliseconds timeout) override;
  core::Result<std::unique_ptr<kafka::GroupConsumer>> join(kafka::GroupOptions options, kafka::GroupListener& listener) override;
  core::Result<std::unique_ptr<http::Client>> client(http::ClientOptions options) override;
  core::Result<std::unique_ptr<http::Server>> serve(http::ServerOptions options, http::Handler handler) override;
  boost::asio::any_io_executor helpers() override { return port_.cluster.loop; }
  boost::asio::any_io_executor large_helpers() override { return port_.cluster.loop; }

 private:
  const Port port_;
  VendorModel& vendor_;
};

/// One process: a worker with all that dies with it.
class SimWorker {
 public:
  SimWorker(SimCluster& cluster, VendorModel& vendor, const config::Config& config, const servicetitan::Catalogue& catalogue,
            std::string instance_id, std::uint64_t seed);

  void start(core::TaskGroup& tasks);
  /// SIGTERM.
  void stop() { stop_.request_stop(); }
  /// kill -9: nothing of it reaches anybody from now on, but what is on the wire. What is left of it ends by itself.
  void kill();
  /// SIGSTOP and SIGCONT.
  void freeze() { clock_.freeze(); }
  void thaw() { clock_.thaw(); }
  /// It alone does not reach the broker until then.
  void isolate(core::TimePoint until) { link_->away_until = until; }

  bool frozen() const noexcept { return clock_.frozen(); }
  bool ended() const noexcept { return result_.has_value(); }
  bool stopping() const noexcept { return stop_.stop_requested(); }
  const core::Result<void>& result() const { return *result_; }
  std::string metrics() const { return metrics_.render(); }

 private:
  boost::asio::awaitable<void> live();

  WorkerClock clock_;
  std::shared_ptr<Link> link_ = std::make_shared<Link>();
  core::Rng rng_;
  telemetry::Metrics metrics_{false};
  SimSurroundings surroundings_;
  core::StopSource stop_;
  std::optional<core::Result<void>> result_;
  sync::Worker worker_;
};

}  // namespace stsync::simulation
