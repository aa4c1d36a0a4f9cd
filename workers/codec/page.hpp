#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/body.hpp"
#include "core/error.hpp"

namespace stsync::codec {

class Columns;
class Redactor;

/// Bytes of a body: views would not survive the body being moved.
struct Slice {
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
  bool empty() const noexcept { return length == 0; }
  std::string_view in(std::string_view body) const noexcept { return body.substr(offset, length); }
};

/// One record of a page and the two fields of it that decide something. Slices hold the raw JSON value ("12", "\"a\"", "null");
/// they are empty when the field is absent.
struct Record {
  Slice bytes;
  Slice key;
  Slice modified;
  std::uint32_t size = 0;  ///< bytes as it is to be published
};

/// A page as received, checked from its first to its last byte (RFC 8259 and UTF-8) and cut into the exact bytes of its records.
/// The members of the envelope hold raw JSON values.
struct Page {
  std::vector<Record> records;
  bool has_data = false;  ///< there are rows: "data" is an array, or the body is one
  bool bare = false;      ///< no envelope
  Slice has_more, continue_from, page, page_size, total_count, fields;
  std::shared_ptr<const Columns> columns{};  ///< of rows of cells, where they were asked for
  /// Names of members at the top level of rows, raw, where they were asked for (a few may repeat): of every kEveryRow-th row, and
  /// of the first row of each number of members. At most kMostNames, of each the first kLongestName bytes.
  std::vector<std::string> names;
};

/// What a body should look like.
enum class BodyShape {
  rows,    ///< an envelope with "data", or a bare array
  object,  ///< one record: the object itself
  value,   ///< one record: any JSON value
  file,    ///< one record: the body, whatever it is
};

/// Paths of the two record fields to look for: "id", "leadCall.id"; empty: not wanted.
struct RecordFields {
  std::string key = "id";
  std::string modified = "modifiedOn";
  BodyShape shape = BodyShape::rows;
  bool any_record = false;                     ///< rows need not be objects
  bool columns = false;                        ///< rows are arrays of cells that the envelope's "fields" names (reports)
  bool names = false;                          ///< whether to tell names of members
  std::int64_t tenant = 0;                     ///< whose data it must be, as far as it tells; 0: anybody's
  std::shared_ptr<const Redactor> redactor{};  ///< what changes records before they are published; null: nothing
};

inline constexpr unsigned kMaxDepth = 128;
inline constexpr std::size_t kEveryRow = 16;
inline constexpr std::size_t kMostNames = 500;
inline constexpr std::size_t kLongestName = 256;

/// One pass over the body, no copies. `malformed` with the byte offset for anything that is not JSON, nests deeper than
/// kMaxDepth, has rows that are not objects (or do not fit their columns), is not of the shape asked for, or repeats an envelope
/// member it uses. A bare array is a page with data and without an envelope: some lists answer one or the other. `tenant_mismatch`
/// where the envelope or a row has a number `tenantId` that is not fields.tenant. `too_large` for bodies of more than kMaxPage
/// bytes and for more than `max_records`. A file is not looked into. Any thread.
core::Result<Page> cut_page(std::string_view body, const RecordFields& fields, std::size_t max_records = SIZE_MAX);

inline constexpr std::size_t kMaxPage = 0xffffffff;  ///< bytes: what a Slice can tell

/// The same with little of the body in memory at a time. `on_record` sees each record when it is cut, while it is there, and may
/// let its fields point elsewhere; an error of its own ends the cut.
using OnRecord = std::function<core::Result<void>(Record&)>;
core::Result<Page> cut_large_page(const core::Body& body, const RecordFields& fields, std::size_t max_records,
                                  const OnRecord& on_record);

/// Whether `text` is one JSON value (RFC 8259, UTF-8, depth up to `max_depth`): the strict gate before lenient parsers.
core::Result<void> check_json(std::string_view text, unsigned max_depth = kMaxDepth);

/// The members of a JSON object at its top level, raw values by name; `malformed` for anything that is not one JSON object. A
/// repeated name keeps its last value. For small bodies (tokens, errors).
core::Result<std::map<std::string, std::string_view>> json_members(std::string_view text);

/// The raw value of a field of one JSON object that check_json() or cut_page() has seen, found by a path of names ("leadCall.id");
/// empty when there is none.
std::string_view json_field(std::string_view object, std::string_view path);

/// The text of a raw JSON string without escapes ("\"a\"" -> "a"), decoded when it has some; nothing when it is no string or
/// stands for no text (half of a surrogate pair: "\udc00").
std::optional<std::string> json_text(std::string_view raw);
/// Appends `text` (UTF-8) as a JSON string.
void append_json_text(std::string& out, std::string_view text);
/// A raw JSON integer that fits 64 bits.
std::optional<std::int64_t> json_int(std::string_view raw);

}  // namespace stsync::codec
