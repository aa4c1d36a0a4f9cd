#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/problem.hpp"
#include "core/error.hpp"
#include "servicetitan/resource.hpp"

namespace stsync::servicetitan {

struct LoadedCatalogue;

/// Every resource by name. Immutable after loading.
class Catalogue {
 public:
  /// The catalogue built into the program, with `overrides` (YAML text, may be empty; `file` names it in problems) on top. Finds
  /// everything that is wrong at once.
  static LoadedCatalogue read(const std::string& overrides, const std::string& file);
  /// The same for those who cannot go on with problems: bad_config, one line each.
  static core::Result<Catalogue> load(const std::string& overrides, const std::string& file);
  const Resource* find(std::string_view name) const noexcept;
  const std::map<std::string, Resource, std::less<>>& all() const noexcept { return resources_; }
  /// Names that match a pattern with "*" ("jpm.*"). Those that are not for patterns have to be named.
  std::vector<std::string> expand(std::string_view pattern) const;

 private:
  std::map<std::string, Resource, std::less<>> resources_;
};

/// What reading the catalogue gave.
struct LoadedCatalogue {
  Catalogue catalogue;  ///< without the resources that have errors; for further checks only when there are any
  std::vector<config::Problem> errors, warnings;
  std::map<std::string, config::Where> topic_places;  ///< resource -> where the overrides give it a topic
  std::map<std::string, config::Where> hash_places;   ///< resource -> where they say which of its fields to hash
};

/// The reference page of a catalogue file, Markdown.
std::string catalogue_reference();

}  // namespace stsync::servicetitan
