#pragma once
#include <string>

#include "sim/simulator.hpp"

namespace stsync::sim {

/// One line of JSON for scripts: {"url","token_url","ca_file","apps":[{"name","app_key","tenants":[{"id","client_id",
/// "client_secret"}]}]}. `ca_file` is where the caller has written ca_pem(), empty when there is none.
std::string describe(const Simulator& simulator, const std::string& ca_file);

struct ConfigParts {
  std::string bootstrap_servers;
  std::string ca_file{};              ///< empty: none
  std::string webhook_secret_file{};  ///< of a receiver of webhooks; empty: there is none
  std::string webhook_header{}, webhook_encoding{};
};

/// A configuration (YAML) for workers and the webhook ingress that reads this simulator as environment `local`, credentials inline.
std::string worker_config(const Simulator& simulator, const ConfigParts& parts);

}  // namespace stsync::sim
