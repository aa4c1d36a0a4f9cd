#include <algorithm>

#include <fmt/format.h>

#include "app/follow.hpp"
#include "app/setup.hpp"
#include "config/units.hpp"
#include "core/rng.hpp"
#include "core/text.hpp"
#include "sync/names.hpp"
#include "sync/status.hpp"

namespace stsync::app {
namespace {

core::WallTime now() { return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now()); }

core::Result<void> fill_window(const SyncOptions& o, v1::Sync& sync) {
  for (const auto& [name, text, field] :
       {std::tuple("--from", &o.from, &v1::Sync::mutable_from), std::tuple("--to", &o.to, &v1::Sync::mutable_to)}) {
    if (text->empty()) continue;
    const auto time = core::parse_utc(*text);
    if (!time)
      return core::fail(core::ErrorKind::bad_data, fmt::format("{}: '{}' is not a time such as 2026-01-02T03:04:05Z", name, *text));
    sync::set_time(*(sync.*field)(), *time);
  }
  return {};
}

core::Result<void> fill_times(const SyncOptions& o, v1::Sync& sync) {
  for (const auto& [name, text, field] : {std::tuple("--start-within", &o.start_within, &v1::Sync::mutable_start_by),
                                          std::tuple("--end-within", &o.end_within, &v1::Sync::mutable_deadline)}) {
    if (text->empty()) continue;
    const auto time = config::parse_duration(*text);
    if (!time || *time <= core::Duration::zero())
      return core::fail(core::ErrorKind::bad_data, fmt::format("{}: '{}' is not a duration such as 10m or 2h", name, *text));
    sync::set_time(*(sync.*field)(), now() + std::chrono::duration_cast<std::chrono::milliseconds>(*time));
  }
  return {};
}

/// "operations/17" and "From=2026-01-01", "Ids=[1,2]".
core::Result<void> fill_report(const SyncOptions& o, v1::Sync& sync) {
  if (o.report.empty())
    return o.parameters.empty() ? core::Result<void>{} : core::fail(core::ErrorKind::bad_data, "--param: only with --report");
  const auto slash = o.report.rfind('/');
  const auto id = core::parse_int(o.report.substr(std::min(slash, o.report.size() - 1) + 1));
  if (slash == std::string::npos || slash == 0 || !id)
    return core::fail(core::ErrorKind::bad_data, fmt::format("--report: '{}' is not CATEGORY/ID such as operations/17", o.report));
  auto& report = *sync.mutable_report();
  report.set_category(o.report.substr(0, slash));
  report.set_id(*id);
  for (const auto& text : o.parameters) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      return core::fail(core::ErrorKind::bad_data, fmt::format("--param: '{}' is not NAME=VALUE", text));
    auto& parameter = *report.add_parameters();
    parameter.set_name(text.substr(0, equals));
    parameter.set_value(text.substr(equals + 1));
  }
  return {};
}

/// What is wrong with the options taken together.
const char* misuse(const SyncOptions& o) {
  if (o.report.empty() == o.resources.empty()) return "one of --resource and --report is needed";
  if (!o.report.empty() && (!o.ids.empty() || !o.from.empty() || !o.to.empty() || o.mode != "incremental"))
    return "--report: goes with none of --mode, --ids, --from and --to; the report's own parameters are given by --param";
  return nullptr;
}

core::Result<std::vector<std::string>> expand(const servicetitan::Catalogue& catalogue, const std::vector<std::string>& patterns) {
  std::vector<std::string> out;
  for (const auto& pattern : patterns) {
    const auto names = catalogue.expand(pattern);
    if (names.empty()) {
      std::vector<std::string> all;
      for (const auto& [name, resource] : catalogue.all()) all.push_back(name);
      const auto hint = core::nearest(pattern, all);
      return core::fail(core::ErrorKind::not_found,
                        fmt::format("'{}' is not a resource{} (see: stsync catalog list)", core::printable(pattern, 80),
                                    hint ? ", did you mean " + *hint + "?" : ""));
    }
    out.insert(out.end(), names.begin(), names.end());
  }
  return out;
}

}  // namespace

int run_sync(const SyncOptions& o) {
  if (const auto* problem = misuse(o); problem != nullptr) {
    complain(problem);
    return Exit::usage;
  }
  const auto setup = load_setup(o.config);
  if (!setup) return Exit::bad_config;
  const auto who = choose_tenant(setup->config, o.app, o.tenant);
  if (!who) {
    complain(who.error().message());
    return exit_code(who.error());
  }
  const auto resources = expand(setup->catalogue, o.report.empty() ? o.resources : std::vector<std::string>{"reporting.reports"});
  if (!resources) {
    complain(resources.error().message());
    return exit_code(resources.error());
  }
  if (!o.id.empty() && (resources->size() != 1 || !sync::valid_id(o.id))) {
    complain("--id: 1 to 64 characters of A-Z a-z 0-9 . _ -, for one resource");
    return Exit::usage;
  }
  if (!o.ids.empty() && resources->size() != 1) {
    complain("--ids: of one resource");
    return Exit::usage;
  }
  const auto mode_name = !o.report.empty() ? "report" : o.ids.empty() ? o.mode : "ids";
  auto rng = core::Rng::from_system();
  std::vector<CommandMessage> commands;
  for (const auto& resource : *resources) {
    auto& c = commands.emplace_back().command;
    c.set_id(o.id.empty() ? core::uuid7(now(), rng) : o.id);
    c.set_app(who->first);
    c.set_tenant(who->second);
    auto& sync = *c.mutable_sync();
    sync.set_resource(resource);
    v1::Mode mode{};
    v1::Priority priority{};
    core::check(v1::Mode_Parse(mode_name, &mode) && v1::Priority_Parse(o.priority, &priority),
                "the command line let an unknown mode through");
    sync.set_mode(mode);
    sync.set_priority(priority);
    sync.mutable_ids()->Assign(o.ids.begin(), o.ids.end());
    auto filled = fill_window(o, sync);
    if (filled) filled = fill_times(o, sync);
    if (filled) filled = fill_report(o, sync);
    if (!filled) {
      complain(filled.error().message());
      return Exit::usage;
    }
  }
  return send_commands(setup->config, commands, o.wait);
}

int run_control(const ControlOptions& o) {
  const auto config = load_config(o.config);
  if (!config) return Exit::bad_config;
  const auto who = choose_tenant(*config, o.app, o.tenant);
  if (!who) {
    complain(who.error().message());
    return exit_code(who.error());
  }
  auto rng = core::Rng::from_system();
  v1::Command c;
  c.set_id(core::uuid7(now(), rng));
  c.set_app(who->first);
  c.set_tenant(who->second);
  const auto fill = [&o](auto& control) {
    control.set_job(o.job);
    control.set_resource(o.resource);
  };
  if (o.action == "cancel") fill(*c.mutable_cancel());
  if (o.action == "pause") fill(*c.mutable_pause());
  if (o.action == "resume") fill(*c.mutable_resume());
  return send_commands(*config, {{c}}, o.wait);
}

}  // namespace stsync::app
