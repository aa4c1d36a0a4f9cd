#include "simulation/sim_worker.hpp"

#include "simulation/consumer.hpp"

namespace stsync::simulation {

config::Config make_config(const std::vector<std::int64_t>& tenants) {
  config::Config c;
  c.environments["integration"] = {"integration", "https://api.example", "https://auth.example/connect/token", ""};
  config::App app;
  app.name = "acme";
  app.app_key.value = core::Secret("ak1.secret");
  for (const auto id : tenants) {
    config::Tenant tenant;
    tenant.id = id;
    tenant.environment = "integration";
    tenant.client_id.value = core::Secret("id");
    tenant.client_secret.value = core::Secret("secret");
    app.tenants.push_back(tenant);
  }
  c.apps.push_back(app);
  return c;
}

using boost::asio::awaitable;
using core::Result;

namespace {

class NoServer final : public http::Server {
 public:
  std::uint16_t port() const noexcept override { return 0; }
  std::string url() const override { return "http://nowhere"; }
  std::size_t connections() const noexcept override { return 0; }
  Result<void> use(const http::ServerTls&) override { return {}; }
  awaitable<void> stop(core::Duration) override { co_return; }
};

}  // namespace

awaitable<Result<std::map<std::string, kafka::TopicInfo>>> SimSurroundings::describe(std::vector<std::string> topics,
                                                                                     std::vector<std::string>,
                                                                                     std::chrono::milliseconds timeout) {
  auto found = co_await port_.ask(
      [&broker = port_.cluster.broker, topics = std::move(topics)] {
        std::map<std::string, kafka::TopicInfo> out;
        for (const auto& topic : topics)
          if (const auto partitions = broker.partitions(topic); partitions > 0)
            out[topic] = {partitions, {{"cleanup.policy", "compact"}, {"max.message.bytes", "1000000"}}};
        return out;
      },
      timeout);
  if (!found) co_return core::fail(core::ErrorKind::broker, "metadata: no answer");
  co_return std::move(*found);
}

Result<std::unique_ptr<kafka::GroupConsumer>> SimSurroundings::join(kafka::GroupOptions options, kafka::GroupListener& listener) {
  return std::make_unique<SimConsumer>(port_, std::move(options), listener);
}
Result<std::unique_ptr<http::Client>> SimSurroundings::client(http::ClientOptions) {
  return vendor_.client(port_.clock, port_.link);
}
Result<std::unique_ptr<http::Server>> SimSurroundings::serve(http::ServerOptions, http::Handler) {
  return std::make_unique<NoServer>();
}

SimWorker::SimWorker(SimCluster& cluster, VendorModel& vendor, const config::Config& config,
                     const servicetitan::Catalogue& catalogue, std::string instance_id, std::uint64_t seed)
    : clock_(cluster.clock),
      rng_(seed),
      surroundings_({cluster, clock_, link_}, vendor),
      worker_(cluster.loop, clock_, rng_, surroundings_, config, catalogue, metrics_, std::move(instance_id)) {}

void SimWorker::start(core::TaskGroup& tasks) { tasks.spawn("worker", live()); }

awaitable<void> SimWorker::live() { result_ = co_await worker_.run(stop_.token()); }

void SimWorker::kill() {
  link_->cut();
  clock_.thaw();
  stop_.request_stop();
}

}  // namespace stsync::simulation
