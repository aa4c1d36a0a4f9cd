#pragma once
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/table.hpp"
#include "servicetitan/resource.hpp"

namespace stsync::servicetitan {

// A resource as the catalogue's files write it; entries of later files change those of earlier ones field by field.

inline constexpr std::uint64_t kLargestFile = 15ull << 20;  ///< bytes; with its key and headers it must fit in one message

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
  std::string name, title, specs, key = "id", modified = "modifiedOn", topic;
  bool modified_nullable = false, explicit_only = false, files = false;
  std::uint64_t max_file = kLargestFile;
  core::Duration look_back{};
  double requests_per_second = 0;
  std::vector<std::string> quirks, drop_fields, hash_fields;
  std::optional<EndpointEntry> export_feed, list, children, get, report;
};

inline constexpr std::pair<Role, std::optional<EndpointEntry> Entry::*> kEndpoints[] = {{Role::export_feed, &Entry::export_feed},
                                                                                        {Role::list, &Entry::list},
                                                                                        {Role::children, &Entry::children},
                                                                                        {Role::get, &Entry::get},
                                                                                        {Role::report, &Entry::report}};

struct CatalogueFile {
  std::map<std::string, Entry> resources;
};

/// The fields of a catalogue file.
const config::Table<CatalogueFile>& catalogue_table();

Shape shape_of(Role role, const EndpointEntry& e);
/// The resource that an entry describes; one that check_entries() has found nothing wrong with.
Resource make_resource(const Entry& e);

}  // namespace stsync::servicetitan
