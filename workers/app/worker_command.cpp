#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>

#include "app/setup.hpp"
#include "app/surroundings.hpp"
#include "core/at_work.hpp"
#include "core/text.hpp"
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

core::WallTime wall_now() { return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now()); }

/// From here on a crash is noted, for the lives to come; what earlier ones noted is told.
void take_crash_notes(const core::CrashNoteFile& file) {
  if (file.problem()) telemetry::log(telemetry::Level::warn, "crashes_not_noted", file.problem()->message());
  for (const auto& note : file.notes().all())
    telemetry::log(telemetry::Level::warn, "crashed_before", "an earlier life of this worker crashed at this",
                   {{"at", note.what},
                    {"whose", note.detail},
                    {"signal", note.signal},
                    {"time", core::format_utc(core::WallTime(std::chrono::seconds(note.seconds)))}});
  if (!file.problem()) core::note_crashes(file.path());
}

}  // namespace

int run_worker(const ConfigOptions& options) {
  const auto setup = load_setup(options);
  if (!setup) return Exit::bad_config;
  const auto& config = setup->config;
  const auto files = raise_open_files(config);
  if (!files) {
    complain(files.error().message());
    return exit_code(files.error());
  }
  const auto instance = instance_id(config);
  if (!instance) {
    complain(instance.error().message());
    return exit_code(instance.error());
  }
  telemetry::log_start(config.telemetry.log_format, config.telemetry.log_level);
  if (!files->empty()) telemetry::log(telemetry::Level::warn, "open_files", *files);
  telemetry::Metrics metrics(config.telemetry.tenant_label);
  core::CrashNoteFile crash_notes(core::CrashNoteFile::path_of(config.worker.spool_dir, config.kafka.group, *instance), wall_now());
  take_crash_notes(crash_notes);
  auto rng = core::Rng::from_system();
  const auto code = run_loop(
      [&](boost::asio::io_context& loop, core::Clock& clock, core::StopToken stop) -> boost::asio::awaitable<int> {
        const auto surroundings = make_surroundings(loop.get_executor(), clock, config, sync::client_id(*instance), &crash_notes);
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
