#include "config/yaml.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <unordered_set>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "core/error.hpp"
#include "core/text.hpp"

namespace stsync::config {
namespace {

/// Leaves yaml-cpp's recursion at once when a limit is met.
struct Stop {
  Where where;
  std::string message;
};

class Builder final : public YAML::EventHandler {
 public:
  Builder(std::shared_ptr<const Source> source, const YamlLimits& limits) : source_(std::move(source)), limits_(limits) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { value(mark, anchor, Node::Kind::null, "", false); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { refuse(mark, "aliases (*name) are not supported"); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& text) override {
    if (!tag.empty() && tag != "?" && tag != "!") refuse(mark, "tags (!name) are not supported");
    value(mark, anchor, Node::Kind::scalar, text, tag == "!");
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(mark, anchor, Node::Kind::list);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(mark, anchor, Node::Kind::map);
  }
  void OnMapEnd() override { close(); }

  Node take() { return std::move(root_); }

 private:
  struct Level {
    Node node;
    std::optional<Node::Key> key;  ///< of the value that comes next
    std::unordered_set<std::string> seen;
  };

  Where where(const YAML::Mark& mark) const { return {source_, mark.line + 1, mark.column + 1}; }
  [[noreturn]] void refuse(const YAML::Mark& mark, std::string message) const { throw Stop{where(mark), std::move(message)}; }

  void count(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0) refuse(mark, "anchors (&name) are not supported");
    if (++nodes_ > limits_.nodes) refuse(mark, fmt::format("more than {} values", limits_.nodes));
  }
  bool wants_key() const { return !levels_.empty() && levels_.back().node.kind == Node::Kind::map && !levels_.back().key; }

  void value(const YAML::Mark& mark, YAML::anchor_t anchor, Node::Kind kind, const std::string& text, bool quoted) {
    count(mark, anchor);
    if (wants_key()) {
      if (kind == Node::Kind::null) refuse(mark, "a key without a name");
      auto& level = levels_.back();
      if (!level.seen.insert(text).second) refuse(mark, fmt::format("duplicate key '{}'", core::printable(text, 80)));
      level.key = Node::Key{text, where(mark)};
      return;
    }
    Node node;
    node.kind = kind;
    node.text = text;
    node.quoted = quoted;
    node.where = where(mark);
    put(std::move(node));
  }
  void open(const YAML::Mark& mark, YAML::anchor_t anchor, Node::Kind kind) {
    count(mark, anchor);
    if (wants_key()) refuse(mark, "a key must be a text");
    if (levels_.size() >= limits_.depth) refuse(mark, fmt::format("more than {} levels deep", limits_.depth));
    levels_.emplace_back();
    levels_.back().node.kind = kind;
    levels_.back().node.where = where(mark);
  }
  void close() {
    Node done = std::move(levels_.back().node);
    levels_.pop_back();
    put(std::move(done));
  }
  void put(Node node) {
    if (levels_.empty()) {
      root_ = std::move(node);
      return;
    }
    auto& level = levels_.back();
    if (level.node.kind == Node::Kind::map) {
      level.node.keys.push_back(std::move(*level.key));
      level.key.reset();
    }
    level.node.items.push_back(std::move(node));
  }

  std::shared_ptr<const Source> source_;
  YamlLimits limits_;
  std::size_t nodes_ = 0;
  std::vector<Level> levels_;
  Node root_;
};

bool plain_is_safe(const std::string& text) {
  if (text.empty() || text.front() == '-' || text.front() == '.') return false;
  for (const auto* null : {"null", "Null", "NULL"})
    if (text == null) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' || c == '.' ||
           c == '/' || c == '+';
  });
}

std::string quoted(const std::string& text) {
  if (plain_is_safe(text)) return text;
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return out + '"';
}

void write(const Node& node, std::size_t indent, bool in_list, std::string& out) {
  const std::string margin(indent, ' ');
  switch (node.kind) {
    case Node::Kind::null:
      out += " null\n";
      return;
    case Node::Kind::scalar:
      out += " " + quoted(node.text) + "\n";
      return;
    default:
      break;
  }
  if (node.items.empty()) {
    out += node.kind == Node::Kind::list ? " []\n" : " {}\n";
    return;
  }
  // A map that is an element of a list starts on the line of its dash.
  bool first = in_list && node.kind == Node::Kind::map;
  out += first ? " " : (out.empty() ? "" : "\n");
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    if (!std::exchange(first, false)) out += margin;
    out += node.kind == Node::Kind::list ? "-" : quoted(node.keys[i].name) + ":";
    write(node.items[i], indent + 2, node.kind == Node::Kind::list, out);
  }
}

}  // namespace

const Node* Node::find(std::string_view key) const noexcept {
  if (kind != Kind::map) return nullptr;
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (keys[i].name == key) return &items[i];
  return nullptr;
}

Node* Node::find(std::string_view key) noexcept { return const_cast<Node*>(std::as_const(*this).find(key)); }

Node& Node::at(const std::string& key, const Where& key_where) {
  core::check(kind == Kind::null || kind == Kind::map, "a key is added to a map");
  kind = Kind::map;
  if (auto* found = find(key)) return *found;
  keys.push_back({key, key_where});
  items.emplace_back();
  items.back().where = key_where;
  return items.back();
}

std::string Node::described() const {
  switch (kind) {
    case Kind::null:
      return "nothing";
    case Kind::list:
      return "a list";
    case Kind::map:
      return "a mapping";
    case Kind::scalar:
      return "'" + core::printable(text, 80) + "'";
  }
  return {};
}

Node parse_yaml(const std::string& text, const std::shared_ptr<const Source>& source, Report& report, const YamlLimits& limits) {
  const Where whole{source};
  if (text.size() > limits.bytes) {
    report.error(whole, fmt::format("larger than {} bytes", limits.bytes));
    return {};
  }
  // yaml-cpp reads UTF-16 and UTF-32 too and stops at a zero byte without a word; we want neither.
  if (const auto zero = text.find('\0'); zero != std::string::npos) {
    const auto line = static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(zero), '\n')) + 1;
    report.error({source, line, 1}, "a zero byte: this is no UTF-8 text");
    return {};
  }
  try {
    std::istringstream in(text);
    YAML::Parser parser(in);
    Builder builder(source, limits);
    if (!parser.HandleNextDocument(builder)) return {};
    auto node = builder.take();
    Builder second(source, limits);
    if (parser.HandleNextDocument(second)) report.error(whole, "more than one YAML document");
    return node;
  } catch (const Stop& stop) {
    report.error(stop.where, stop.message);
  } catch (const YAML::Exception& e) {
    report.error({source, e.mark.line + 1, e.mark.column + 1}, "not valid YAML: " + core::printable(e.msg, 200));
  }
  return {};
}

bool read_file(const std::string& path, std::size_t limit, std::string& text, const Where& blame, Report& report) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    report.error(blame, fmt::format("cannot read {}: {}", path, std::strerror(errno)));
    return false;
  }
  if (!S_ISREG(info.st_mode)) {
    report.error(blame, fmt::format("{} is not a file", path));
    return false;
  }
  std::ifstream in(path, std::ios::binary);
  text.resize(limit + 1);
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(in.gcount(), 0)));
  if (!in.eof() && !in) {
    report.error(blame, fmt::format("cannot read {}: {}", path, std::strerror(errno)));
    return false;
  }
  if (text.size() > limit) {
    report.error(blame, fmt::format("{} is larger than {} bytes", path, limit));
    return false;
  }
  return true;
}

std::string to_yaml(const Node& node) {
  std::string out;
  write(node, 0, false, out);
  return out;
}

}  // namespace stsync::config
