#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"

namespace stsync::servicetitan {

/// How a resource is read (design 5).
enum class Feed {
  export_feed,    ///< continueFrom tokens
  windowed_list,  ///< pages inside a closed modified window
};

/// One readable resource, from config/catalogue/<api>.yaml.
struct Resource {
  std::string name;  ///< "jpm.jobs": <api>.<resource>
  std::string api;   ///< "jpm"
  Feed feed = Feed::export_feed;
  std::string path;        ///< "/jpm/v2/tenant/{tenant}/export/jobs"
  std::string key = "id";  ///< field of a record that is its primary key, top level
  std::string modified = "modifiedOn";
  std::string unique_sort;  ///< "+Id" where the endpoint lists a sort that is total; empty: none, windows are split
  std::vector<std::pair<std::string, std::string>> query;  ///< fixed parameters: active=Any …
  int page_size = 0;                                       ///< asked for; 0: the server decides (export feeds)
  int max_page_size = 0;
  bool modified_nullable = false;
  std::string title;  ///< one line for people
};

/// Every resource by name. Immutable after loading.
class Catalogue {
 public:
  /// The catalogue built into the program, with `overrides` (YAML text, may be empty; `file` names it in errors) on top.
  static core::Result<Catalogue> load(const std::string& overrides, const std::string& file);
  const Resource* find(std::string_view name) const noexcept;
  const std::map<std::string, Resource, std::less<>>& all() const noexcept { return resources_; }
  /// Names that match a pattern with "*" ("jpm.*").
  std::vector<std::string> expand(std::string_view pattern) const;

 private:
  std::map<std::string, Resource, std::less<>> resources_;
};

}  // namespace stsync::servicetitan
