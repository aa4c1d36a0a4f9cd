// Commands that only look: check, config, catalog.
#include <cstdio>

#include <fmt/format.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "app/setup.hpp"
#include "core/text.hpp"
#include "kafka/client.hpp"
#include "sync/worker.hpp"

namespace stsync::app {
namespace {

const char* feed_name(const servicetitan::Resource& r) { return r.feed == servicetitan::Feed::export_feed ? "export" : "list"; }

void write_json(rapidjson::Writer<rapidjson::StringBuffer>& w, const servicetitan::Resource& r) {
  w.StartObject();
  const auto text = [&w](const char* name, const std::string& value) {
    w.Key(name);
    w.String(value.c_str());
  };
  text("resource", r.name);
  text("feed", feed_name(r));
  text("path", r.path);
  text("key", r.key);
  text("modified", r.modified);
  text("sort", r.unique_sort);
  w.Key("page_size");
  w.Int(r.page_size);
  text("title", r.title);
  w.EndObject();
}

void show(const servicetitan::Resource& r) {
  std::printf("%-10s %s\n%-10s %s\n%-10s %s\n%-10s %s\n%-10s %s\n", "resource", r.name.c_str(), "", r.title.c_str(), "feed",
              feed_name(r), "path", r.path.c_str(), "key", r.key.c_str());
  if (!r.unique_sort.empty()) std::printf("%-10s %s\n", "sort", r.unique_sort.c_str());
  if (r.page_size > 0) std::printf("%-10s %d\n", "page size", r.page_size);
  for (const auto& [name, value] : r.query) std::printf("%-10s %s=%s\n", "parameter", name.c_str(), value.c_str());
}

}  // namespace

int run_check(const ConfigOptions& options) {
  const auto config = load_config(options);
  if (!config || !load_catalogue(*config)) return Exit::bad_config;
  const auto cluster = sync::make_cluster(*config, "stsync-check");
  const auto ok = cluster ? kafka::check_settings(*cluster) : core::Result<void>(core::fail(cluster.error()));
  if (!ok) {
    complain(ok.error().message());
    return Exit::bad_config;
  }
  std::size_t tenants = 0;
  for (const auto& app : config->apps) tenants += app.tenants.size();
  complain(
      fmt::format("{} is fine: {} apps, {} tenants ({})", options.file, config->apps.size(), tenants, kafka::library_version()));
  return Exit::ok;
}

int run_config_print(const ConfigOptions& options) {
  const auto config = load_config(options);
  if (!config) return Exit::bad_config;
  std::printf("%s", config::print(*config).c_str());
  return Exit::ok;
}

int run_catalog(const CatalogOptions& o) {
  const auto catalogue = servicetitan::Catalogue::load("", "");
  if (!catalogue) {
    complain(catalogue.error().message());
    return Exit::internal;
  }
  if (o.action == "show") {
    const auto* r = catalogue->find(o.name);
    if (r == nullptr) {
      complain(fmt::format("'{}' is not a resource (see: stsync catalog list)", core::printable(o.name, 80)));
      return Exit::not_found;
    }
    if (o.output == "table") {
      show(*r);
      return Exit::ok;
    }
    rapidjson::StringBuffer buffer;
    rapidjson::Writer<rapidjson::StringBuffer> w(buffer);
    write_json(w, *r);
    std::printf("%s\n", buffer.GetString());
    return Exit::ok;
  }
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> w(buffer);
  w.StartArray();
  for (const auto& [name, r] : catalogue->all()) {
    if (o.output == "table")
      std::printf("%-34s %-8s %s\n", name.c_str(), feed_name(r), r.title.c_str());
    else
      write_json(w, r);
  }
  w.EndArray();
  if (o.output == "json") std::printf("%s\n", buffer.GetString());
  return Exit::ok;
}

}  // namespace stsync::app
