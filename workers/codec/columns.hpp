#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"

namespace stsync::codec {

/// The columns of rows that come as arrays of cells, and what makes objects of them again: [1,"a"] becomes {"Id":1,"Name":"a"}.
/// Only brackets change and names come in; cells, and the blanks between them, stay as they are. Immutable, any thread.
class Columns {
 public:
  static constexpr std::size_t kMost = 2000;

  /// From the "fields" of an answer, [{"name":"Id", …}, …], as raw JSON that cut_page() has seen. A name that was there before gets
  /// "_2", "_3" … so that no cell hides another. malformed: no array of at most kMost objects, each with a name.
  static core::Result<Columns> read(std::string_view fields);

  /// As JSON strings, in their order.
  const std::vector<std::string>& names() const noexcept { return names_; }
  /// The names, a line each: alike for layouts that are alike, and only for them.
  std::string layout() const;

  /// How many cells a row has; SIZE_MAX when it is no array. `row`: raw JSON that cut_page() has seen.
  static std::size_t cells(std::string_view row);
  /// Appends a row of as many cells as there are names as an object.
  void append(std::string& out, std::string_view row) const;
  /// How many bytes append() adds for it.
  std::size_t size(std::string_view row) const noexcept { return row.size() + more_; }

 private:
  std::vector<std::string> names_;
  std::size_t more_ = 0;  ///< bytes that an object has more than an array
};

}  // namespace stsync::codec
