#pragma once
#include <array>
#include <span>
#include <string_view>

namespace stsync::sim {

/// What a field of a simulated record holds.
enum class Kind {
  id,        ///< the record's int64
  active,    ///< false in about one row of twenty
  modified,  ///< modifiedOn
  created,   ///< never after modifiedOn
  ref,       ///< another record's int64
  ref_or_null,
  null,          ///< always null
  number,        ///< small integer
  flag,          ///< boolean
  decimal,       ///< JSON decimal, now and then with a long fraction
  money,         ///< decimal as a string
  date,          ///< date-time
  date_or_null,  ///
  choice,        ///< one of `choices`, separated by "|"
  name,          ///< person or company, some not ASCII
  text,          ///< short text, some with escapes
  filler,        ///< text that brings the record to its size; one per resource
  digits,        ///< a number as text
  phone,
  email,
  address,        ///< object
  named,          ///< {"id","name"} or null
  ids,            ///< array of int64
  strings,        ///< array of text
  custom_fields,  ///< array of {"typeId","name","value"}
  external_data,  ///< array of {"key","value"}
  items,          ///< array of invoice lines
};

struct Field {
  std::string_view name;
  Kind kind;
  std::string_view choices = {};
};

/// One readable resource of the simulated vendor.
struct Resource {
  std::string_view name;     ///< as stsync calls it: "jpm.jobs"
  std::string_view module;   ///< "jpm/v2"
  std::string_view path;     ///< "export/jobs", after the tenant
  bool feed = true;          ///< export feed, else a list
  std::string_view sorts{};  ///< fields that `sort` takes, separated by "|"; empty: no such parameter
  std::span<const Field> fields;
};

std::span<const Resource> resources();
/// nullptr when there is none.
const Resource* find_resource(std::string_view name) noexcept;

}  // namespace stsync::sim
