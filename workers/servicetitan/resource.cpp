#include "servicetitan/resource.hpp"

#include <algorithm>

namespace stsync::servicetitan {

const char* to_string(Role role) {
  switch (role) {
    case Role::export_feed:
      return "export";
    case Role::list:
      return "list";
    case Role::children:
      return "children";
    case Role::get:
      return "get";
    case Role::report:
      return "report";
  }
  return "";
}

const char* to_string(Shape shape) {
  switch (shape) {
    case Shape::page:
      return "page";
    case Shape::envelope:
      return "envelope";
    case Shape::array:
      return "array";
    case Shape::object:
      return "object";
    case Shape::scalar:
      return "scalar";
    case Shape::binary:
      return "binary";
  }
  return "";
}

std::vector<std::string> places_of(const std::string& path) {
  std::vector<std::string> out;
  for (auto at = path.find('{'); at != std::string::npos; at = path.find('{', at + 1)) {
    auto name = path.substr(at + 1, path.find('}', at) - at - 1);
    if (name != "tenant") out.push_back(std::move(name));
  }
  return out;
}

const Endpoint* Resource::endpoint(Role role) const noexcept {
  const auto at = std::find_if(endpoints.begin(), endpoints.end(), [role](const Endpoint& e) { return e.role == role; });
  return at == endpoints.end() ? nullptr : &*at;
}

bool Resource::has_files() const noexcept {
  return std::any_of(endpoints.begin(), endpoints.end(), [](const Endpoint& e) { return e.shape == Shape::binary; });
}

const Endpoint* Resource::source() const noexcept {
  if (const auto* feed = endpoint(Role::export_feed)) return feed;
  if (const auto* rows = endpoint(Role::list); rows != nullptr && !rows->ids_only) return rows;
  return endpoint(Role::children);
}

}  // namespace stsync::servicetitan
