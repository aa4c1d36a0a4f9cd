#include "servicetitan/entry_checks.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "codec/redact.hpp"
#include "core/text.hpp"

namespace stsync::servicetitan {
namespace {

bool is_resource_name(const std::string& name) {
  const auto dot = name.find('.');
  return name.size() <= 100 && dot != 0 && dot != std::string::npos && dot + 1 < name.size() &&
         name.find('.', dot + 1) == std::string::npos &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string::npos;
}

constexpr std::size_t kMostFields = 100;

/// The endpoint that reads all rows; see Resource::source().
const EndpointEntry* source_of(const Entry& e) {
  if (e.export_feed) return &*e.export_feed;
  if (e.list && !e.list->ids_only) return &*e.list;
  return e.children ? &*e.children : nullptr;
}

class EntryChecks {
 public:
  EntryChecks(const CatalogueFile& file, const EntryPlaces& places, config::Report& report)
      : file_(file), places_(places), report_(report) {}

  std::set<std::string> run() {
    for (const auto& [name, entry] : file_.resources) {
      entry_ = &entry;
      check(entry);
    }
    return std::move(bad_);
  }

 private:
  void check(const Entry& e) {
    const auto at = "resources." + e.name;
    if (!is_resource_name(e.name))
      return error(at, fmt::format("found '{}', expected a name such as jpm.jobs", core::printable(e.name, 80)));
    check_key(e.key, at + ".key");
    bool any = false;
    for (const auto& [role, member] : kEndpoints) {
      if (!(e.*member)) continue;
      any = true;
      check(role, *(e.*member), fmt::format("{}.{}", at, to_string(role)));
    }
    if (!any) return no_endpoint(e, at);
    check_look_back(e, at + ".look_back");
    check_fields(e, at);
    check_files(e, at);
  }

  /// Most likely a name that was meant to be one of the built-in ones.
  void no_endpoint(const Entry& e, const std::string& at) {
    std::vector<std::string> names;
    for (const auto& [name, other] : file_.resources)
      if (source_of(other) != nullptr || other.get || other.report) names.push_back(name);
    const auto near = core::nearest(e.name, names);
    error(at, "it has no endpoint (no such resource is built in)" + (near ? fmt::format("; did you mean '{}'?", *near) : ""));
  }

  void check_key(const std::string& key, const std::string& at) {
    if (!KeySpec::valid(key))
      error(at, fmt::format("found '{}', expected fields, $parameters, #row or #hash with + between", core::printable(key, 80)));
  }

  void check_look_back(const Entry& e, const std::string& at) {
    if (e.look_back.count() == 0) return;
    const auto* source = source_of(e);
    if (e.export_feed || source == nullptr || (!source->modified_filter && !source->period))
      error(at, fmt::format("{} is not read by windows of time, there is nothing to look back at",
                            e.export_feed ? "an export feed" : "this resource"));
  }

  /// What is said of files wants a resource that has some, and files have no fields.
  void check_files(const Entry& e, const std::string& at) {
    const auto is_file = [&e](const auto& endpoint) {
      const auto& [role, member] = endpoint;
      return e.*member && shape_of(role, *(e.*member)) == Shape::binary;
    };
    const bool has = std::any_of(std::begin(kEndpoints), std::end(kEndpoints), is_file);
    if (!has && e.files) error(at + ".files", "its records are no files");
    if (!has && e.max_file != Entry().max_file) error(at + ".max_file", "its records are no files");
    for (const auto& [list, name] : {std::pair(&e.drop_fields, "drop_fields"), std::pair(&e.hash_fields, "hash_fields")})
      if (has && !list->empty()) error(at + "." + name, "its records are files, they have no fields");
  }

  /// Fields to drop or to hash: what steers stsync, or makes the key that readers see, must stay.
  void check_fields(const Entry& e, const std::string& at) {
    const auto needed = needed_fields(e);
    std::map<std::string, std::string> seen;  // path -> where
    for (const auto& [list, name] : {std::pair(&e.drop_fields, "drop_fields"), std::pair(&e.hash_fields, "hash_fields")}) {
      if (list->size() > kMostFields)
        error(fmt::format("{}.{}", at, name), fmt::format("found {} fields, expected at most {}", list->size(), kMostFields));
      for (std::size_t i = 0; i < std::min(list->size(), kMostFields); ++i)
        check_field((*list)[i], fmt::format("{}.{}[{}]", at, name, i), needed, seen);
    }
  }

