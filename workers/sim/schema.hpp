#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stsync::sim {

/// The files of tables/, built in. scripts/sim-tables makes them from the vendor's specifications and says what their lines mean.
std::span<const std::pair<std::string_view, std::string_view>> schema_tables();

/// What a JSON value of the vendor is.
enum class Scalar {
  int32,
  int64,
  decimal,
  real,
  boolean,
  string,
  date,
  date_time,
  guid,
  duration,
  email,
  phone,
  html,
  multiline,
  any,
  choice,  ///< one of an enumeration
  object
};

struct Type;

/// The type of one value.
struct TypeRef {
  Scalar kind = Scalar::any;
  int arrays = 0;  ///< how many "[]" stand around it
  const Type* object = nullptr;
  const std::vector<std::string>* choices = nullptr;
  bool nullable = false;
  bool optional = false;  ///< may be left out
};

struct Field {
  std::string name;
  TypeRef type;
};

struct Type {
  std::string name;
  std::vector<Field> fields;
  const Field* find(std::string_view field) const noexcept;
};

enum class Role { export_feed, list, children, get, report };
enum class Shape { page, envelope, array, object, scalar, binary };

struct Parameter {
  std::string name;
  TypeRef type;
  bool required = false;
};

struct Resource;

/// One readable endpoint of the vendor.
struct Endpoint {
  const Resource* resource = nullptr;
  Role role = Role::list;
  Shape shape = Shape::page;
  std::string method;
  std::string path;                   ///< "/jpm/v2/tenant/{tenant}/jobs/{id}/notes"
  std::vector<std::string> segments;  ///< of the path
  TypeRef row;                        ///< of one record; files have none
  std::string key;                    ///< as the catalogue writes it: "id", "$id+#row" …
  const Resource* parent = nullptr;
  std::string scope;                                       ///< empty: not known
  std::vector<std::pair<std::string, std::string>> binds;  ///< parameter, field of the parent's row or "$parameter" of the parent's
  std::vector<Parameter> parameters;
  std::vector<std::string> sorts;
  std::vector<std::string> members;  ///< of its envelope beside the rows, where they are unusual
  int first_page = 1;
  std::size_t most_rows = SIZE_MAX;  ///< of a page

  const Parameter* parameter(std::string_view name) const noexcept;
};

/// One kind of record, as stsync's catalogue has it.
struct Resource {
  std::string name;  ///< "jpm.jobs"
  std::string api;   ///< "jpm"
  std::string key;
  std::size_t index = 0;  ///< among all
  std::deque<Endpoint> endpoints;
  std::vector<std::string> bound_fields;  ///< by which its rows are found as parents, where that is not their id

  const Endpoint* endpoint(Role role) const noexcept;
  /// Where all its rows can be read: the feed, else the list, else parent by parent; nullptr where they have to be named.
  const Endpoint* source() const noexcept;
};

/// The vendor's readable API. Immutable, any thread.
class Schema {
 public:
  /// Reads the built-in tables, once.
  static const Schema& get();

  const std::deque<Resource>& resources() const noexcept { return resources_; }
  /// nullptr when there is none.
  const Resource* find(std::string_view name) const noexcept;

  struct Route {
    const Endpoint* endpoint = nullptr;
    std::int64_t tenant = 0;
    std::vector<std::pair<std::string, std::string>> places;  ///< what stands in the path, decoded
  };
  /// Which endpoint a path means; a path without places goes before one with.
  std::optional<Route> route(std::string_view method, std::string_view path) const;

 private:
  Schema();
  void index_routes();

  std::deque<Type> types_;
  std::deque<std::vector<std::string>> choices_;
  std::deque<Resource> resources_;
  std::map<std::string, const Resource*, std::less<>> by_name_;
  std::map<std::string, const Endpoint*, std::less<>> fixed_;  // method and path without the tenant's number
  std::multimap<std::size_t, const Endpoint*> with_places_;    // by number of segments
};

/// "One word of a path template that stands for a value": "{id}" -> "id"; empty for any other.
std::string_view place_name(std::string_view segment) noexcept;

}  // namespace stsync::sim
