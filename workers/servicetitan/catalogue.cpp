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
struct Entry {
  std::string name, feed, path, unique_sort, title;
  std::string key = "id", modified = "modifiedOn";
  std::map<std::string, std::string> query;
  int page_size = 0, max_page_size = 0;
  bool modified_nullable = false;
};

struct File {
  std::map<std::string, Entry> resources;
};

constexpr const char* kFieldName = "[A-Za-z_][A-Za-z0-9_]{0,63}";

const config::Table<File>& file_table() {
  static const auto table = [] {
    config::Table<Entry> entry("A readable resource.");
    entry.text("title", &Entry::title, "One line for people.");
    entry.choice("feed", &Entry::feed, {"export", "list"}, "How it is read: an export feed, or a list inside modified windows.");
    entry.text("path", &Entry::path, "Path of the endpoint, with {tenant}.", "a path with {tenant}",
               R"(/[A-Za-z0-9/_.-]*\{tenant\}/[A-Za-z0-9/_.-]+)");
    entry.text("key", &Entry::key, "Field of a record that is its primary key.", "a field name", kFieldName);
    entry.text("modified", &Entry::modified, "Field with the time of the last change.", "a field name", kFieldName);
    entry.boolean("modified_nullable", &Entry::modified_nullable, "Whether that field may be null.");
    entry.text("unique_sort", &Entry::unique_sort, "Value of `sort` that gives a total order, where the endpoint lists one.",
               "a sort such as +Id", R"([+-][A-Za-z]{1,64})");
    entry.text_map("query", &Entry::query, "Parameters that every request carries.");
    entry.integer("page_size", &Entry::page_size, 1, 25000, "Records to ask for (lists).");
    entry.integer("max_page_size", &Entry::max_page_size, 1, 25000, "The most that the endpoint gives (lists).");
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
  explicit Checks(config::Reader& reader) : reader_(reader) {}

  void run(const Entry& e) {
    const auto at = "resources." + e.name;
    if (!is_resource_name(e.name))
      return error(at, fmt::format("found '{}', expected a name such as jpm.jobs", core::printable(e.name, 80)));
    if (e.path.empty() && !reader_.has(at + ".path")) error(at, "'path' is missing (no such resource is built in)");
    if (e.feed.empty() && !reader_.has(at + ".feed")) error(at, "'feed' is missing, expected export or list");
    const bool list = e.feed == "list";
    if (list && (e.page_size == 0 || e.max_page_size == 0)) error(at, "page_size and max_page_size are missing, a list needs them");
    if (list && e.page_size > e.max_page_size)
      error(at + ".page_size", fmt::format("found {}, expected at most max_page_size ({})", e.page_size, e.max_page_size));
    if (e.feed == "export" && (e.page_size != 0 || e.max_page_size != 0 || !e.unique_sort.empty()))
      error(at, "an export feed has no page size and no sort: the server decides");
    for (const auto* ours :
         {"page", "pageSize", "includeTotal", "sort", "from", "includeRecentChanges", "modifiedOnOrAfter", "modifiedBefore"})
      if (e.query.contains(ours)) error(at + ".query." + ours, "stsync sends this parameter itself");
  }

 private:
  void error(const std::string& path, const std::string& message) {
    reader_.report.error(reader_.place(path), path + ": " + message);
  }
  config::Reader& reader_;
};

Resource make_resource(const Entry& e) {
  Resource r;
  r.name = e.name;
  r.api = e.name.substr(0, e.name.find('.'));
  r.feed = e.feed == "list" ? Feed::windowed_list : Feed::export_feed;
  r.path = e.path;
  r.key = e.key;
  r.modified = e.modified;
  r.unique_sort = e.unique_sort;
  r.query.assign(e.query.begin(), e.query.end());
  r.page_size = e.page_size;
  r.max_page_size = e.max_page_size;
  r.modified_nullable = e.modified_nullable;
  r.title = e.title;
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
  Checks checks(reader);
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
    if (fits(pattern, name)) out.push_back(name);
  return out;
}

}  // namespace stsync::servicetitan
