// What can be read: catalog list, catalog show.
#include <cstdio>

#include <fmt/format.h>

#include "app/json.hpp"
#include "app/setup.hpp"
#include "config/units.hpp"
#include "core/text.hpp"
#include "servicetitan/plan.hpp"
#include "sync/names.hpp"

namespace stsync::app {
namespace {

using servicetitan::Endpoint;
using servicetitan::Resource;
using servicetitan::Role;

constexpr v1::Mode kModes[] = {v1::full, v1::incremental, v1::window, v1::ids, v1::report};

std::vector<std::string> modes_of(const servicetitan::Catalogue& catalogue, const Resource& r) {
  std::vector<std::string> out;
  for (const auto mode : kModes) {
    v1::Sync sync;
    sync.set_mode(mode);
    if (servicetitan::check_mode(catalogue, r, sync)) out.push_back(v1::Mode_Name(mode));
  }
  return out;
}

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

std::string roles_of(const Resource& r) {
  std::vector<std::string> out;
  for (const auto& e : r.endpoints) out.emplace_back(to_string(e.role));
  return joined(out);
}

std::vector<std::string> without_empty(std::vector<std::string> words) {
  std::erase(words, "");
  return words;
}

void write_json(JsonPage& w, const Endpoint& e) {
  JsonObject out(w);
  out.text("role", to_string(e.role));
  out.text("method", e.method);
  out.text("path", e.path);
  out.text("async_path", e.async_path);
  out.text("result_path", e.result_path);
  out.text("shape", to_string(e.shape));
  out.text("scope", e.scope);
  out.text("parent", e.parent);
  out.pairs("bind", e.bind);
  out.pairs("query", e.query);
  if (e.page_size != 0) out.number("page_size", e.page_size);
  if (e.max_page_size != 0) out.number("max_page_size", e.max_page_size);
  if (e.first_page != 1) out.number("first_page", e.first_page);
  out.texts("sorts", e.sorts);
  out.text("unique_sort", e.unique_sort);
  out.flag("modified_filter", e.modified_filter);
  out.flag("created_filter", e.created_filter);
  out.flag("ids_filter", e.ids_filter);
  out.texts("filters", e.filters);
  if (e.period) out.texts("period", without_empty({e.period->begin, e.period->end}));
  out.text("vary", e.vary);
  out.texts("variants", e.variants);
  if (e.key) out.text("key", e.key->text());
  out.text("body", e.body);
  out.text("modified", e.modified);
}

/// Where its records go; {environment} is left in the name.
std::string topic_of(const Setup& setup, const Resource& r) {
  return sync::records_topic(setup.config.kafka.topics, r, "{environment}");
}

void write_json(JsonPage& w, const Setup& setup, const Resource& r) {
  JsonObject out(w);
  out.text("resource", r.name);
  out.text("title", r.title);
  out.texts("modes", modes_of(setup.catalogue, r));
  out.text("topic", topic_of(setup, r));
  out.text("key", r.key.text());
  out.flag("key_names_resource", sync::shares_topic(setup.config, setup.catalogue, r));
  out.text("modified", r.modified);
  if (r.look_back.count() > 0) out.text("look_back", config::format_duration(r.look_back));
  out.texts("drop_fields", r.drop_fields);
  out.texts("hash_fields", r.hash_fields);
  out.flag("files", r.files);
  if (r.has_files() && r.max_file != 0) out.number("max_file", static_cast<std::int64_t>(r.max_file));
  out.flag("modified_nullable", r.modified_nullable);
  out.flag("explicit", !r.in_patterns());
  out.text("first_spec", r.first_spec);
  out.text("last_spec", r.last_spec);
  out.texts("quirks", r.quirks);
  w.Key("endpoints");
  w.StartArray();
  for (const auto& e : r.endpoints) write_json(w, e);
  w.EndArray();
}

void line(const char* name, const std::string& value) {
  if (!value.empty()) std::printf("%-10s %s\n", name, value.c_str());
}

void show(const Endpoint& e) {
  line(to_string(e.role), fmt::format("{} {}", e.method, e.path));
  if (!e.scope.empty()) line("", "needs " + e.scope);
  if (!e.parent.empty()) line("", "for every row of " + e.parent);
  if (e.modified_filter) line("", "takes a window of modification");
  if (e.ids_filter) line("", "takes ids, 50 a call");
  if (!e.unique_sort.empty()) line("", "total order by sort=" + e.unique_sort);
  if (e.max_page_size > 0) line("", fmt::format("pages of {} to {} rows", e.page_size, e.max_page_size));
  for (const auto& [name, value] : e.query) line("", fmt::format("with {}={}", name, value));
}

/// The endpoint that the planner would take, and why.
std::string choice(const servicetitan::Catalogue& catalogue, const Resource& r, v1::Mode mode) {
  v1::Sync sync;
  sync.set_mode(mode);
  const auto plan = servicetitan::plan({catalogue, r, sync, {}, 1, 1});
  return plan ? plan->why : plan.error().message();
}

void show(const Setup& setup, const Resource& r) {
  const auto& catalogue = setup.catalogue;
  line("resource", r.name);
  line("", r.title);
  line("topic", topic_of(setup, r));
  line("key", r.key.text());
  if (sync::shares_topic(setup.config, catalogue, r))
    line("", fmt::format("behind tenant:{}: as others use the topic too", r.name));
  line("modified", r.modified);
  if (!r.drop_fields.empty()) line("drops", joined(r.drop_fields));
  if (!r.hash_fields.empty()) line("hashes", joined(r.hash_fields));
  if (r.look_back.count() > 0) line("", fmt::format("an incremental looks back {}", config::format_duration(r.look_back)));
  line("modes", joined(modes_of(catalogue, r)));
  line("full", choice(catalogue, r, v1::full));
  line("ids", choice(catalogue, r, v1::ids));
  for (const auto& e : r.endpoints) show(e);
  for (const auto& quirk : r.quirks) line("note", quirk);
  if (r.has_files())
    line("note", r.files ? fmt::format("files of up to {}", config::format_size(r.max_file))
                         : "its records are files: read only with 'files: true' in catalogue.overrides");
  if (!r.in_patterns()) line("note", "patterns such as " + r.api + ".* leave it out: it must be named");
}

std::optional<Setup> built_in() {
  auto catalogue = servicetitan::Catalogue::load("", "");
  if (catalogue) return Setup{{}, std::move(*catalogue)};
  complain(catalogue.error().message());
  return std::nullopt;
}

}  // namespace

int run_catalog(const CatalogOptions& o) {
  const auto setup = o.config.file.empty() ? built_in() : load_setup(o.config);
  if (!setup) return o.config.file.empty() ? Exit::internal : Exit::bad_config;
  const auto& catalogue = setup->catalogue;
  rapidjson::StringBuffer buffer;
  JsonPage w(buffer);
  w.SetIndent(' ', 1);
  if (o.action == "show") {
    const auto* r = catalogue.find(o.name);
    if (r == nullptr) {
      complain(fmt::format("'{}' is not a resource (see: stsync catalog list)", core::printable(o.name, 80)));
      return Exit::not_found;
    }
    if (o.output == "table") {
      show(*setup, *r);
      return Exit::ok;
    }
    write_json(w, *setup, *r);
  } else {
    w.StartArray();
    for (const auto& [name, r] : catalogue.all()) {
      if (o.output == "table")
        std::printf("%-48s %-24s %s\n", name.c_str(), roles_of(r).c_str(), r.title.c_str());
      else
        write_json(w, *setup, r);
    }
    w.EndArray();
  }
  if (o.output == "json") std::printf("%s\n", buffer.GetString());
  return Exit::ok;
}

}  // namespace stsync::app
