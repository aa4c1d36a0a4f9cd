#include "servicetitan/catalogue.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "config/table.hpp"
#include "core/text.hpp"
#include "servicetitan/catalogue_files.hpp"

namespace stsync::servicetitan {
namespace {

/// A resource as the files write it; entries of later files change those of earlier ones field by field.
struct PeriodEntry {
  std::string begin, end;
  core::Duration step{}, back{}, ahead{}, again{};
};

struct EndpointEntry {
  std::string path, async_path, result_path, method = "GET", shape, scope, key, modified, body, unique_sort, parent, vary;
  std::map<std::string, std::string> query, bind;
  std::vector<std::string> sorts, filters, variants;
  int page_size = 0, max_page_size = 0, first_page = 1, batch = 1;
  bool modified_filter = false, created_filter = false, ids_filter = false, ids_only = false;
  std::optional<PeriodEntry> period;
};

struct Entry {
  std::string name, title, specs, key = "id", modified = "modifiedOn";
  bool modified_nullable = false, explicit_only = false;
  std::vector<std::string> quirks;
  std::optional<EndpointEntry> export_feed, list, children, get, report;
};

constexpr std::pair<Role, std::optional<EndpointEntry> Entry::*> kEndpoints[] = {{Role::export_feed, &Entry::export_feed},
                                                                                 {Role::list, &Entry::list},
                                                                                 {Role::children, &Entry::children},
                                                                                 {Role::get, &Entry::get},
                                                                                 {Role::report, &Entry::report}};

struct File {
  std::map<std::string, Entry> resources;
};

constexpr const char* kField = "[A-Za-z_][A-Za-z0-9_]{0,63}(\\.[A-Za-z_][A-Za-z0-9_]{0,63})?";
constexpr const char* kParameter = "[A-Za-z_][A-Za-z0-9_.]{0,63}";
constexpr const char* kPath = R"(/[A-Za-z0-9/_.-]*\{tenant\}/[A-Za-z0-9/_.{}-]+)";
constexpr auto kLongest = std::chrono::days(3660);

config::Table<PeriodEntry> period_table() {
  config::Table<PeriodEntry> period("Stretches of time that an endpoint is asked for.");
  period.text("begin", &PeriodEntry::begin, "Parameter for the beginning; none: it is in the body.", "a parameter", kParameter);
  period.text("end", &PeriodEntry::end, "Parameter for the end (exclusive).", "a parameter", kParameter);
  period.duration("step", &PeriodEntry::step, std::chrono::hours(1), kLongest, "Length of one stretch.");
  period.duration("back", &PeriodEntry::back, {}, kLongest, "How far before today a full begins.");
  period.duration("ahead", &PeriodEntry::ahead, {}, kLongest, "How far after today it ends.");
  period.duration("again", &PeriodEntry::again, {}, kLongest, "What an incremental reads once more: figures that still change.");
  return period;
}

config::Table<EndpointEntry> endpoint_table(const char* title) {
  using E = EndpointEntry;
  config::Table<E> endpoint(title);
  endpoint.text("path", &E::path, "Path, with {tenant}.", "a path with {tenant}", kPath);
  endpoint.text("async_path", &E::async_path, "Reports: path that starts the run and does not wait for it.", "a path", kPath);
  endpoint.text("result_path", &E::result_path, "Reports: path of the result, with {token}.", "a path", kPath);
  endpoint.choice("method", &E::method, {"GET", "POST"}, "HTTP method.");
  endpoint.choice("shape", &E::shape, {"page", "envelope", "array", "object", "scalar", "binary"}, "What it answers.");
  endpoint.text("scope", &E::scope, "OAuth scope that it needs.", "a scope", R"(tn\.[a-z]+\.[A-Za-z-]+:[rw])");
  endpoint.text("key", &E::key, "Primary key, where it is not the resource's.");
  endpoint.text("modified", &E::modified, "Time of the last change, where it is not the resource's.", "a field name", kField);
  endpoint.text_map("query", &E::query, "Parameters that every request carries.");
  endpoint.text("body", &E::body, "Body of a POST, with {begin}, {end}, {ids}.");
  endpoint.integer("page_size", &E::page_size, 1, 25000, "Records to ask for at first.");
  endpoint.integer("max_page_size", &E::max_page_size, 1, 25000, "The most that the endpoint gives.");
  endpoint.integer("first_page", &E::first_page, 0, 1, "Number of the first page.");
  endpoint.texts("sorts", &E::sorts, "Fields that `sort` takes.");
  endpoint.text("unique_sort", &E::unique_sort, "Value of `sort` that gives a total order; none: windows are split.",
                "a sort such as +Id", R"(([+-][A-Za-z]{1,64})?)");
  endpoint.boolean("modified_filter", &E::modified_filter, "Takes modifiedOnOrAfter and modifiedBefore.");
  endpoint.boolean("created_filter", &E::created_filter, "Takes createdOnOrAfter and createdBefore.");
  endpoint.boolean("ids_filter", &E::ids_filter, "Takes ids, up to 50 at a time.");
  endpoint.boolean("ids_only", &E::ids_only, "Answers nothing without ids.");
  endpoint.texts("filters", &E::filters, "Further parameters; stsync does not send them.");
  endpoint.text("parent", &E::parent, "Resource whose rows are the parents.", "a resource", R"([a-z-]+\.[a-z0-9-]+)");
  endpoint.text_map("bind", &E::bind, "Parameter by parameter, the field of the parent's row, or $parameter of the parent.");
  endpoint.integer("batch", &E::batch, 1, 50, "Parents a call.");
  endpoint.optional("period", &E::period, period_table(), "Stretches of time that it is asked for.");
  endpoint.text("vary", &E::vary, "A parameter that takes each of `variants`.", "a parameter", kParameter);
  endpoint.texts("variants", &E::variants, "Its values.");
  return endpoint;
}

const config::Table<File>& file_table() {
  static const auto table = [] {
    config::Table<Entry> entry("A readable resource.");
    entry.text("title", &Entry::title, "One line for people.");
    entry.text("key", &Entry::key, "Primary key: fields, $parameter, #row or #hash, joined by +.");
    entry.text("modified", &Entry::modified, "Field with the time of the last change, or none.", "a field name or none", kField);
    entry.boolean("modified_nullable", &Entry::modified_nullable, "Whether that field may be null.");
    entry.boolean("explicit", &Entry::explicit_only, "Patterns such as jpm.* leave it out.");
    entry.text("specs", &Entry::specs, "First and last date of the vendor's specification that has it.",
               "dates such as 2026-03..2026-07", R"(\d{4}-\d\d\.\.\d{4}-\d\d)");
    entry.texts("quirks", &Entry::quirks, "What users found it to do.");
    entry.optional("export", &Entry::export_feed, endpoint_table("An export feed."), "Its export feed.");
    entry.optional("list", &Entry::list, endpoint_table("A list."), "Its list.");
    entry.optional("children", &Entry::children, endpoint_table("The rows of one parent."), "Its rows, parent by parent.");
    entry.optional("get", &Entry::get, endpoint_table("A row by id."), "Its rows, id by id.");
    entry.optional("report", &Entry::report, endpoint_table("The rows of a report."), "Its rows, by report.");
    config::Table<File> file("A catalogue file.");
    file.object_map("resources", &File::resources, &Entry::name, entry, "api.resource", "Resources by name.");
    return file;
  }();
  return table;
}

bool is_resource_name(const std::string& name) {
  const auto dot = name.find('.');
  return name.size() <= 100 && dot != 0 && dot != std::string::npos && dot + 1 < name.size() &&
         name.find('.', dot + 1) == std::string::npos &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string::npos;
}

/// What must hold of an entry once every file has been read.
class Checks {
 public:
  Checks(config::Reader& reader, const File& file) : reader_(reader), file_(file) {}

