#include "servicetitan/catalogue.hpp"

#include <algorithm>
#include <filesystem>
#include <tuple>

#include <fmt/format.h>

#include "servicetitan/catalogue_files.hpp"
#include "servicetitan/entry_checks.hpp"

namespace stsync::servicetitan {
namespace {

void read(std::string_view text, const std::string& name, const std::string& directory, CatalogueFile& file,
          config::Reader& reader) {
  const auto source = std::make_shared<config::Source>(config::Source{name, directory});
  auto root = config::parse_yaml(std::string(text), source, reader.report);
  if (!root.where.source) root.where.source = source;
  catalogue_table().read(root, file, reader);
}

std::vector<config::Problem> in_order(std::vector<config::Problem> problems) {
  std::sort(problems.begin(), problems.end(), [](const auto& a, const auto& b) {
    return std::tie(a.file, a.line, a.column, a.message) < std::tie(b.file, b.line, b.column, b.message);
  });
  return problems;
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

LoadedCatalogue Catalogue::read(const std::string& overrides, const std::string& file) {
  config::Report report;
  config::Reader built_in(report), changes(report);
  CatalogueFile all;
  for (const auto& [name, text] : catalogue_files())
    servicetitan::read(text, fmt::format("(built-in) {}", name), "", all, built_in);
  if (!overrides.empty()) servicetitan::read(overrides, file, std::filesystem::path(file).parent_path().string(), all, changes);
  built_in.sort_places();
  changes.sort_places();
  const EntryPlaces places{built_in, changes};
  const auto bad = check_entries(all, places, report);
  LoadedCatalogue out;
  for (const auto& [name, entry] : all.resources) {
    if (bad.contains(name)) continue;
    out.catalogue.resources_.emplace(name, make_resource(entry));
    const auto path = "resources." + name;
    if (!entry.topic.empty()) out.topic_places[name] = places.of(name, path + ".topic");
    if (!entry.hash_fields.empty()) out.hash_places[name] = places.of(name, path + ".hash_fields");
  }
  out.errors = in_order(report.errors());
  out.warnings = in_order(report.warnings());
  return out;
}

core::Result<Catalogue> Catalogue::load(const std::string& overrides, const std::string& file) {
  auto loaded = read(overrides, file);
  if (loaded.errors.empty()) return std::move(loaded.catalogue);
  std::string message;
  for (const auto& problem : loaded.errors) message += (message.empty() ? "" : "\n") + problem.text();
  return core::fail(core::ErrorKind::bad_config, std::move(message));
}

std::string catalogue_reference() {
  return "# Catalogue reference\n\nGenerated from the table that reads the catalogue; a test keeps the two alike. "
         "`catalogue.overrides` "
         "of the configuration names\na file of this form. What it says of a resource is changed, key by key, and a resource that "
         "is "
         "not built in is added;\n`stsync catalog show RESOURCE --config FILE` prints what has become of one.\n" +
         config::reference_tables(catalogue_table().shape());
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
