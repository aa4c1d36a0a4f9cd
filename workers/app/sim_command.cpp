#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include <fmt/format.h>
#include <unistd.h>

#include "app/setup.hpp"
#include "config/secret_ref.hpp"
#include "sim/describe.hpp"
#include "sim/simulator.hpp"

namespace stsync::app {

using boost::asio::awaitable;

namespace {

/// The CA as a file that clients can be given, beside the configuration or in the temporary folder.
core::Result<std::string> write_ca(const sim::Simulator& simulator, const SimOptions& o) {
  if (simulator.ca_pem().empty()) return std::string();
  // Absolute, because a configuration reads relative paths from its own folder.
  const auto path = o.config_out.empty()
                        ? (std::filesystem::temp_directory_path() / fmt::format("stsync-sim-{}.pem", ::getpid())).string()
                        : std::filesystem::absolute(o.config_out + ".ca.pem").string();
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << simulator.ca_pem();
  if (!out.flush()) return core::fail(core::ErrorKind::bad_config, "cannot write " + path);
  return path;
}

core::Result<sim::WebhookSettings> webhooks_of(const SimOptions& o) {
  std::map<std::string, std::string> given;
  const auto give = [&given](const char* name, const std::string& value) {
    if (!value.empty()) given[name] = value;
  };
  give("url", o.webhook_url);
  give("ca_file", o.webhook_ca);
  give("header", o.webhook_header);
  give("encoding", o.webhook_encoding);
  auto out = sim::changed_settings({}, given);
  if (!out || o.webhook_secret_file.empty()) return out;
  const auto secret = config::SecretRef{o.webhook_secret_file, {}}.read();
  if (!secret) return core::fail(secret.error());
  out->secret = *secret;
  return out;
}

/// The options of the simulator itself; bad_config or bad_data says what cannot be used.
core::Result<sim::Options> options_of(const SimOptions& o) {
  sim::Options out;
  out.listen = o.listen;
  out.plain = o.plain;
  out.gzip = o.gzip;
  out.tls_cert_file = o.tls_cert;
  out.tls_key_file = o.tls_key;
  out.tenants = o.tenants;
  out.records = o.records;
  out.seed = o.seed;
  out.requests_per_second = o.rate;
  out.quota_of_app = o.rate_of == "app";
  out.export_page = o.export_page;
  out.record_bytes = o.record_bytes;
  out.time_scale = o.time_scale;
  out.churn_per_second = o.churn;
  out.without = o.without;
  const auto webhooks = webhooks_of(o);
  if (!webhooks) return core::fail(core::ErrorKind::bad_config, "webhooks: " + webhooks.error().message());
  out.webhooks = *webhooks;
  if (o.faults_file.empty()) return out;
  std::ifstream in(o.faults_file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) return core::fail(core::ErrorKind::bad_config, "cannot read " + o.faults_file);
  out.faults = text.str();
  return out;
}

sim::ConfigParts config_parts(const SimOptions& o, const sim::WebhookSettings& webhooks, const std::string& ca) {
  sim::ConfigParts out{o.bootstrap_servers, ca};
  if (o.webhook_secret_file.empty()) return out;
  out.webhook_secret_file = std::filesystem::absolute(o.webhook_secret_file).string();
  out.webhook_header = webhooks.header;
  out.webhook_encoding = webhooks.encoding;
  return out;
}

awaitable<int> serve(boost::asio::io_context& loop, core::Clock& clock, core::StopToken stop, const SimOptions& o) {
  const auto options = options_of(o);
  if (!options) {
    complain(options.error().message());
    co_return exit_code(options.error());
  }
  auto simulator = sim::start(loop.get_executor(), clock, *options);
  if (!simulator) {
    complain(simulator.error().message());
    co_return exit_code(simulator.error());
  }
  const auto ca = write_ca(**simulator, o);
  if (!ca) {
    complain(ca.error().message());
    co_return exit_code(ca.error());
  }
  if (!o.config_out.empty()) {
    std::ofstream out(o.config_out, std::ios::binary | std::ios::trunc);
    out << sim::worker_config(**simulator, config_parts(o, options->webhooks, *ca));
    if (!out.flush()) {
      complain("cannot write " + o.config_out);
      co_return static_cast<int>(Exit::bad_config);
    }
  }
  std::printf("%s\n", sim::describe(**simulator, *ca).c_str());
  std::fflush(stdout);
  const auto signal = clock.make_signal();
  const auto on_stop = stop.on_stop([&signal] { signal->notify(); });
  while (!stop.stop_requested()) co_await signal->wait();
  co_await (*simulator)->stop();
  if (o.config_out.empty() && !ca->empty()) std::remove(ca->c_str());
  co_return static_cast<int>(Exit::ok);
}

}  // namespace

int run_sim(const SimOptions& o) {
  return run_loop(
      [&o](boost::asio::io_context& loop, core::Clock& clock, core::StopToken stop) { return serve(loop, clock, stop, o); },
      std::chrono::seconds(5));
}

}  // namespace stsync::app
