#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codec/columns.hpp"
#include "codec/page.hpp"
#include "codec/redact.hpp"
#include "core/error.hpp"

namespace stsync::servicetitan {

/// Where a record stands: what its bytes do not tell but its key may need.
struct RecordContext {
  /// The record as it is to be published; `scratch` may come to hold it.
  std::string_view published(std::string_view record, std::string& scratch) const;

  std::vector<std::pair<std::string, std::string>> parameters;  ///< of the call: the parent's id …
  std::int64_t first_row = 0;                                   ///< of the page, within its list
  std::shared_ptr<const codec::Redactor> redactor{};            ///< what changes records before they are published
  std::shared_ptr<const codec::Columns> columns{};              ///< of a report: its rows are published as objects
  bool operator==(const RecordContext&) const = default;
};

/// How the key of a record is made, from the catalogue: parts joined by "+", each a field ("id", "leadCall.id"), a parameter of
/// the call ("$id"), a word ("=current"), "#row" (its number in the list) or "#hash" (of its bytes). Immutable, any thread.
class KeySpec {
 public:
  KeySpec() : KeySpec("id") {}
  /// `text` must be valid().
  explicit KeySpec(std::string text);
  static bool valid(std::string_view text);
  const std::string& text() const noexcept { return text_; }
  /// Every field that the key is made of.
  std::vector<std::string> fields() const;
  /// The field to cut out of every record with the page; empty: none.
  std::string field() const { return single_field() ? text_ : std::string(); }
  bool single_field() const noexcept { return parts_.size() == 1 && parts_[0].kind == Part::Kind::field; }

  /// Appends the key: the number or text of a single field, else the parts with "/" between them ("%" and "/" inside a part are
  /// percent-encoded). A record that lacks a field is named by a hash of its bytes ("#" and 32 hex digits). Hashes are of the bytes
  /// as they are published: from one of the whole record somebody could guess what was taken out of it.
  void append(std::string& out, std::string_view body, const codec::Record& record, std::size_t row_on_page,
              const RecordContext& context) const;

 private:
  struct Part {
    enum class Kind { field, parameter, literal, row, hash } kind;
    std::string name;
  };
  bool append_part(std::string& out, const Part& part, std::string_view bytes, std::int64_t row,
                   const RecordContext& context) const;

  std::string text_;
  std::vector<Part> parts_;
};

/// Appends one of several parts of a key: "%" and "/" are percent-encoded.
void append_key_part(std::string& out, std::string_view value);
/// Appends "#" and 32 hex digits of the SHA-256 of `bytes`.
void append_hash(std::string& out, std::string_view bytes);

}  // namespace stsync::servicetitan
