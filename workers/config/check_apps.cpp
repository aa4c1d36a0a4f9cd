#include <algorithm>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "config/checks.hpp"
#include "config/url.hpp"
#include "core/cron.hpp"
#include "core/text.hpp"

namespace stsync::config {
namespace {

/// Goes through the apps once and remembers what must not appear twice.
class AppChecks {
 public:
  AppChecks(const Config& config, Reader& reader) : config_(config), reader_(reader) {}

  void run() {
    for (std::size_t i = 0; i < config_.apps.size(); ++i) app(config_.apps[i], fmt::format("apps[{}]", i));
    if (environments_.size() > 1 && config_.kafka.topics.records.find("{environment}") == std::string::npos)
      reader_.report.error(
          reader_.place("kafka.topics.records"),
          fmt::format("kafka.topics.records: found '{}', expected {{environment}} in it: tenants of {} would share topics",
                      config_.kafka.topics.records, fmt::join(environments_, " and ")));
  }

 private:
  struct Owner {
    std::string path, environment;
    const App* app;
  };

  void error(const std::string& path, const std::string& message) {
    reader_.report.error(reader_.place(path), path + ": " + message);
  }

  void app(const App& app, const std::string& path) {
    if (!app.name.empty() && !names_.insert(app.name).second)
      error(path + ".name", fmt::format("a second app named '{}'", app.name));
    if (const auto key = secret(app.app_key, path, "app_key")) {
      const auto [at, added] = app_keys_.emplace(*key, Owner{path, "", &app});
      if (!added && !app.shared_credentials && !at->second.app->shared_credentials)
        error(path, fmt::format("the app key is also that of {} ('{}'): one app would have two quotas", at->second.path,
                                at->second.app->name));
    }
    if (!app.app_key.value.empty() && !all_local(app)) warn_inline(path + ".app_key");
    for (std::size_t i = 0; i < app.webhook_secret_files.size(); ++i) {
      const auto key = fmt::format("{}.webhook_secret_files[{}]", path, i);
      if (const auto text = SecretRef{app.webhook_secret_files[i], {}}.read(); !text) error(key, text.error().message());
    }
    std::unordered_map<std::int64_t, std::string> ids;
    for (std::size_t i = 0; i < app.tenants.size(); ++i) {
      const auto tenant_path = fmt::format("{}.tenants[{}]", path, i);
      const auto& t = app.tenants[i];
      if (t.id != 0)
        if (const auto [at, added] = ids.emplace(t.id, tenant_path); !added)
          error(tenant_path + ".id", fmt::format("tenant {} of app '{}' is already at {}", t.id, app.name, place_text(at->second)));
      tenant(app, t, tenant_path);
    }
  }

  void tenant(const App& app, const Tenant& t, const std::string& path) {
    const auto env = config_.environments.find(t.environment);
    if (env == config_.environments.end()) {
      std::vector<std::string> names;
      for (const auto& [name, e] : config_.environments) names.push_back(name);
      const auto near = core::nearest(t.environment, names);
      error(path + ".environment", fmt::format("found '{}', expected one of {}{}", core::printable(t.environment, 80),
                                               fmt::join(names, ", "), near ? fmt::format(" (did you mean '{}'?)", *near) : ""));
    } else {
      environments_.insert(t.environment);
      rate(app, env->second);
      if (!is_loopback_url(env->second.api_url)) {
        if (!t.client_id.value.empty()) warn_inline(path + ".client_id");
        if (!t.client_secret.value.empty()) warn_inline(path + ".client_secret");
      }
    }
    const auto id = secret(t.client_id, path, "client_id");
    const auto client_secret = secret(t.client_secret, path, "client_secret");
    if (!(id && own(*id, client_ids_, "client id", app, t, path)) && client_secret)
      own(*client_secret, client_secrets_, "client secret", app, t, path);
    for (std::size_t i = 0; i < t.schedules.size(); ++i) schedule(t.schedules[i], fmt::format("{}.schedules[{}]", path, i));
  }

  /// The vendor issues a pair for one app, tenant and environment. True when it reported something.
  bool own(const std::string& text, std::unordered_map<std::string, Owner>& owners, const char* what, const App& app,
           const Tenant& t, const std::string& path) {
    const auto [at, added] = owners.emplace(text, Owner{path, t.environment, &app});
    if (added) return false;
    const auto& other = at->second;
    if (other.environment != t.environment)
      error(path, fmt::format("the {} is also that of {}, which is in environment '{}': a pair belongs to one environment", what,
                              place_text(other.path), other.environment));
    else if (other.app != &app)
      error(path, fmt::format("the {} is also that of {} of app '{}': a pair belongs to one app", what, place_text(other.path),
                              other.app->name));
    else if (!app.shared_credentials)
      error(path, fmt::format("the {} is also that of {}: a pair belongs to one tenant (shared_credentials: true allows it)", what,
                              place_text(other.path)));
    else
      return false;
    return true;
  }

