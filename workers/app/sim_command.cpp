#include <cstdio>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <unistd.h>

#include "app/setup.hpp"
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

awaitable<int> serve(boost::asio::io_context& loop, core::Clock& clock, core::StopToken stop, const SimOptions& o) {
  sim::Options options;
  options.listen = o.listen;
  options.plain = o.plain;
  options.gzip = o.gzip;
  options.tls_cert_file = o.tls_cert;
  options.tls_key_file = o.tls_key;
  options.tenants = o.tenants;
  options.records = o.records;
  options.seed = o.seed;
  options.requests_per_second = o.rate;
  options.export_page = o.export_page;
  options.record_bytes = o.record_bytes;
  auto simulator = sim::start(loop.get_executor(), clock, options);
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
    out << sim::worker_config(**simulator, *ca, o.bootstrap_servers);
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
