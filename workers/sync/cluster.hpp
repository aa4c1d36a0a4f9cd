#pragma once
#include <string>

#include "config/config.hpp"
#include "core/error.hpp"
#include "kafka/client.hpp"

namespace stsync::sync {

/// librdkafka settings out of the configuration. bad_config: a secret cannot be read.
core::Result<kafka::Cluster> make_cluster(const config::Config& config, std::string client_id);

}  // namespace stsync::sync