  void rate(const App& app, const Environment& env) {
    const auto url = parse_url(env.api_url);
    if (app.limits.requests_per_second <= 60 || !url || !url->host.ends_with(".servicetitan.io") ||
        !warned_rates_.insert(app.name).second)
      return;
    reader_.report.warn(reader_.place(path_of(app) + ".limits.requests_per_second"),
                        fmt::format("app '{}': {} calls a second, the vendor allows 60 for each app and tenant", app.name,
                                    format_number(app.limits.requests_per_second)));
  }

  void schedule(const Schedule& s, const std::string& path) {
    for (const auto& pattern : s.resources) {
      const bool fits =
          pattern == "*" || (pattern.size() <= 100 && std::count(pattern.begin(), pattern.end(), '.') == 1 &&
                             pattern.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.*") == std::string::npos);
      if (!fits)
        error(path + ".resources", fmt::format("found '{}', expected a resource such as jpm.jobs or a pattern such as jpm.*",
                                               core::printable(pattern, 80)));
    }
    if (s.resources.empty() && reader_.has(path + ".resources"))
      error(path + ".resources", "found none, expected at least one resource");
    const bool every = reader_.has(path + ".every");
    if (every == !s.cron.empty()) error(path, every ? "found every and cron, expected one of them" : "expected every or cron");
    if (every && reader_.has(path + ".time_zone")) error(path + ".time_zone", "found every, which follows no clock: use cron");
    if (!s.cron.empty())
      if (const auto cron = core::Cron::parse(s.cron, s.time_zone); !cron) error(path + ".cron", cron.error().message());
  }

  /// The text of a secret, or nothing and a problem. One that was not even written as a text was reported before.
  std::optional<std::string> secret(const SecretRef& ref, const std::string& path, const std::string& name) {
    const auto file_path = path + "." + name + "_file";
    if (!ref.set()) {
      if (!reader_.has(path + "." + name) && !reader_.has(file_path)) error(path, fmt::format("'{}_file' is missing", name));
      return std::nullopt;
    }
    if (!ref.file.empty() && !ref.value.empty()) {
      error(file_path, fmt::format("found {0} and {0}_file, expected one of them", name));
      return std::nullopt;
    }
    const auto text = ref.read();
    if (!text) {
      error(ref.file.empty() ? path + "." + name : file_path, text.error().message());
      return std::nullopt;
    }
    return text->reveal();
  }

  bool all_local(const App& app) const {
    return std::all_of(app.tenants.begin(), app.tenants.end(), [this](const Tenant& t) {
      const auto env = config_.environments.find(t.environment);
      return env == config_.environments.end() || is_loopback_url(env->second.api_url);
    });
  }
  void warn_inline(const std::string& path) {
    reader_.report.warn(reader_.place(path),
                        fmt::format("{}: a secret in the configuration; use {}_file", path, path.substr(path.rfind('.') + 1)));
  }
  std::string path_of(const App& app) const { return fmt::format("apps[{}]", &app - config_.apps.data()); }
  std::string place_text(const std::string& path) const {
    const auto where = reader_.place(path);
    return where.source && where.line != 0 ? fmt::format("{}:{}:{}", where.source->name, where.line, where.column) : path;
  }

  const Config& config_;
  Reader& reader_;
  std::set<std::string> names_, environments_, warned_rates_;
  std::unordered_map<std::string, Owner> app_keys_, client_ids_, client_secrets_;
};

}  // namespace

void place_schedules(Config& config, const Reader& reader) {
  for (std::size_t a = 0; a < config.apps.size(); ++a)
    for (std::size_t t = 0; t < config.apps[a].tenants.size(); ++t)
      for (std::size_t s = 0; auto& schedule : config.apps[a].tenants[t].schedules)
        schedule.place = reader.place(fmt::format("apps[{}].tenants[{}].schedules[{}].resources", a, t, s++));
}

void check_apps(const Config& config, Reader& reader) {
  AppChecks(config, reader).run();
  if (config.apps.empty()) reader.report.warn(reader.place("apps"), "apps: none, a worker would have nothing to do");
}

}  // namespace stsync::config
