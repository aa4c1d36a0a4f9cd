#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>

#include "app/setup.hpp"
#include "app/surroundings.hpp"
#include "sync/worker.hpp"
#include "telemetry/log.hpp"

namespace stsync::app {
namespace {

constexpr int kSlots = 64;

/// "auto": the host's name and the first slot nobody on it holds; the lock is held until the process ends.
core::Result<std::string> instance_id(const config::Config& config) {
  if (config.kafka.instance_id != "auto") return config.kafka.instance_id;
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  for (int slot = 0; slot < kSlots; ++slot) {
    const auto path = fmt::format("{}/stsync-{}-{}.lock", config.worker.spool_dir, config.kafka.group, slot);
    const int fd = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    if (fd < 0) return core::fail(core::ErrorKind::bad_config, fmt::format("worker.spool_dir: cannot create {}", path));
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return fmt::format("{}-{}", host.data(), slot);
    ::close(fd);
  }
  return core::fail(core::ErrorKind::fenced, "too many workers of this group on one host");
}

/// Settings of features that this version does not have. Silence would be worse than a refusal.
bool supported(const config::Config& config) {
  bool ok = true;
  for (const auto& app : config.apps)
    for (const auto& tenant : app.tenants)
      if (!tenant.schedules.empty()) {
        complain(fmt::format("apps: schedules (app '{}', tenant {}) are not supported by this version: send commands instead",
                             app.name, tenant.id));
        ok = false;
      }
  return ok;
}

}  // namespace

int run_worker(const ConfigOptions& options) {
  const auto setup = load_setup(options);
  if (!setup) return Exit::bad_config;
  const auto& config = setup->config;
  if (!supported(config)) return Exit::bad_config;
  const auto instance = instance_id(config);
  if (!instance) {
    complain(instance.error().message());
    return exit_code(instance.error());
  }
  telemetry::log_start(config.telemetry.log_format, config.telemetry.log_level);
  telemetry::Metrics metrics(config.telemetry.tenant_label);
  auto rng = core::Rng::from_system();
  const auto code = run_loop(
      [&](boost::asio::io_context& loop, core::Clock& clock, core::StopToken stop) -> boost::asio::awaitable<int> {
        const auto surroundings = make_surroundings(loop.get_executor(), clock, config, sync::client_id(*instance));
        sync::Worker worker(loop.get_executor(), clock, rng, *surroundings, config, setup->catalogue, metrics, *instance);
        const auto result = co_await worker.run(stop);
        if (result) co_return static_cast<int>(Exit::ok);
        telemetry::log(telemetry::Level::error, "worker_ended", result.error().message(),
                       {{"code", core::to_string(result.error().kind())}});
        complain(result.error().message());
        co_return static_cast<int>(exit_code(result.error()));
      },
      config.worker.drain_timeout);
  telemetry::log_shutdown();
  return code;
}

}  // namespace stsync::app
