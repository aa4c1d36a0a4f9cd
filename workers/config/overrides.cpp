#include "config/overrides.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "core/text.hpp"

namespace stsync::config {
namespace {

constexpr std::size_t kMostSegments = 16;

/// Empty: not a path.
std::vector<std::string> segments(std::string_view path) {
  std::vector<std::string> out(1);
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '\\' && i + 1 < path.size() && path[i + 1] == '.')
      out.back() += path[++i];
    else if (path[i] == '.')
      out.emplace_back();
    else
      out.back() += path[i];
  }
  const bool bad = out.size() > kMostSegments || std::any_of(out.begin(), out.end(), [](const auto& s) { return s.empty(); });
  return bad ? std::vector<std::string>() : out;
}

std::optional<std::size_t> index_of(const std::string& segment) {
  const auto n = core::parse_int(segment);
  return n && *n >= 0 && segment.size() <= 6 ? std::optional(static_cast<std::size_t>(*n)) : std::nullopt;
}

/// The child that a segment names, made when missing; nullptr and a problem when there is no way down.
Node* descend(Node& node, const std::string& segment, const Where& where, Report& report) {
  const auto index = index_of(segment);
  if (index && (node.kind == Node::Kind::list || node.kind == Node::Kind::null)) {
    if (*index > node.items.size()) {
      report.error(where, fmt::format("there is no element {}, the list has {}", segment, node.items.size()));
      return nullptr;
    }
    node.kind = Node::Kind::list;
    if (*index == node.items.size()) {
      node.items.emplace_back();
      node.items.back().where = where;
    }
    return &node.items[*index];
  }
  if (node.kind == Node::Kind::null || node.kind == Node::Kind::map) return &node.at(segment, where);
  report.error(where, fmt::format("'{}' leads into {}", core::printable(segment, 80),
                                  node.kind == Node::Kind::list ? "a list: expected the number of an element" : "a text"));
  return nullptr;
}

}  // namespace

void apply_override(Node& root, const std::string& assignment, const std::string& what, const std::string& directory,
                    Report& report) {
  const auto equals = assignment.find('=');
  const auto source = std::make_shared<Source>(Source{what, directory});
  const Where where{source};
  const auto path = segments(std::string_view(assignment).substr(0, equals));
  if (equals == std::string::npos || path.empty()) return report.error(where, "expected key.key=value");
  auto* node = &root;
  for (const auto& segment : path) {
    node = descend(*node, segment, where, report);
    if (node == nullptr) return;
  }
  const auto value = assignment.substr(equals + 1);
  if (!value.empty() && (value.front() == '[' || value.front() == '{')) {
    *node = parse_yaml(value, source, report);
    return;
  }
  *node = Node{};
  node->kind = Node::Kind::scalar;
  node->text = value;
  node->where = where;
}

std::vector<EnvironmentOverride> environment_overrides(const std::vector<std::string>& environment) {
  static constexpr std::string_view kPrefix = "STSYNC_";
  std::vector<EnvironmentOverride> out;
  for (const auto& variable : environment) {
    const auto equals = variable.find('=');
    if (equals == std::string::npos || !variable.starts_with(kPrefix)) continue;
    auto name = variable.substr(kPrefix.size(), equals - kPrefix.size());
    if (name.find("__") == std::string::npos) continue;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    for (auto at = name.find("__"); at != std::string::npos; at = name.find("__", at + 1)) name.replace(at, 2, ".");
    out.push_back({variable.substr(0, equals), name + variable.substr(equals)});
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.variable < b.variable; });
  return out;
}

}  // namespace stsync::config