  void check_field(const std::string& field, const std::string& at, const std::map<std::string, std::string>& needed,
                   std::map<std::string, std::string>& seen) {
    const auto shown = core::printable(field, 80);
    if (!codec::Redactor::valid(field))
      return error(at, fmt::format("found '{}', expected a path of names such as email or address.street", shown));
    for (const auto& [path, what] : needed)
      if (overlap(field, path)) return error(at, fmt::format("found '{}', which is {} ('{}')", shown, what, path));
    for (const auto& [path, where] : seen)
      if (overlap(field, path))
        return error(at, fmt::format("found '{}', which is or leads through '{}' of {}", shown, path, where));
    seen.emplace(field, at);
  }

  static std::map<std::string, std::string> needed_fields(const Entry& e) {
    std::map<std::string, std::string> out;
    const auto add_key = [&out](const std::string& key) {
      if (KeySpec::valid(key))
        for (auto& field : KeySpec(key).fields()) out.emplace(std::move(field), "part of the record's key");
    };
    const auto add_modified = [&out](const std::string& field) {
      if (!field.empty() && field != "none") out.emplace(field, "the time of the record's last change");
    };
    add_key(e.key);
    add_modified(e.modified);
    for (const auto& [role, member] : kEndpoints)
      if (const auto& endpoint = e.*member) {
        if (!endpoint->key.empty()) add_key(endpoint->key);
        add_modified(endpoint->modified);
      }
    return out;
  }

  /// One is the other or leads through it.
  static bool overlap(const std::string& a, const std::string& b) {
    return (a + ".").starts_with(b + ".") || (b + ".").starts_with(a + ".");
  }

  void check(Role role, const EndpointEntry& e, const std::string& at) {
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
    if (!e.parent.empty()) check_parent(e.parent, at + ".parent");
    if (role == Role::export_feed || role == Role::list || role == Role::children)
      for (const auto& place : places_of(e.path))
        if (!e.bind.contains(place)) error(at + ".path", fmt::format("nothing fills {{{}}}: it is not in 'bind'", place));
    for (const auto* ours :
         {"page", "pageSize", "includeTotal", "sort", "from", "includeRecentChanges", "modifiedOnOrAfter", "modifiedBefore"})
      if (e.query.contains(ours)) error(at + ".query." + ours, "stsync sends this parameter itself");
  }

  /// Parents must be there, have rows, and not be their own parents in the end.
  void check_parent(const std::string& name, const std::string& at) {
    std::set<std::string> seen{entry_->name};
    for (auto next = name;;) {
      const auto parent = file_.resources.find(next);
      if (parent == file_.resources.end()) return error(at, fmt::format("there is no resource '{}'", core::printable(next, 80)));
      if (!seen.insert(next).second) return error(at, fmt::format("the parents of {} lead back to it", entry_->name));
      const auto* source = source_of(parent->second);
      if (source == nullptr) return error(at, fmt::format("'{}' has no rows: neither export, list nor children", next));
      const bool goes_on = source == (parent->second.children ? &*parent->second.children : nullptr);
      if (!goes_on || source->parent.empty()) return;
      next = source->parent;
    }
  }

  void error(const std::string& path, const std::string& message) {
    bad_.insert(entry_->name);
    report_.error(places_.of(entry_->name, path), path + ": " + message);
  }

  const CatalogueFile& file_;
  const EntryPlaces& places_;
  config::Report& report_;
  const Entry* entry_ = nullptr;
  std::set<std::string> bad_;
};

}  // namespace

config::Where EntryPlaces::of(const std::string& resource, const std::string& path) const {
  return (overrides.has("resources." + resource) ? overrides : built_in).place(path);
}

std::set<std::string> check_entries(const CatalogueFile& file, const EntryPlaces& places, config::Report& report) {
  return EntryChecks(file, places, report).run();
}

}  // namespace stsync::servicetitan
