#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "config/problem.hpp"

namespace stsync::config {

/// A YAML value that knows its place. Of a map, keys[i] belongs to items[i].
struct Node {
  enum class Kind { null, scalar, list, map };
  struct Key {
    std::string name;
    Where where;
  };
  Kind kind = Kind::null;
  bool quoted = false;  ///< scalar: written with quotes
  std::string text;     ///< scalar
  std::vector<Key> keys;
  std::vector<Node> items;
  Where where;

  /// The value of a key; nullptr when this is no map or has no such key.
  const Node* find(std::string_view key) const noexcept;
  Node* find(std::string_view key) noexcept;
  /// The value of a key, added (null) when there is none. Turns a null node into a map; the node must be one of the two.
  Node& at(const std::string& key, const Where& key_where);
  /// "a list", "the text 'x'": for messages. Long texts are cut, control characters shown.
  std::string described() const;
};

struct YamlLimits {
  std::size_t bytes = 1U << 20U;
  std::size_t nodes = 200'000;
  std::size_t depth = 32;
};

/// Parses one document. Anchors, aliases, tags, duplicate keys, keys that are no text and everything beyond the limits are errors:
/// they go to `report`, and the answer is null.
Node parse_yaml(const std::string& text, const std::shared_ptr<const Source>& source, Report& report,
                const YamlLimits& limits = {});

/// A file's text, or an error at `blame`. Refuses what is no regular file or larger than `limit` bytes.
bool read_file(const std::string& path, std::size_t limit, std::string& text, const Where& blame, Report& report);

/// The node as YAML text, block style, two blanks a level.
std::string to_yaml(const Node& node);

}  // namespace stsync::config