  void run(const Entry& e) {
    const auto at = "resources." + e.name;
    if (!is_resource_name(e.name))
      return error(at, fmt::format("found '{}', expected a name such as jpm.jobs", core::printable(e.name, 80)));
    check_key(e.key, at + ".key");
    bool any = false;
    for (const auto& [role, member] : kEndpoints) {
      if (!(e.*member)) continue;
      any = true;
      run(role, *(e.*member), fmt::format("{}.{}", at, to_string(role)));
    }
    if (!any) error(at, "it has no endpoint (no such resource is built in)");
  }

 private:
  void check_key(const std::string& key, const std::string& at) {
    if (!KeySpec::valid(key))
      error(at, fmt::format("found '{}', expected fields, $parameters, #row or #hash with + between", core::printable(key, 80)));
  }

  void run(Role role, const EndpointEntry& e, const std::string& at) {
    if (e.path.empty()) return error(at, "'path' is missing");
    if (!e.key.empty()) check_key(e.key, at + ".key");
    if (e.page_size > e.max_page_size)
      error(at + ".page_size", fmt::format("found {}, expected at most max_page_size ({})", e.page_size, e.max_page_size));
    if (role == Role::export_feed && (e.page_size != 0 || e.max_page_size != 0 || !e.unique_sort.empty()))
      error(at, "an export feed has no page size and no sort: the server decides");
    if (role == Role::list && shape_of(role, e) == Shape::page && e.page_size == 0)
      error(at, "page_size and max_page_size are missing, a list in pages needs them");
    if (!e.vary.empty() && e.variants.empty()) error(at + ".vary", "'variants' is missing");
    if (role == Role::children && (e.parent.empty() || e.bind.empty()))
      error(at, "'parent' and 'bind' are missing, children need them");
    if (!e.parent.empty() && !file_.resources.contains(e.parent))
      error(at + ".parent", fmt::format("there is no resource '{}'", core::printable(e.parent, 80)));
    if (role == Role::export_feed || role == Role::list || role == Role::children)
      for (const auto& place : places_of(e.path))
        if (!e.bind.contains(place)) error(at + ".path", fmt::format("nothing fills {{{}}}: it is not in 'bind'", place));
    for (const auto* ours :
         {"page", "pageSize", "includeTotal", "sort", "from", "includeRecentChanges", "modifiedOnOrAfter", "modifiedBefore"})
      if (e.query.contains(ours)) error(at + ".query." + ours, "stsync sends this parameter itself");
  }

