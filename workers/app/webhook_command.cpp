#include <unistd.h>

#include "app/setup.hpp"
#include "kafka/async_producer.hpp"
#include "sync/cluster.hpp"
#include "telemetry/log.hpp"
#include "webhook/ingress.hpp"

namespace stsync::app {

using boost::asio::awaitable;

namespace {

/// The program, its log, its loop, Kafka, who asks for metrics.
constexpr std::uint64_t kProgramFiles = 64;

awaitable<int> serve(boost::asio::io_context& loop, core::Clock& clock, core::StopToken stop, const Setup& setup,
                     telemetry::Metrics& metrics) {
  const auto failed = [](const core::Error& error) {
    telemetry::log(telemetry::Level::error, "webhook_ended", error.message(), {{"code", core::to_string(error.kind())}});
    complain(error.message());
    return static_cast<int>(exit_code(error));
  };
  auto cluster = sync::make_cluster(setup.config, "stsync-webhook");
  if (!cluster) co_return failed(cluster.error());
  if (const auto limit = kafka::known_limit(*cluster); !limit.empty())
    telemetry::log(telemetry::Level::warn, "kafka_library", limit);
  auto producer =
      kafka::make_async_producer(loop.get_executor(), clock, std::move(*cluster), {.queue_bytes = setup.config.webhook.max_memory});
  if (!producer) co_return failed(producer.error());
  core::Result<void> result;
  {
    webhook::Ingress ingress(loop.get_executor(), clock, setup.config, setup.catalogue, metrics, **producer);
    result = co_await ingress.run(stop);
  }
  co_await (*producer)->close();
  co_return result ? static_cast<int>(Exit::ok) : failed(result.error());
}

}  // namespace

int run_webhook(const ConfigOptions& options) {
  const auto setup = load_setup(options);
  if (!setup) return Exit::bad_config;
  const auto& config = setup->config;
  telemetry::log_start(config.telemetry.log_format, config.telemetry.log_level);
  const auto files = kProgramFiles + static_cast<std::uint64_t>(config.webhook.max_connections);
  if (const auto limit = raise_file_limit(files); limit < files)
    telemetry::log(
        telemetry::Level::warn, "open_files",
        "the system lets this process have fewer files and connections open than webhook.max_connections needs: raise the "
        "limit (ulimit -n, LimitNOFILE)",
        {{"limit", limit}, {"needed", files}});
  telemetry::Metrics metrics(config.telemetry.tenant_label);
  const auto code = run_loop([&](boost::asio::io_context& loop, core::Clock& clock,
                                 core::StopToken stop) { return serve(loop, clock, std::move(stop), *setup, metrics); },
                             config.worker.drain_timeout);
  telemetry::log_shutdown();
  return code;
}

}  // namespace stsync::app
