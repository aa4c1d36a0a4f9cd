#pragma once
#include <string>

#include "config/config.hpp"
#include "limits/limiter.hpp"

namespace stsync::servicetitan {

/// What a tenant's calls count against (facts 3: 60 a second for each app and tenant, or for the app), as configured. An app-wide
/// quota without a shared store is divided by the expected workers. `config` outlives what is returned.
limits::Limiter::AskTerms quota_terms(const config::Config& config);

/// How an app's quota is kept, for people: "acme: 60 calls a second for each tenant".
std::string quota_text(const config::Config& config, const config::App& app);

}  // namespace stsync::servicetitan
