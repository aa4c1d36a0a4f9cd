#pragma once
#include <functional>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include "app/commands.hpp"
#include "config/config.hpp"
#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/stop.hpp"
#include "servicetitan/catalogue.hpp"

namespace stsync::app {

/// "stsync: message" on stderr.
void complain(const std::string& message);
Exit exit_code(const core::Error& error);

/// Loads, prints every problem to stderr; nothing when the configuration must not be used (exit 78).
std::optional<config::Config> load_config(const ConfigOptions& options);

/// A configuration and the catalogue with its overrides.
struct Setup {
  config::Config config;
  servicetitan::Catalogue catalogue;
};
/// As load_config(), with the problems of the overrides and of the two together.
std::optional<Setup> load_setup(const ConfigOptions& options);

/// Raises this process's limit of open files to what is wanted, as far as the system lets it. Returns what it is then.
std::uint64_t raise_file_limit(std::uint64_t wanted);

/// Raises this process's limit of open files as far as a worker may need it and the system lets it. Returns what a worker falls
/// short of then, in a sentence; empty: nothing. bad_config: it cannot even start.
core::Result<std::string> raise_open_files(const config::Config& config);

/// The app and tenant meant: those given, or the only ones configured. bad_data says what to add.
core::Result<std::pair<std::string, std::int64_t>> choose_tenant(const config::Config& config, const std::string& app,
                                                                 std::int64_t tenant);

/// Runs `body` on a loop of its own until it ends. SIGINT, SIGTERM and SIGHUP ask it to stop; after the first, a second one ends
/// the program at once, and so does the end of `drain` (exit code 0: what is not committed stays in the journal).
int run_loop(const std::function<boost::asio::awaitable<int>(boost::asio::io_context&, core::Clock&, core::StopToken)>& body,
             core::Duration drain);

}  // namespace stsync::app
