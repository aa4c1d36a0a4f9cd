#pragma once
#include "config/config.hpp"
#include "config/table.hpp"

namespace stsync::config {

/// A tenant in a file of its own: the entry of a list under `apps`, and the app it belongs to.
struct ExtraTenant {
  std::string app;
  Tenant tenant;
};

/// The fields of a configuration file.
const Table<Config>& config_table();
/// The fields of an entry of a file that `tenants_from` names.
const Table<ExtraTenant>& extra_tenant_table();

}  // namespace stsync::config
