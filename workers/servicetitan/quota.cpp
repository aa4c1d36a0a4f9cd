#include "servicetitan/quota.hpp"

#include <fmt/format.h>

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

std::string quota_text(const config::Config& config, const config::App& app) {
  const auto rate = app.limits.requests_per_second;
  if (app.limits.scope == "tenant") return fmt::format("{}: {} calls a second for each tenant", app.name, rate);
  auto text = fmt::format("{}: {} calls a second for the app", app.name, rate);
  if (config.shares_limits()) return text + ", which all workers share through limits.store";
  if (config.expected_workers == 1)
    return text + ", all of them for one worker: with more, set limits.expected_workers or limits.store";
  return text +
         fmt::format(", {:.4g} for each of {} workers (limits.expected_workers; none of it can be lent without limits.store)",
                     rate / config.expected_workers, config.expected_workers);
}

}  // namespace stsync::servicetitan
