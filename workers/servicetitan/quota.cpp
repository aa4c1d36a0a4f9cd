#include "servicetitan/quota.hpp"

namespace stsync::servicetitan {

limits::Limiter::AskTerms quota_terms(const config::Config& config) {
  return [&config](const std::string& app_name, std::int64_t id) {
    const auto* app = config.find_app(app_name);
    const auto* tenant = config.find_tenant(app_name, id);
    core::check(app != nullptr && tenant != nullptr, "a quota of a tenant that is not configured");
    limits::Scheduler::Terms terms;
    terms.whole_app = app->limits.scope == "app";
    terms.per_second = app->limits.requests_per_second;
    if (terms.whole_app && !config.shares_limits()) terms.per_second /= config.expected_workers;
    terms.weight = tenant->weight;
    terms.host = tenant->environment;
    return terms;
  };
}

}  // namespace stsync::servicetitan
