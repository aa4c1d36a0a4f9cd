#include <csignal>
#include <filesystem>
#include <numeric>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>

#include "bench.hpp"
#include "commands.hpp"
#include "stage/stage.hpp"

namespace stsync::bench {
namespace {

using namespace std::chrono_literals;

struct Idle {
  double rss = 0;   ///< MiB
  double core = 0;  ///< share of one
};

/// Every tenant has a token, a quota and a stream from now on.
void use_all(const test::Stage& stage, int tenants) {
  CommandWriter commands(stage.cluster(), "st.commands");
  for (int i = 0; i < tenants; ++i) {
    commands.write(1001 + i, fmt::format("first-{}", i), R"("sync":{"resource":"jpm.job-types","mode":"full"})");
    if (i % 5 == 4) std::this_thread::sleep_for(1s);  // as their tokens come: what many jobs at once take is not asked here
  }
  commands.flush();
  while (stage.calls().all_answered() < tenants) std::this_thread::sleep_for(1s);
}

/// A worker that knows so many tenants and has nothing to do. `records`: one, so that the simulator takes little.
Idle measure(int tenants, const TenantsOptions& what, const std::string& store) {
  test::StageOptions options{.records = 1};
  if (!store.empty()) options.sets = {"limits.store=unix://" + store};
  options.tenants.resize(static_cast<std::size_t>(tenants));
  std::iota(options.tenants.begin(), options.tenants.end(), 1001);
  const test::Stage stage(std::move(options));
  const auto worker = stage.start_worker({"kafka.session_timeout=45s"});
  if (what.used) use_all(stage, tenants);
  std::this_thread::sleep_for(what.used ? 90s : 10s);  // the first heartbeats and commits; jobs are over, limits rest
  const auto before = cost_of(worker->pid());
  std::this_thread::sleep_for(std::chrono::seconds(what.seconds));
  const auto after = cost_of(worker->pid());
  worker->signal(SIGTERM);
  if (worker->wait(60s) != 0) throw std::runtime_error("the worker does not end well: " + worker->err());
  return {static_cast<double>(after.rss) / (1 << 20), (after.cpu_seconds - before.cpu_seconds) / what.seconds};
}

}  // namespace

int run_tenants(const TenantsOptions& options) {
  const auto socket = (std::filesystem::temp_directory_path() / fmt::format("stsync-bench-{}.sock", ::getpid())).string();
  const auto redis = options.store ? test::start_redis(socket) : nullptr;
  const auto one = measure(1, options, options.store ? socket : "");
  const auto many = measure(options.tenants, options, options.store ? socket : "");
  fmt::print(
      "an idle worker: {:.1f} MiB and {:.2f} % of a core with one tenant, {:.1f} MiB and {:.2f} % with {}: {:.1f} MiB and {:.2f} % "
      "more\n",
      one.rss, 100 * one.core, many.rss, 100 * many.core, options.tenants, many.rss - one.rss, 100 * (many.core - one.core));
  write_file(options.json, fmt::format("{{\"bench\":\"tenants\",\"tenants\":{},\"rss_one\":{:.2f},\"rss_many\":{:.2f},\"core_one\":"
                                       "{:.5f},\"core_many\":{:.5f}}}\n",
                                       options.tenants, one.rss, many.rss, one.core, many.core));
  return 0;
}

}  // namespace stsync::bench
