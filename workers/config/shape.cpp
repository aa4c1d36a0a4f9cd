#include "config/shape.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <map>
#include <regex>
#include <tuple>

#include <fmt/format.h>

#include "core/text.hpp"

namespace stsync::config {
namespace {

using Kind = ValueShape::Kind;

constexpr std::size_t kMostNamed = 1000;  ///< entries of a mapping whose keys are free

core::Duration as_duration(double ns) { return core::Duration(static_cast<std::int64_t>(ns)); }

bool within(double value, const ValueShape& shape) {
  return (shape.low == 0 && shape.high == 0) || (value >= shape.low && value <= shape.high);
}

/// std::regex recurses for each character: nothing that a pattern of ours accepts is longer than this.
bool matches(const std::string& text, const std::string& pattern) {
  thread_local std::map<std::string, std::regex> compiled;  // few, and costly to make
  if (text.size() > 512) return false;
  auto at = compiled.find(pattern);
  if (at == compiled.end()) at = compiled.emplace(pattern, std::regex(pattern)).first;
  return std::regex_match(text, at->second);
}

template <class Format>
std::string range(std::string_view what, const ValueShape& shape, Format format) {
  if (shape.low == 0 && shape.high == 0) return std::string(what);
  return fmt::format("{} from {} to {}", what, format(shape.low), format(shape.high));
}

}  // namespace

Reader::Step::Step(Reader& reader, std::string_view name) : reader_(reader), size_(reader.path_.size()) {
  if (!reader.path_.empty()) reader.path_ += '.';
  reader.path_ += name;
}

Reader::Step::Step(Reader& reader, std::size_t index) : reader_(reader), size_(reader.path_.size()) {
  reader.path_ += fmt::format("[{}]", index);
}

void Reader::sort_places() {
  std::sort(places_.begin(), places_.end(),
            [](const Place& a, const Place& b) { return std::tie(a.path, a.order) < std::tie(b.path, b.order); });
}

const Reader::Place* Reader::find(const std::string& path) const {
  const auto after =
      std::upper_bound(places_.begin(), places_.end(), path, [](const std::string& p, const Place& q) { return p < q.path; });
  if (after == places_.begin() || std::prev(after)->path != path) return nullptr;
  return &*std::prev(after);
}

Where Reader::place(std::string path) const {
  while (true) {
    if (const auto* found = find(path)) return found->where;
    if (path.empty()) return {};
    const auto cut = path.find_last_of(".[");
    path.resize(cut == std::string::npos ? 0 : cut);
  }
}

bool Reader::has(const std::string& path) const { return find(path) != nullptr; }

void Reader::mismatch(const Node& node, std::string_view expected, bool secret) {
  const auto found = secret && node.kind == Node::Kind::scalar ? std::string("a text") : node.described();
  report.error(node.where, fmt::format("{}: found {}, expected {}", path_.empty() ? "the file" : path_, found, expected));
}

std::string expectation(const ValueShape& shape) {
  switch (shape.kind) {
    case Kind::text:
      return shape.expects.empty() ? "a text" : shape.expects;
    case Kind::integer:
      return range("a whole number", shape, format_number);
    case Kind::number:
      return range("a number", shape, format_number);
    case Kind::boolean:
      return "true or false";
    case Kind::duration:
      return range("a duration (100ms, 30s, 15m, 24h, 7d)", shape, [](double ns) { return format_duration(as_duration(ns)); });
    case Kind::size:
      return range("a size (64KiB, 16MiB, 2GiB)", shape,
                   [](double bytes) { return format_size(static_cast<std::uint64_t>(bytes)); });
    case Kind::choice:
      return fmt::format("one of {}", fmt::join(shape.choices, ", "));
    case Kind::texts:
      return "a list of texts";
    case Kind::text_map:
      return "a mapping of texts";
    case Kind::object:
    case Kind::object_map:
      return "a mapping";
    case Kind::objects:
      return "a list of mappings";
  }
  return {};
}

std::optional<std::string> read_text(const Node& node, const ValueShape& shape, Reader& reader, bool secret) {
  if (node.kind != Node::Kind::scalar || node.text.empty()) {
    reader.mismatch(node, expectation(shape), secret);
    return std::nullopt;
  }
  if (shape.kind == Kind::choice && std::find(shape.choices.begin(), shape.choices.end(), node.text) == shape.choices.end()) {
    const auto near = core::nearest(node.text, shape.choices);
    reader.mismatch(node, expectation(shape) + (near ? fmt::format(" (did you mean '{}'?)", *near) : ""), secret);
    return std::nullopt;
  }
  if (!shape.pattern.empty() && !matches(node.text, shape.pattern)) {
    reader.mismatch(node, fmt::format("{} ({})", expectation(shape), shape.pattern), secret);
    return std::nullopt;
  }
  return node.text;
}

std::optional<std::int64_t> read_integer(const Node& node, const ValueShape& shape, Reader& reader) {
  const auto value = node.kind == Node::Kind::scalar && !node.quoted ? core::parse_int(node.text) : std::nullopt;
  if (value && within(static_cast<double>(*value), shape)) return value;
  reader.mismatch(node, expectation(shape));
  return std::nullopt;
}

std::optional<double> read_number(const Node& node, const ValueShape& shape, Reader& reader) {
  double value = 0;
  const auto* end = node.text.data() + node.text.size();
  const auto [at, ec] = std::from_chars(node.text.data(), end, value);
  if (node.kind == Node::Kind::scalar && !node.quoted && ec == std::errc() && at == end && std::isfinite(value) &&
      within(value, shape))
    return value;
  reader.mismatch(node, expectation(shape));
  return std::nullopt;
}

std::optional<bool> read_boolean(const Node& node, Reader& reader) {
  if (node.kind == Node::Kind::scalar && !node.quoted) {
    for (const auto* yes : {"true", "on", "yes"})
      if (node.text == yes) return true;
    for (const auto* no : {"false", "off", "no"})
      if (node.text == no) return false;
  }
  reader.mismatch(node, "true or false");
  return std::nullopt;
}

std::optional<core::Duration> read_duration(const Node& node, const ValueShape& shape, Reader& reader) {
  const auto value = node.kind == Node::Kind::scalar ? parse_duration(node.text) : std::nullopt;
  if (value && within(static_cast<double>(value->count()), shape)) return value;
  reader.mismatch(node, expectation(shape));
  return std::nullopt;
}

std::optional<std::uint64_t> read_size(const Node& node, const ValueShape& shape, Reader& reader) {
  const auto value = node.kind == Node::Kind::scalar ? parse_size(node.text) : std::nullopt;
  if (value && within(static_cast<double>(*value), shape)) return value;
  reader.mismatch(node, expectation(shape));
  return std::nullopt;
}

std::optional<std::vector<std::string>> read_texts(const Node& node, const ValueShape& shape, Reader& reader) {
  if (node.kind == Node::Kind::scalar && !node.text.empty()) return std::vector<std::string>{node.text};
  if (node.kind != Node::Kind::list) {
    reader.mismatch(node, expectation(shape));
    return std::nullopt;
  }
  std::vector<std::string> out;
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const Reader::Step step(reader, i);
    reader.note(node.items[i].where);
    if (auto text = read_text(node.items[i], {}, reader)) out.push_back(std::move(*text));
  }
  return out;
}

