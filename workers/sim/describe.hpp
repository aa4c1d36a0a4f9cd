#pragma once
#include <string>

#include "sim/simulator.hpp"

namespace stsync::sim {

/// One line of JSON for scripts: {"url","token_url","ca_file","apps":[{"name","app_key","tenants":[{"id","client_id",
/// "client_secret"}]}]}. `ca_file` is where the caller has written ca_pem(), empty when there is none.
std::string describe(const Simulator& simulator, const std::string& ca_file);

/// A worker's configuration (YAML) that reads this simulator as environment `local`, credentials inline.
std::string worker_config(const Simulator& simulator, const std::string& ca_file, const std::string& bootstrap_servers);

}  // namespace stsync::sim
