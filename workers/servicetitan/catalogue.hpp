#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "servicetitan/resource.hpp"

namespace stsync::servicetitan {

/// Every resource by name. Immutable after loading.
class Catalogue {
 public:
  /// The catalogue built into the program, with `overrides` (YAML text, may be empty; `file` names it in errors) on top.
  static core::Result<Catalogue> load(const std::string& overrides, const std::string& file);
  const Resource* find(std::string_view name) const noexcept;
  const std::map<std::string, Resource, std::less<>>& all() const noexcept { return resources_; }
  /// Names that match a pattern with "*" ("jpm.*"). Those that are not for patterns have to be named.
  std::vector<std::string> expand(std::string_view pattern) const;

 private:
  std::map<std::string, Resource, std::less<>> resources_;
};

}  // namespace stsync::servicetitan
