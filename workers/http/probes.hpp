#pragma once
#include <functional>
#include <string>

#include "http/server.hpp"

namespace stsync::http {

/// Serves /metrics (what `metrics` renders), /livez (ok as long as the loop answers at all) and /readyz (whether `ready`).
Handler probes(std::function<std::string()> metrics, std::function<bool()> ready);

}  // namespace stsync::http
