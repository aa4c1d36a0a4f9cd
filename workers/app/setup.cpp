#include "app/setup.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <thread>
#include <tuple>

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>

#include "config/yaml.hpp"
#include "sync/open_files.hpp"
#include "sync/record_topics.hpp"
#include "sync/schedules.hpp"
#include "telemetry/log.hpp"

extern char** environ;

namespace stsync::app {

namespace asio = boost::asio;

void complain(const std::string& message) { std::fprintf(stderr, "stsync: %s\n", message.c_str()); }

Exit exit_code(const core::Error& error) {
  using core::ErrorKind;
  switch (error.kind()) {
    case ErrorKind::bad_config:
      return Exit::bad_config;
    case ErrorKind::bad_data:
    case ErrorKind::malformed:
    case ErrorKind::unsupported:
      return Exit::bad_data;
    case ErrorKind::not_found:
      return Exit::not_found;
    case ErrorKind::unauthorized:
    case ErrorKind::forbidden:
      return Exit::not_permitted;
    case ErrorKind::cancelled:
      return Exit::interrupted;
    case ErrorKind::internal:
      return Exit::internal;
    default:
      return Exit::unavailable;
  }
}

namespace {

config::Loaded load_file(const ConfigOptions& options) {
  std::vector<std::string> environment;
  for (char** e = environ; *e != nullptr; ++e) environment.emplace_back(*e);
  return config::load(options.file, options.sets, environment);
}

/// Whether there are none that forbid to go on.
bool tell_problems(const std::vector<config::Problem>& errors, const std::vector<config::Problem>& warnings) {
  for (const auto& problem : warnings) std::fprintf(stderr, "warning: %s\n", problem.text().c_str());
  for (const auto& problem : errors) std::fprintf(stderr, "error: %s\n", problem.text().c_str());
  if (!errors.empty()) complain(fmt::format("{} problem{} in the configuration", errors.size(), errors.size() == 1 ? "" : "s"));
  return errors.empty();
}

/// Behind those of the configuration what is wrong with the overrides, by line.
void add_in_order(std::vector<config::Problem>& to, std::vector<config::Problem> problems,
                  const std::vector<config::Problem>& more) {
  problems.insert(problems.end(), more.begin(), more.end());
  std::sort(problems.begin(), problems.end(), [](const auto& a, const auto& b) {
    return std::tie(a.file, a.line, a.column, a.message) < std::tie(b.file, b.line, b.column, b.message);
  });
  to.insert(to.end(), problems.begin(), problems.end());
}

/// The text of the overrides; what hinders that goes to `report`, unless the configuration's own check has told it.
std::string read_overrides(const config::Config& config, config::Report& report) {
  std::string text;
  const auto& file = config.catalogue_overrides;
  std::error_code ignored;
  if (std::filesystem::is_regular_file(file, ignored))
    config::read_file(file, config::YamlLimits{}.bytes, text, {std::make_shared<config::Source>(config::Source{file, ""})}, report);
  return text;
}

}  // namespace

std::optional<config::Config> load_config(const ConfigOptions& options) {
  auto loaded = load_file(options);
  if (!tell_problems(loaded.errors, loaded.warnings)) return std::nullopt;
  return std::move(loaded.config);
}

std::optional<Setup> load_setup(const ConfigOptions& options) {
  auto loaded = load_file(options);
  config::Report report;
  auto catalogue = servicetitan::Catalogue::read(read_overrides(loaded.config, report), loaded.config.catalogue_overrides);
  sync::check_record_topics(loaded.config, catalogue, report);
  sync::check_hash_key(loaded.config, catalogue, report);
  sync::check_schedules(loaded.config, catalogue.catalogue, report);
  add_in_order(loaded.errors, std::move(catalogue.errors), report.errors());
  add_in_order(loaded.warnings, std::move(catalogue.warnings), report.warnings());
  if (!tell_problems(loaded.errors, loaded.warnings)) return std::nullopt;
  return Setup{std::move(loaded.config), std::move(catalogue.catalogue)};
}

std::uint64_t raise_file_limit(std::uint64_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  if (limit.rlim_cur < wanted && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, wanted);
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0 && ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  }
  return limit.rlim_cur;
}

core::Result<std::string> raise_open_files(const config::Config& config) {
  const auto needed = sync::files_needed(config);
  const auto limit = raise_file_limit(needed.all);
  auto told = sync::short_of_files(limit, needed);
  if (limit < needed.least) return core::fail(core::ErrorKind::bad_config, std::move(told));
  return told;
}

core::Result<std::pair<std::string, std::int64_t>> choose_tenant(const config::Config& config, const std::string& app,
                                                                 std::int64_t tenant) {
  const auto bad = [](std::string text) { return core::fail(core::ErrorKind::bad_data, std::move(text)); };
  const config::App* chosen = nullptr;
  if (!app.empty()) {
    chosen = config.find_app(app);
    if (chosen == nullptr) return core::fail(core::ErrorKind::not_found, fmt::format("app '{}' is not configured", app));
  } else {
    if (config.apps.size() != 1) return bad(fmt::format("{} apps are configured: say which with --app", config.apps.size()));
    chosen = &config.apps.front();
  }
  if (tenant != 0) {
    if (config.find_tenant(chosen->name, tenant) == nullptr)
      return core::fail(core::ErrorKind::not_found, fmt::format("tenant {} is not configured for app '{}'", tenant, chosen->name));
    return std::pair(chosen->name, tenant);
  }
  if (chosen->tenants.size() != 1)
    return bad(
        fmt::format("{} tenants are configured for app '{}': say which with --tenant", chosen->tenants.size(), chosen->name));
  return std::pair(chosen->name, chosen->tenants.front().id);
}

namespace {

void start_drain_watchdog(core::Duration drain) {
  std::thread([drain] {
    std::this_thread::sleep_for(drain);
    telemetry::log(telemetry::Level::warn, "drain_ended", "the drain took too long; ending");
    telemetry::log_shutdown();
    ::_exit(Exit::ok);
  }).detach();
}

}  // namespace

int run_loop(const std::function<asio::awaitable<int>(asio::io_context&, core::Clock&, core::StopToken)>& body,
             core::Duration drain) {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is a full disk for a spool, and no more
  asio::io_context loop(1);
  const auto clock = core::make_system_clock(loop.get_executor());
  core::StopSource stop;
  asio::signal_set signals(loop, SIGINT, SIGTERM);
  if (std::signal(SIGHUP, SIG_IGN) != SIG_IGN) signals.add(SIGHUP);  // a terminal that is closed; under nohup it is ignored
  std::function<void()> wait = [&] {
    signals.async_wait([&](const boost::system::error_code& ec, int) {
      if (ec) return;
      if (stop.stop_requested()) {
        telemetry::log_shutdown();
        ::_exit(Exit::interrupted);
      }
      stop.request_stop();
      start_drain_watchdog(drain);
      wait();
    });
  };
  wait();
  int exit = Exit::internal;
  asio::co_spawn(loop, body(loop, *clock, stop.token()), [&](const std::exception_ptr& error, int code) {
    signals.cancel();
    if (error) std::rethrow_exception(error);
    exit = code;
  });
  loop.run();
  return exit;
}

}  // namespace stsync::app
