#pragma once
#include "config/config.hpp"
#include "config/shape.hpp"

namespace stsync::config {

/// What no single field can say: values that must fit each other, files that must exist, the vendor's rules.
void check_config(const Config& config, Reader& reader);

// Its parts.
void check_kafka(const Kafka& kafka, Reader& reader);
void check_apps(const Config& config, Reader& reader);

/// Tells each schedule where it stands.
void place_schedules(Config& config, const Reader& reader);

/// Problems at `path` unless the file is there and readable. Nothing when `file` is empty.
void check_file(const std::string& file, const std::string& path, Reader& reader);

}  // namespace stsync::config
