#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sim/schema.hpp"

namespace stsync::sim {

/// What a field of a simulated record holds.
enum class Kind {
  id,              ///< the record's own
  active,          ///< false in about one row of twenty
  modified,        ///< modifiedOn
  created,         ///< never after modifiedOn
  parent,          ///< id of the row it belongs to
  related,         ///< id of some row of `target`
  related_unique,  ///< id of the row of `target` with the same number
  reference,       ///< an id of something that cannot be read
  number,          ///< small integer
  flag,
  decimal,  ///< JSON decimal, now and then with a long fraction
  money,    ///< decimal as a string
  date_time,
  date,
  duration,
  guid,
  choice,  ///< one of `choices`
  name,    ///< person or company, some not ASCII
  text,    ///< short text, some with escapes
  unique_text,
  filler,  ///< text that brings the record to its size; one per record
  digits,  ///< a number as text
  phone,
  email,
  street,
  city,
  state,
  zip,
  country,
  object,  ///< of `members`
  null,
  empty,  ///< an array without elements
};

/// One field: what stands before its value, and how the value is made.
struct Piece {
  std::string prefix;  ///< `,"name":`
  Kind kind = Kind::null;
  Scalar form = Scalar::int64;  ///< of an id
  int arrays = 0;
  unsigned null_in = 0;  ///< null in one of so many rows; 0: never
  const Resource* target = nullptr;
  std::vector<std::string> choices{};  ///< quoted
  std::vector<Piece> members{};
  std::uint64_t salt = 0;  ///< of its name: the same name holds the same value in another endpoint's row
};

/// The row of an endpoint: one piece a field of an object, a single one without prefix for any other value.
std::vector<Piece> plan_row(const Endpoint& endpoint);

}  // namespace stsync::sim
