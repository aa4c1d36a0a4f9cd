#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/secret_ref.hpp"
#include "config/shape.hpp"

namespace stsync::config {

/// The fields of a mapping that fills a T. From one row follow the parser, the check of unknown keys, the default in the
/// reference, the JSON Schema and the printed form.
template <class T>
class Table {
 public:
  explicit Table(std::string title) { shape_.title = std::move(title); }

  Table& text(std::string name, std::string T::* member, std::string help, std::string expects = {}, std::string pattern = {}) {
    ValueShape value{.kind = ValueShape::Kind::text, .choices = {}, .pattern = std::move(pattern), .expects = std::move(expects)};
    return scalar(
        std::move(name), member, std::move(help), std::move(value),
        [](const Node& n, const ValueShape& s, Reader& r) { return read_text(n, s, r); }, hide_userinfo);
  }
  /// A file or directory: relative to the file that names it.
  Table& path(std::string name, std::string T::* member, std::string help) {
    ValueShape value{.kind = ValueShape::Kind::text, .choices = {}, .pattern = {}, .expects = "a path"};
    return scalar(
        std::move(name), member, std::move(help), std::move(value),
        [](const Node& n, const ValueShape& s, Reader& r) -> std::optional<std::string> {
          auto text = read_text(n, s, r);
          return text ? std::optional(resolve_path(*text, n.where)) : std::nullopt;
        },
        [](const std::string& v) { return v; });
  }
  Table& choice(std::string name, std::string T::* member, std::vector<std::string> choices, std::string help) {
    ValueShape value{.kind = ValueShape::Kind::choice, .choices = std::move(choices), .pattern = {}, .expects = {}};
    return scalar(
        std::move(name), member, std::move(help), std::move(value),
        [](const Node& n, const ValueShape& s, Reader& r) { return read_text(n, s, r); }, [](const std::string& v) { return v; });
  }
  template <class Int>
  Table& integer(std::string name, Int T::* member, double low, double high, std::string help) {
    return scalar(
        std::move(name), member, std::move(help), bounded(ValueShape::Kind::integer, low, high),
        [](const Node& n, const ValueShape& s, Reader& r) -> std::optional<Int> {
          const auto v = read_integer(n, s, r);
          return v ? std::optional(static_cast<Int>(*v)) : std::nullopt;
        },
        [](Int v) { return std::to_string(v); });
  }
  Table& number(std::string name, double T::* member, double low, double high, std::string help) {
    return scalar(std::move(name), member, std::move(help), bounded(ValueShape::Kind::number, low, high), read_number,
                  format_number);
  }
  Table& boolean(std::string name, bool T::* member, std::string help) {
    return scalar(
        std::move(name), member, std::move(help), bounded(ValueShape::Kind::boolean, 0, 0),
        [](const Node& n, const ValueShape&, Reader& r) { return read_boolean(n, r); },
        [](bool v) { return std::string(v ? "true" : "false"); });
  }
  Table& duration(std::string name, core::Duration T::* member, core::Duration low, core::Duration high, std::string help) {
    return scalar(std::move(name), member, std::move(help),
                  bounded(ValueShape::Kind::duration, static_cast<double>(low.count()), static_cast<double>(high.count())),
                  read_duration, format_duration);
  }
  /// One that need not be given; then it is not printed either.
  Table& duration(std::string name, std::optional<core::Duration> T::* member, core::Duration low, core::Duration high,
                  std::string help) {
    return scalar(std::move(name), member, std::move(help),
                  bounded(ValueShape::Kind::duration, static_cast<double>(low.count()), static_cast<double>(high.count())),
                  read_duration, [](const std::optional<core::Duration>& d) { return d ? format_duration(*d) : std::string(); });
  }
  Table& size(std::string name, std::uint64_t T::* member, std::uint64_t low, std::uint64_t high, std::string help) {
    return scalar(std::move(name), member, std::move(help),
                  bounded(ValueShape::Kind::size, static_cast<double>(low), static_cast<double>(high)), read_size, format_size);
  }
  Table& texts(std::string name, std::vector<std::string> T::* member, std::string help) {
    return row(
        {std::move(name), std::move(help), bounded(ValueShape::Kind::texts, 0, 0), ""},
        [member](const Node& node, const ValueShape& shape, T& target, Reader& reader) {
          if (auto list = read_texts(node, shape, reader)) target.*member = std::move(*list);
        },
        [member](const T& target) { return list_node(target.*member); });
  }
  /// As texts(), each a file: relative to the file that names it.
  Table& paths(std::string name, std::vector<std::string> T::* member, std::string help) {
    return row(
        {std::move(name), std::move(help), bounded(ValueShape::Kind::texts, 0, 0), ""},
        [member](const Node& node, const ValueShape& shape, T& target, Reader& reader) {
          if (auto list = read_texts(node, shape, reader))
            for (auto& path : *list) (target.*member).push_back(resolve_path(path, node.where));
        },
        [member](const T& target) { return list_node(target.*member); });
  }
  Table& text_map(std::string name, std::map<std::string, std::string> T::* member, std::string help);