bool is_map(const Node& node, Reader& reader) {
  if (node.kind == Node::Kind::scalar || node.kind == Node::Kind::list) reader.mismatch(node, "a mapping");
  return node.kind == Node::Kind::map;
}

bool is_small_map(const Node& node, Reader& reader) {
  if (!is_map(node, reader)) return false;
  if (node.items.size() <= kMostNamed) return true;
  reader.report.error(node.where,
                      fmt::format("{}: found {} entries, expected at most {}", reader.path(), node.items.size(), kMostNamed));
  return false;
}

bool is_list(const Node& node, Reader& reader) {
  if (node.kind == Node::Kind::scalar || node.kind == Node::Kind::map) reader.mismatch(node, "a list");
  return node.kind == Node::Kind::list;
}

void check_keys(const Node& node, const ObjectShape& shape, Reader& reader) {
  std::vector<std::string> names;
  for (const auto& field : shape.fields) names.push_back(field.name);
  const auto within_what = reader.path().empty() ? std::string() : " in " + reader.path();
  for (const auto& key : node.keys) {
    if (std::find(names.begin(), names.end(), key.name) != names.end()) continue;
    if (reader.report.full()) break;
    const auto near = core::nearest(std::string_view(key.name).substr(0, 100), names);
    reader.report.error(key.where, fmt::format("unknown key '{}'{}, {}", core::printable(key.name, 80), within_what,
                                               near ? fmt::format("did you mean '{}'?", *near)
                                                    : fmt::format("expected one of {}", fmt::join(names, ", "))));
  }
  for (const auto& field : shape.fields)
    if (field.required && node.find(field.name) == nullptr)
      reader.report.error(node.where,
                          fmt::format("'{}' is missing{}, expected {}", field.name, within_what, expectation(field.value)));
}

Node text_node(std::string text) {
  Node node;
  node.kind = Node::Kind::scalar;
  node.text = std::move(text);
  return node;
}

}  // namespace stsync::config
