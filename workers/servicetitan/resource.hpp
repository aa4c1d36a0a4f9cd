#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.hpp"
#include "servicetitan/record_key.hpp"

namespace stsync::servicetitan {

using Query = std::vector<std::pair<std::string, std::string>>;  ///< not yet percent-encoded

/// What an endpoint is to its resource.
enum class Role {
  export_feed,  ///< continueFrom tokens
  list,         ///< the rows of the tenant
  children,     ///< the rows of one parent
  get,          ///< what was named by id
  report,       ///< rows of a report
};
inline constexpr Role kRoles[] = {Role::export_feed, Role::list, Role::children, Role::get, Role::report};
const char* to_string(Role role);

/// What an endpoint answers.
enum class Shape {
  page,      ///< {"data": […], "hasMore": …, …}
  envelope,  ///< {"data": […]}, everything at once
  array,     ///< […], everything at once
  object,    ///< {…}: one record
  scalar,    ///< any other JSON value: one record
  binary,    ///< a file, or a redirect to one: one record
};
const char* to_string(Shape shape);

/// Endpoints that answer for a stretch of time: which stretches are asked for.
struct Period {
  std::string begin, end;  ///< parameters that name it; empty: the body does
  core::Duration step{};   ///< length of a stretch
  core::Duration back{};   ///< how far before today a full begins
  core::Duration ahead{};  ///< how far after today it ends
  core::Duration again{};  ///< what an incremental reads once more before the watermark: figures that still change
};

/// Names of the places in a path ("{id}") in their order, but the tenant's.
std::vector<std::string> places_of(const std::string& path);

/// One endpoint of the vendor.
struct Endpoint {
  Role role = Role::list;
  std::string method = "GET";
  std::string path;                     ///< "/jpm/v2/tenant/{tenant}/jobs/{id}"
  std::string async_path, result_path;  ///< reports: start without waiting; fetch by token
  Shape shape = Shape::page;
  std::string scope;                 ///< "tn.jpm.jobs:r"; empty: not known
  std::optional<KeySpec> key;        ///< where its rows have another key than the resource's
  std::string modified;              ///< where their time of change stands elsewhere
  Query query;                       ///< fixed parameters: active=Any …
  std::string body;                  ///< of a POST, with {begin} {end} {ids}
  int page_size = 0;                 ///< asked for at first; 0: there is no such parameter
  int max_page_size = 0;             ///< the most that the endpoint gives
  int first_page = 1;                ///< number of the first page
  std::vector<std::string> sorts;    ///< fields that `sort` takes, as far as they are documented
  std::string unique_sort;           ///< "+Id" where that gives a total order; empty: none
  bool modified_filter = false;      ///< takes modifiedOnOrAfter and modifiedBefore
  bool created_filter = false;       ///< takes createdOnOrAfter and createdBefore
  bool ids_filter = false;           ///< takes ids, 50 at most
  bool ids_only = false;             ///< answers nothing without ids
  std::vector<std::string> filters;  ///< further parameters, never sent
  std::string parent;                ///< children: the resource whose rows are the parents
  /// Children: where each parameter comes from: a field of the parent's row, or "$name", a parameter of the parent itself.
  std::vector<std::pair<std::string, std::string>> bind;
  int batch = 1;  ///< children: parents a call
  std::optional<Period> period;
  std::string vary;  ///< a parameter that takes one after the other of `variants`
  std::vector<std::string> variants;
};

/// One kind of record, as users think of it, from config/catalogue/<api>.yaml.
struct Resource {
  std::string name;   ///< "jpm.jobs": <api>.<resource>
  std::string api;    ///< "jpm"
  std::string title;  ///< one line for people
  KeySpec key;
  std::string modified = "modifiedOn";  ///< field with the time of the last change, may be "a.b"; empty: there is none
  bool modified_nullable = false;
  bool explicit_only = false;      ///< a twin, a lookup, files: for those who name it
  std::string topic;               ///< of its records, with placeholders, instead of kafka.topics.records; empty: that
  core::Duration look_back{};      ///< how long before its watermark an incremental begins
  double requests_per_second = 0;  ///< a limit of its own, of each tenant; 0: none
  std::vector<std::string> drop_fields, hash_fields;  ///< paths of codec::Redactor: records are published without them
  bool files = false;          ///< whether its files are read at all, where it has some: they are large and cost a call each
  std::uint64_t max_file = 0;  ///< bytes; larger ones are left out
  std::string first_spec, last_spec;
  std::vector<std::string> quirks;
  std::vector<Endpoint> endpoints;  ///< at most one of a role

  const Endpoint* endpoint(Role role) const noexcept;
  /// What reads all rows: the export feed, else the list, else the children of every parent; nullptr: they have to be named.
  const Endpoint* source() const noexcept;
  /// Whether its records are files.
  bool has_files() const noexcept;
  /// Whether patterns ("jpm.*") mean it too: not what costs a call for every parent.
  bool in_patterns() const noexcept { return !explicit_only && source() != nullptr && source()->role != Role::children; }
};

}  // namespace stsync::servicetitan
