// Commands that only look at a configuration: check, config.
#include <cstdio>

#include <fmt/format.h>

#include "app/setup.hpp"
#include "kafka/client.hpp"
#include "servicetitan/quota.hpp"
#include "sync/cluster.hpp"

namespace stsync::app {
int run_check(const ConfigOptions& options) {
  const auto setup = load_setup(options);
  if (!setup) return Exit::bad_config;
  const auto& config = setup->config;
  const auto cluster = sync::make_cluster(config, "stsync-check");
  const auto ok = cluster ? kafka::check_settings(*cluster) : core::Result<void>(core::fail(cluster.error()));
  if (!ok) {
    complain(ok.error().message());
    return Exit::bad_config;
  }
  if (const auto limit = kafka::known_limit(*cluster); !limit.empty()) std::fprintf(stderr, "warning: %s\n", limit.c_str());
  if (const auto files = raise_open_files(config); !files || !files->empty())
    std::fprintf(stderr, "warning: %s\n", files ? files->c_str() : files.error().message().c_str());
  for (const auto& app : config.apps) complain(servicetitan::quota_text(config, app));
  std::size_t tenants = 0;
  for (const auto& app : config.apps) tenants += app.tenants.size();
  complain(
      fmt::format("{} is fine: {} apps, {} tenants ({})", options.file, config.apps.size(), tenants, kafka::library_version()));
  return Exit::ok;
}

int run_config_print(const ConfigOptions& options) {
  const auto config = load_config(options);
  if (!config) return Exit::bad_config;
  std::printf("%s", config::print(*config).c_str());
  return Exit::ok;
}

}  // namespace stsync::app
