#pragma once
#include <functional>
#include <optional>
#include <string>

#include "config/config.hpp"
#include "core/error.hpp"

namespace stsync::app {

/// Every record of every partition of the journal, in the order of each; no value: the key is forgotten. not_found: there is no
/// such topic. Blocks.
core::Result<void> read_journal(const config::Config& config,
                                const std::function<void(const std::string& key, const std::optional<std::string>& value)>& each);

}  // namespace stsync::app