  void error(const std::string& path, const std::string& message) {
    reader_.report.error(reader_.place(path), path + ": " + message);
  }

 public:
  static Shape shape_of(Role role, const EndpointEntry& e) {
    for (const auto shape : {Shape::page, Shape::envelope, Shape::array, Shape::object, Shape::scalar, Shape::binary})
      if (e.shape == to_string(shape)) return shape;
    return role == Role::get ? Shape::object : Shape::page;
  }

 private:
  config::Reader& reader_;
  const File& file_;
};

template <class Map>
std::vector<std::pair<std::string, std::string>> pairs(const Map& map) {
  return {map.begin(), map.end()};
}

Endpoint make_endpoint(Role role, const EndpointEntry& e) {
  Endpoint out;
  out.role = role;
  out.method = e.method;
  out.path = e.path;
  out.async_path = e.async_path;
  out.result_path = e.result_path;
  out.shape = Checks::shape_of(role, e);
  out.scope = e.scope;
  if (!e.key.empty()) out.key = KeySpec(e.key);
  out.modified = e.modified;
  out.query = pairs(e.query);
  out.body = e.body;
  out.page_size = e.page_size;
  out.max_page_size = e.max_page_size;
  out.first_page = e.first_page;
  out.sorts = e.sorts;
  out.unique_sort = e.unique_sort;
  out.modified_filter = e.modified_filter;
  out.created_filter = e.created_filter;
  out.ids_filter = e.ids_filter;
  out.ids_only = e.ids_only;
  out.filters = e.filters;
  out.parent = e.parent;
  out.bind = pairs(e.bind);
  out.batch = e.batch;
  if (e.period)
    out.period = Period{e.period->begin, e.period->end, e.period->step, e.period->back, e.period->ahead, e.period->again};
  out.vary = e.vary;
  out.variants = e.variants;
  return out;
}

Resource make_resource(const Entry& e) {
  Resource r;
  r.name = e.name;
  r.api = e.name.substr(0, e.name.find('.'));
  r.title = e.title;
  r.key = KeySpec(e.key);
  if (e.modified != "none")
    r.modified = e.modified;
  else
    r.modified.clear();
  r.modified_nullable = e.modified_nullable;
  r.explicit_only = e.explicit_only;
  r.first_spec = e.specs.substr(0, e.specs.find('.'));
  r.last_spec = e.specs.substr(std::min(e.specs.size(), e.specs.find('.') + 2));
  r.quirks = e.quirks;
  for (const auto& [role, member] : kEndpoints)
    if (e.*member) r.endpoints.push_back(make_endpoint(role, *(e.*member)));
  return r;
}

void read(std::string_view text, const std::string& name, const std::string& directory, File& file, config::Reader& reader) {
  const auto source = std::make_shared<config::Source>(config::Source{name, directory});
  auto root = config::parse_yaml(std::string(text), source, reader.report);
  if (!root.where.source) root.where.source = source;
  file_table().read(root, file, reader);
}

/// '*' stands for any characters. Linear in the name for each star: patterns come from users.
bool fits(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0, star = std::string_view::npos, resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

}  // namespace

core::Result<Catalogue> Catalogue::load(const std::string& overrides, const std::string& file) {
  config::Report report;
  config::Reader reader(report);
  File all;
  for (const auto& [name, text] : catalogue_files()) read(text, fmt::format("(built-in) {}", name), "", all, reader);
  if (!overrides.empty()) read(overrides, file, std::filesystem::path(file).parent_path().string(), all, reader);
  reader.sort_places();
  Checks checks(reader, all);
  for (const auto& [name, entry] : all.resources) checks.run(entry);
  if (!report.errors().empty()) {
    std::string message;
    for (const auto& problem : report.errors()) message += (message.empty() ? "" : "\n") + problem.text();
    return core::fail(core::ErrorKind::bad_config, std::move(message));
  }
  Catalogue catalogue;
  for (const auto& [name, entry] : all.resources) catalogue.resources_.emplace(name, make_resource(entry));
  return catalogue;
}

const Resource* Catalogue::find(std::string_view name) const noexcept {
  const auto at = resources_.find(name);
  return at == resources_.end() ? nullptr : &at->second;
}

std::vector<std::string> Catalogue::expand(std::string_view pattern) const {
  std::vector<std::string> out;
  for (const auto& [name, resource] : resources_)
    if (name == pattern || (resource.in_patterns() && fits(pattern, name))) out.push_back(name);
  return out;
}

}  // namespace stsync::servicetitan
