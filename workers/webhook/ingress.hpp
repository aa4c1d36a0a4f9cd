#pragma once
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "config/config.hpp"
#include "config/networks.hpp"
#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/stop.hpp"
#include "core/task_group.hpp"
#include "http/server.hpp"
#include "kafka/async_producer.hpp"
#include "servicetitan/catalogue.hpp"
#include "telemetry/metrics.hpp"
#include "webhook/certificate.hpp"
#include "webhook/rules.hpp"
#include "webhook/secrets.hpp"

namespace stsync::webhook {

/// The webhook ingress: POST /webhooks/<app> over HTTP or HTTPS, each event and its commands to Kafka, an answer once Kafka has
/// them. Metrics, /livez and /readyz as a worker. Loop thread only.
class Ingress {
 public:
  /// All of them outlive it.
  Ingress(boost::asio::any_io_executor loop, core::Clock& clock, const config::Config& config,
          const servicetitan::Catalogue& catalogue, telemetry::Metrics& metrics, kafka::AsyncProducer& producer);

  /// Serves until it is asked to stop, then lets what is under way end, within worker.drain_timeout. bad_config: an address or
  /// certificate cannot be used, no app has signing secrets, or Kafka lacks a topic.
  boost::asio::awaitable<core::Result<void>> run(core::StopToken stop);
  /// Where it serves, and where its metrics are; empty before run() has started it.
  std::string url() const { return server_ ? server_->url() : std::string(); }
  std::string telemetry_url() const { return probes_ ? probes_->url() : std::string(); }

 private:
  core::Result<void> start();
  core::Result<http::ServerOptions> server_options();
  std::optional<http::ServerResponse> admit(const http::ServerRequest& head);
  boost::asio::awaitable<http::ServerResponse> serve(http::ServerRequest request);
  boost::asio::awaitable<Verdict> store(Verdict verdict);
  void tell(const std::string& app, const Verdict& verdict, const std::string& peer);
  http::ServerResponse refuse(const Refused& refused, const std::string& peer);
  Load load_for(const std::string& peer) const;
  boost::asio::awaitable<void> watch_kafka();
  std::string render_metrics();
  bool ready() const { return kafka_ready_ && !ending_.stop_requested(); }

  boost::asio::any_io_executor loop_;
  core::Clock& clock_;
  const config::Config& config_;
  telemetry::Metrics& metrics_;
  kafka::AsyncProducer& producer_;
  const Rules rules_;
  config::Networks proxies_;
  std::map<std::string, SecretFiles, std::less<>> secrets_;
  std::optional<CertificateKeeper> certificate_;  ///< nothing: plain HTTP
  std::size_t in_flight_ = 0;
  std::unordered_map<std::string, std::size_t> of_peer_;  ///< requests under way, by forwarded address
  bool kafka_ready_ = false, kafka_seen_ = false;
  std::optional<core::Error> failure_;
  core::StopSource ending_;
  std::unique_ptr<http::Server> server_, probes_;
  core::TaskGroup tasks_;
};

}  // namespace stsync::webhook
