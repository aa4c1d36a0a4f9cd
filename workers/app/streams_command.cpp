// stsync streams: the cursors in the journal, looked at and moved.
#include <cstdio>

#include <fmt/format.h>

#include "app/follow.hpp"
#include "app/json.hpp"
#include "app/read_topic.hpp"
#include "app/setup.hpp"
#include "core/rng.hpp"
#include "core/text.hpp"
#include "servicetitan/catalogue.hpp"
#include "sync/memory.hpp"
#include "sync/names.hpp"

namespace stsync::app {
namespace {

struct Stream {
  std::string app, resource;
  std::int64_t tenant = 0;
  v1::StreamState state;
};

/// "stream/acme/1001/jpm.jobs" taken apart; nothing for any other key.
std::optional<Stream> stream_of(const std::string& key) {
  constexpr std::string_view kKind = "stream/";
  if (!key.starts_with(kKind)) return std::nullopt;
  const auto app_end = key.find('/', kKind.size());
  const auto tenant_end = app_end == std::string::npos ? app_end : key.find('/', app_end + 1);
  if (tenant_end == std::string::npos) return std::nullopt;
  const auto tenant = core::parse_int(std::string_view(key).substr(app_end + 1, tenant_end - app_end - 1));
  if (!tenant) return std::nullopt;
  return Stream{key.substr(kKind.size(), app_end - kKind.size()), key.substr(tenant_end + 1), *tenant, {}};
}

/// Every stream of the journal that the options mean.
core::Result<std::vector<Stream>> read_streams(const config::Config& config, const StreamsOptions& o) {
  sync::Memory memory;
  std::map<std::string, bool> keys;
  const auto read = read_topic(config, config.kafka.topics.journal, [&](const kafka::Message& m) {
    const auto key = m.key.value_or("");
    if (key.starts_with("stream/") && memory.read(key, m.value)) keys[key] = m.value.has_value();
  });
  if (!read) return core::fail(read.error());
  std::vector<Stream> out;
  for (const auto& [key, there] : keys) {
    auto stream = stream_of(key);
    if (!there || !stream) continue;
    const bool meant = (o.app.empty() || stream->app == o.app) && (o.tenant == 0 || stream->tenant == o.tenant) &&
                       (o.resource.empty() || stream->resource == o.resource);
    if (!meant) continue;
    stream->state = memory.stream(key);
    out.push_back(std::move(*stream));
  }
  return out;
}

std::string utc(std::int64_t ms) {
  return ms == 0 ? std::string() : core::format_utc(core::WallTime(std::chrono::milliseconds(ms)));
}

void print_table(const std::vector<Stream>& streams) {
  std::printf("%-12s %10s %-36s %-24s %-24s %s\n", "app", "tenant", "resource", "moved", "newest record", "cursor");
  for (const auto& s : streams) {
    auto cursor = s.state.token().empty() ? utc(s.state.watermark_ms()) : s.state.token();
    if (cursor.size() > 40) cursor = cursor.substr(0, 37) + "...";
    std::printf("%-12s %10lld %-36s %-24s %-24s %s\n", s.app.c_str(), static_cast<long long>(s.tenant), s.resource.c_str(),
                utc(s.state.updated_ms()).c_str(), utc(s.state.newest_ms()).c_str(), core::printable(cursor).c_str());
  }
}

void print_json(const std::vector<Stream>& streams) {
  print_json_list(streams, [](auto& out, const Stream& s) {
    out.text("app", s.app);
    out.number("tenant", s.tenant);
    out.text("resource", s.resource);
    out.text("token", s.state.token());
    out.text("watermark", utc(s.state.watermark_ms()));
    out.text("newest_record", utc(s.state.newest_ms()));
    out.text("last_full", utc(s.state.full_ms()));
    out.text("moved", utc(s.state.updated_ms()));
    out.number("version", s.state.version());
  });
}

int look(const Setup& setup, const StreamsOptions& o) {
  const auto streams = read_streams(setup.config, o);
  if (!streams) {
    complain(streams.error().message());
    return exit_code(streams.error());
  }
  if (streams->empty() && !o.resource.empty()) {
    const bool known = setup.catalogue.find(o.resource) != nullptr;
    complain(known ? fmt::format("{} has not been read yet", o.resource) : fmt::format("there is no resource '{}'", o.resource));
    return Exit::not_found;
  }
  o.output == "json" ? print_json(*streams) : print_table(*streams);
  return Exit::ok;
}

/// The streams that a change is for: the one that is named, or all that the tenant has.
core::Result<std::vector<std::string>> meant(const config::Config& config, const servicetitan::Catalogue& catalogue,
                                             StreamsOptions o, const std::pair<std::string, std::int64_t>& who) {
  if (!o.all) {
    if (catalogue.find(o.resource) == nullptr)
      return core::fail(core::ErrorKind::not_found, fmt::format("there is no resource '{}'", o.resource));
    return std::vector{o.resource};
  }
  std::tie(o.app, o.tenant) = who;
  const auto streams = read_streams(config, o);
  if (!streams) return core::fail(streams.error());
  std::vector<std::string> out;
  for (const auto& s : *streams) out.push_back(s.resource);
  return out;
}

int change(const Setup& setup, const StreamsOptions& o) {
  if (!o.all && o.resource.empty()) {
    complain("name a resource, or --all");
    return Exit::usage;
  }
  const auto who = choose_tenant(setup.config, o.app, o.tenant);
  const auto resources =
      who ? meant(setup.config, setup.catalogue, o, *who) : core::Result<std::vector<std::string>>(core::fail(who.error()));
  if (!resources) {
    complain(resources.error().message());
    return exit_code(resources.error());
  }
  if (resources->empty()) {
    complain(fmt::format("tenant {} has no streams", who->second));
    return Exit::not_found;
  }
  auto rng = core::Rng::from_system();
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  std::vector<CommandMessage> commands;
  for (const auto& resource : *resources) {
    auto& c = commands.emplace_back().command;
    c.set_id(core::uuid7(now, rng));
    c.set_app(who->first);
    c.set_tenant(who->second);
    c.mutable_cursor()->set_resource(resource);
    if (o.action == "set")
      c.mutable_cursor()->set_set(o.value);
    else
      c.mutable_cursor()->set_reset(true);
  }
  return send_commands(setup.config, commands, o.wait);
}

}  // namespace

int run_streams(const StreamsOptions& o) {
  const auto setup = load_setup(o.config);
  if (!setup) return Exit::bad_config;
  if (o.action == "list" || o.action == "show") return look(*setup, o);
  return change(*setup, o);
}

}  // namespace stsync::app
