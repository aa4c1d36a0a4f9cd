#pragma once
#include <set>
#include <string>

#include "config/shape.hpp"
#include "servicetitan/entry.hpp"

namespace stsync::servicetitan {

/// Where the two sorts of files had what they say.
struct EntryPlaces {
  const config::Reader& built_in;
  const config::Reader& overrides;
  /// Where a person would change it: in the overrides, where they speak of this resource at all.
  config::Where of(const std::string& resource, const std::string& path) const;
};

/// What must hold of the entries once every file has been read: problems go to `report`, each at its place. Gives the names of the
/// entries with problems: no resource can be made of those.
std::set<std::string> check_entries(const CatalogueFile& file, const EntryPlaces& places, config::Report& report);

}  // namespace stsync::servicetitan