  /// Two keys: <name>_file names a file, <name> holds the secret itself.
  Table& secret(const std::string& name, SecretRef T::* member, const std::string& help);

  /// A mapping inside that fills the same T.
  Table& section(std::string name, Table<T> inner, std::string help) {
    FieldShape field{std::move(name), std::move(help), nested(ValueShape::Kind::object, inner.shape()), ""};
    return row(
        std::move(field),
        [inner](const Node& node, const ValueShape&, T& target, Reader& reader) { inner.read(node, target, reader); },
        [inner](const T& target) { return inner.write(target); });
  }
  template <class U>
  Table& object(std::string name, U T::* member, Table<U> inner, std::string help) {
    FieldShape field{std::move(name), std::move(help), nested(ValueShape::Kind::object, inner.shape()), ""};
    return row(
        std::move(field),
        [inner, member](const Node& node, const ValueShape&, T& target, Reader& reader) {
          inner.read(node, target.*member, reader);
        },
        [inner, member](const T& target) { return inner.write(target.*member); });
  }
  template <class U>
  Table& optional(std::string name, std::optional<U> T::* member, Table<U> inner, std::string help) {
    FieldShape field{std::move(name), std::move(help), nested(ValueShape::Kind::object, inner.shape()), ""};
    return row(
        std::move(field),
        [inner, member](const Node& node, const ValueShape&, T& target, Reader& reader) {
          if (node.kind == Node::Kind::null) return;
          if (!(target.*member)) (target.*member).emplace();  // what is there already is changed, not replaced
          inner.read(node, *(target.*member), reader);
        },
        [inner, member](const T& target) { return target.*member ? inner.write(*(target.*member)) : Node{}; });
  }
  template <class U>
  Table& objects(std::string name, std::vector<U> T::* member, Table<U> inner, std::string help) {
    FieldShape field{std::move(name), std::move(help), nested(ValueShape::Kind::objects, inner.shape()), ""};
    return row(
        std::move(field),
        [inner, member](const Node& node, const ValueShape&, T& target, Reader& reader) {
          if (is_list(node, reader)) inner.read_list(node, target.*member, reader);
        },
        [inner, member](const T& target) {
          Node node;
          node.kind = Node::Kind::list;
          for (const auto& element : target.*member) node.items.push_back(inner.write(element));
          return node;
        });
  }
  /// A mapping whose keys are names; each element takes over its own into `key`. Elements already there are changed, not replaced.
  template <class U>
  Table& object_map(std::string name, std::map<std::string, U> T::* member, std::string U::* key, Table<U> inner,
                    std::string placeholder, std::string help);

  /// The fields of a part of T, on the same level.
  template <class U>
  Table& include(U T::* member, const Table<U>& part) {
    for (std::size_t i = 0; i < part.rows_.size(); ++i)
      row(
          part.shape_.fields[i],
          [member, read = part.rows_[i].read](const Node& node, const ValueShape& shape, T& target, Reader& reader) {
            read(node, shape, target.*member, reader);
          },
          [member, write = part.rows_[i].write](const T& target) { return write(target.*member); });
    return *this;
  }

  /// Marks the field added last: an element of a list or map must have it.
  Table& required() {
    shape_.fields.back().required = true;
    return *this;
  }

