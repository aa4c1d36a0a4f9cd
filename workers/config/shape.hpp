#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/units.hpp"
#include "config/yaml.hpp"

namespace stsync::config {

struct ObjectShape;

/// What one value may be. Bounds of durations are in nanoseconds, of sizes in bytes.
struct ValueShape {
  enum class Kind { text, integer, number, boolean, duration, size, choice, texts, text_map, object, objects, object_map };
  Kind kind = Kind::text;
  double low = 0, high = 0;
  std::vector<std::string> choices;
  std::string pattern;                          ///< text: a regular expression (ECMAScript) for the whole of it
  std::string expects;                          ///< text: how messages and the reference name what fits `pattern`
  std::shared_ptr<const ObjectShape> object{};  ///< object, objects, object_map: what each holds
  std::string placeholder{};                    ///< object_map: what its keys are
};

struct FieldShape {
  std::string name;
  std::string help;
  ValueShape value;
  std::string fallback;   ///< the default as text; empty: none
  bool required = false;  ///< of an element of a list or map: must be there
  bool secret = false;    ///< never shown
};

/// What a mapping holds, for checks, for people and for JSON Schema.
struct ObjectShape {
  std::string title;
  std::vector<FieldShape> fields;
};

/// Where reading reports to, and where each value stood: checks that compare values need that afterwards.
class Reader {
 public:
  explicit Reader(Report& r) : report(r) {}
  Report& report;
  /// The place of a path such as "apps[0].name" (the last one, if several files hold it); of its nearest known ancestor when it
  /// was left out.
  Where place(std::string path) const;
  bool has(const std::string& path) const;
  void note(const Where& where) { places_.push_back({path_, places_.size(), where}); }
  /// Call once after reading and before place() and has().
  void sort_places();

  /// Goes one step down for as long as it lives.
  class Step {
   public:
    Step(Reader& reader, std::string_view name);
    Step(Reader& reader, std::size_t index);
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;
    ~Step() { reader_.path_.resize(size_); }

   private:
    Reader& reader_;
    std::size_t size_;
  };
  const std::string& path() const noexcept { return path_; }
  /// "path: found …, expected …"
  void mismatch(const Node& node, std::string_view expected, bool secret = false);

 private:
  struct Place {
    std::string path;
    std::size_t order = 0;
    Where where;
  };
  const Place* find(const std::string& path) const;

  std::string path_;
  std::vector<Place> places_;
};

// One function a kind of value: what it holds, or nothing and a problem. The shape says the bounds.
std::optional<std::string> read_text(const Node& node, const ValueShape& shape, Reader& reader, bool secret = false);
std::optional<std::int64_t> read_integer(const Node& node, const ValueShape& shape, Reader& reader);
std::optional<double> read_number(const Node& node, const ValueShape& shape, Reader& reader);
std::optional<bool> read_boolean(const Node& node, Reader& reader);
std::optional<core::Duration> read_duration(const Node& node, const ValueShape& shape, Reader& reader);
std::optional<std::uint64_t> read_size(const Node& node, const ValueShape& shape, Reader& reader);
/// The elements of a list of texts; a single text counts as a list of one.
std::optional<std::vector<std::string>> read_texts(const Node& node, const ValueShape& shape, Reader& reader);
/// False and a problem unless the node is of that kind. A null node (a key with nothing behind it) is false without a problem.
bool is_map(const Node& node, Reader& reader);
/// is_map(), and not more than 1,000 entries: for mappings whose keys are free.
bool is_small_map(const Node& node, Reader& reader);
bool is_list(const Node& node, Reader& reader);
/// Problems for keys that the shape does not have, with the nearest one it has, and for missing required ones.
void check_keys(const Node& node, const ObjectShape& shape, Reader& reader);

Node text_node(std::string text);

/// "a whole number from 1 to 12", "one of a, b, c": what a value may be.
std::string expectation(const ValueShape& shape);

/// JSON Schema (draft 07) of a mapping.
std::string json_schema(const ObjectShape& shape);
/// A Markdown page: one table a mapping.
std::string reference_markdown(const ObjectShape& shape);
/// One table a mapping, Markdown: the reference of any file that a table reads.
std::string reference_tables(const ObjectShape& shape);

}  // namespace stsync::config
