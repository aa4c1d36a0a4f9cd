#include "codec/redact.hpp"

#include <algorithm>

#include "codec/json_walk.hpp"
#include "codec/page.hpp"
#include "core/error.hpp"
#include "core/text.hpp"

namespace stsync::codec {
namespace {

using Node = Redactor::Node;
using Action = Node::Action;

constexpr std::string_view kHashPrefix = "sha256:";
constexpr std::size_t kHashSize = kHashPrefix.size() + 64 + 2;

std::string hash_of(std::string_view raw, const core::Secret& key) {
  const auto text = json_text(raw);
  const std::string_view value = text ? std::string_view(*text) : raw;
  return key.empty() ? core::sha256_hex(value) : core::hmac_sha256_hex(key, value);
}

/// What an editor makes of a record.
struct Writer {
  std::string& out;
  const core::Secret& key;
  void copy(std::string_view part) { out += part; }
  void hash(std::string_view raw) {
    out += '"';
    out += kHashPrefix;
    out += hash_of(raw, key);
    out += '"';
  }
};

struct Counter {
  std::size_t bytes = 0;
  void copy(std::string_view part) { bytes += part.size(); }
  void hash(std::string_view) { bytes += kHashSize; }
};

/// One way through a record: what is not cut is copied in pieces as long as possible. False: not JSON, or too deep.
template <class Out>
class Editor {
 public:
  Editor(std::string_view record, Out& out) : c_(record), copied_(record.data()), out_(out) {}

  bool run(const Node& root) {
    if (!value(root, 0)) return false;
    c_.blanks();
    cut(c_.at, c_.at);
    return c_.at == c_.end;
  }

 private:
  bool value(const Node& node, unsigned depth) {
    c_.blanks();
    if (!c_.more() || depth > kMaxDepth) return false;
    if (*c_.at == '{') return object(node, depth);
    if (*c_.at == '[') return array(node, depth);
    return c_.scalar();
  }

  bool array(const Node& node, unsigned depth) {
    ++c_.at;
    c_.blanks();
    if (c_.take(']')) return true;
    do {
      if (!value(node, depth + 1)) return false;
      c_.blanks();
    } while (c_.take(','));
    return c_.take(']');
  }

  bool object(const Node& node, unsigned depth) {
    const char* before = c_.at++;  // the brace or comma before a member
    c_.blanks();
    if (c_.take('}')) return true;
    for (bool kept = false;;) {
      c_.blanks();
      const Node* wanted = nullptr;
      if (!name(node, wanted)) return false;
      if (!member(wanted, depth)) return false;
      const char* end = c_.at;
      c_.blanks();
      const bool last = !c_.take(',');
      if (last && !c_.take('}')) return false;
      const char* behind = c_.at - 1;
      if (wanted == nullptr || wanted->action != Action::drop)
        kept = true;
      else if (kept)  // the comma before it goes too
        cut(before, last ? end : behind);
      else
        cut(before + 1, last ? end : behind + 1);
      if (last) return true;
      before = behind;
    }
  }

  /// Stands at a name, leaves at the value.
  bool name(const Node& node, const Node*& wanted) {
    const char* start = c_.at;
    if (!c_.take('"') || !c_.string_rest()) return false;
    wanted = find(node, {start, static_cast<std::size_t>(c_.at - start)});
    c_.blanks();
    if (!c_.take(':')) return false;
    c_.blanks();
    return true;
  }

  static const Node* find(const Node& node, std::string_view quoted) {
    if (node.inside.empty()) return nullptr;
    auto text = quoted.substr(1, quoted.size() - 2);
    std::optional<std::string> decoded;
    if (text.find('\\') != std::string_view::npos) {
      decoded = json_text(quoted);
      if (!decoded) return nullptr;  // no text, so none that a path could say
      text = *decoded;
    }
    const auto at = std::find_if(node.inside.begin(), node.inside.end(), [text](const Node& n) { return n.name == text; });
    return at == node.inside.end() ? nullptr : &*at;
  }

  bool member(const Node* wanted, unsigned depth) {
    if (wanted != nullptr && wanted->action == Action::keep) return value(*wanted, depth + 1);
    const char* start = c_.at;
    if (!walk(c_, kMaxDepth, [](auto, auto) {})) return false;
    const std::string_view raw(start, static_cast<std::size_t>(c_.at - start));
    if (wanted != nullptr && wanted->action == Action::hash && raw != "null") {
      cut(start, c_.at);
      out_.hash(raw);
    }
    return true;
  }

  void cut(const char* from, const char* to) {
    out_.copy({copied_, static_cast<std::size_t>(from - copied_)});
    copied_ = to;
  }

  Cursor c_;
  const char* copied_;  ///< everything before is in `out_` or was cut
  Out& out_;
};

}  // namespace

Redactor::Redactor(const std::vector<std::string>& drop, const std::vector<std::string>& hash, core::Secret key)
    : key_(std::move(key)) {
  for (const auto& path : hash) add(path, Action::hash);
  for (const auto& path : drop) add(path, Action::drop);
}

bool Redactor::valid(std::string_view path) {
  if (path.size() > 256 || std::count(path.begin(), path.end(), '.') > 15) return false;
  if (std::any_of(path.begin(), path.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; })) return false;
  return !path.empty() && path.front() != '.' && path.back() != '.' && path.find("..") == std::string_view::npos;
}

void Redactor::add(std::string_view path, Action action) {
  core::check(valid(path), "a path that the catalogue should have refused");
  auto* node = &root_;
  while (!path.empty()) {
    const auto dot = std::min(path.find('.'), path.size());
    const auto name = path.substr(0, dot);
    path.remove_prefix(std::min(dot + 1, path.size()));
    auto at = std::find_if(node->inside.begin(), node->inside.end(), [name](const Node& n) { return n.name == name; });
    if (at == node->inside.end()) at = node->inside.insert(at, Node{std::string(name), Action::keep, {}});
    node = &*at;
  }
  node->action = action;
}

void Redactor::append(std::string& out, std::string_view record) const {
  Writer writer{out, key_};
  core::check(Editor(record, writer).run(root_), "a record that is not JSON is to be published");
}

std::size_t Redactor::size(std::string_view record) const {
  Counter counter;
  core::check(Editor(record, counter).run(root_), "a record that is not JSON is to be published");
  return counter.bytes;
}

}  // namespace stsync::codec