  void read(const Node& node, T& target, Reader& reader) const {
    reader.note(node.where);
    if (!is_map(node, reader)) return;
    check_keys(node, shape_, reader);
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const auto& field = shape_.fields[i];
      const auto* value = node.find(field.name);
      if (value == nullptr) continue;
      const Reader::Step step(reader, field.name);
      reader.note(value->where);
      if (value->kind == Node::Kind::null && field.required) reader.mismatch(*value, expectation(field.value));
      // A key with nothing behind it keeps its default, so that a section can be commented out line by line.
      if (value->kind != Node::Kind::null) rows_[i].read(*value, field.value, target, reader);
    }
  }
  /// Appends the elements of a list.
  void read_list(const Node& node, std::vector<T>& target, Reader& reader) const {
    for (const auto& item : node.items) {
      const Reader::Step step(reader, target.size());
      target.emplace_back();
      if (item.kind == Node::Kind::null)
        reader.mismatch(item, "a mapping");
      else
        read(item, target.back(), reader);
    }
  }
  Node write(const T& target) const {
    Node node;
    node.kind = Node::Kind::map;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      auto value = rows_[i].write(target);
      if (value.kind == Node::Kind::null) continue;
      node.keys.push_back({shape_.fields[i].name, {}});
      node.items.push_back(std::move(value));
    }
    return node;
  }
  const ObjectShape& shape() const noexcept { return shape_; }

 private:
  template <class U>
  friend class Table;
  struct Row {
    std::function<void(const Node&, const ValueShape&, T&, Reader&)> read;
    std::function<Node(const T&)> write;  ///< null: left out
  };

  static ValueShape bounded(ValueShape::Kind kind, double low, double high) {
    return {.kind = kind, .low = low, .high = high, .choices = {}, .pattern = {}, .expects = {}};
  }
  static ValueShape nested(ValueShape::Kind kind, const ObjectShape& object) {
    auto shape = bounded(kind, 0, 0);
    shape.object = std::make_shared<const ObjectShape>(object);
    return shape;
  }
  static Node list_node(const std::vector<std::string>& texts) {
    Node node;
    if (texts.empty()) return node;
    node.kind = Node::Kind::list;
    for (const auto& text : texts) node.items.push_back(text_node(text));
    return node;
  }

  Table& row(FieldShape field, decltype(Row::read) read, decltype(Row::write) write) {
    shape_.fields.push_back(std::move(field));
    rows_.push_back({std::move(read), std::move(write)});
    return *this;
  }
  template <class V, class Read, class Format>
  Table& scalar(std::string name, V T::* member, std::string help, ValueShape value, Read read, Format format) {
    FieldShape field{std::move(name), std::move(help), std::move(value), format(T{}.*member)};
    return row(
        std::move(field),
        [member, read](const Node& node, const ValueShape& shape, T& target, Reader& reader) {
          if (auto v = read(node, shape, reader)) target.*member = std::move(*v);
        },
        [member, format](const T& target) {
          auto text = format(target.*member);
          return text.empty() ? Node{} : text_node(std::move(text));
        });
  }

  ObjectShape shape_;
  std::vector<Row> rows_;
};

template <class T>
Table<T>& Table<T>::text_map(std::string name, std::map<std::string, std::string> T::* member, std::string help) {
  return row(
      {std::move(name), std::move(help), bounded(ValueShape::Kind::text_map, 0, 0), ""},
      [member](const Node& node, const ValueShape&, T& target, Reader& reader) {
        if (!is_small_map(node, reader)) return;
        for (std::size_t i = 0; i < node.items.size(); ++i) {
          const Reader::Step step(reader, node.keys[i].name);
          reader.note(node.keys[i].where);
          if (auto text = read_text(node.items[i], {}, reader, true)) (target.*member)[node.keys[i].name] = std::move(*text);
        }
      },
      [member](const T& target) {
        Node node;
        for (const auto& [key, value] : target.*member) node.at(key, {}) = text_node(hide_secret(key, value));
        return node;
      });
}

template <class T>
Table<T>& Table<T>::secret(const std::string& name, SecretRef T::* member, const std::string& help) {
  ValueShape path{.kind = ValueShape::Kind::text, .choices = {}, .pattern = {}, .expects = "a path"};
  row(
      {name + "_file", "File that holds " + help + "; read again when it changes.", path, ""},
      [member](const Node& node, const ValueShape& shape, T& target, Reader& reader) {
        if (auto text = read_text(node, shape, reader)) (target.*member).file = resolve_path(*text, node.where);
      },
      [member](const T& target) { return (target.*member).file.empty() ? Node{} : text_node((target.*member).file); });
  ValueShape value{.kind = ValueShape::Kind::text, .choices = {}, .pattern = {}, .expects = "a text"};
  return row(
      {.name = name, .help = "The same written here: for the simulator only.", .value = value, .fallback = "", .secret = true},
      [member](const Node& node, const ValueShape& shape, T& target, Reader& reader) {
        if (auto text = read_text(node, shape, reader, true)) (target.*member).value = core::Secret(std::move(*text));
      },
      [member](const T& target) { return (target.*member).value.empty() ? Node{} : text_node("***"); });
}

template <class T>
template <class U>
Table<T>& Table<T>::object_map(std::string name, std::map<std::string, U> T::* member, std::string U::* key, Table<U> inner,
                               std::string placeholder, std::string help) {
  auto shape = nested(ValueShape::Kind::object_map, inner.shape());
  shape.placeholder = std::move(placeholder);
  return row(
      {std::move(name), std::move(help), std::move(shape), ""},
      [inner, member, key](const Node& node, const ValueShape&, T& target, Reader& reader) {
        if (!is_small_map(node, reader)) return;
        for (std::size_t i = 0; i < node.items.size(); ++i) {
          const Reader::Step step(reader, node.keys[i].name);
          auto& element = (target.*member)[node.keys[i].name];
          element.*key = node.keys[i].name;
          inner.read(node.items[i], element, reader);
          reader.note(node.keys[i].where);  // what is wrong with it as a whole is best shown at its name
        }
      },
      [inner, member](const T& target) {
        Node node;
        for (const auto& [k, element] : target.*member) node.at(k, {}) = inner.write(element);
        return node;
      });
}

}  // namespace stsync::config
