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

const Endpoint* Resource::endpoint(Role role) const noexcept {
  const auto at = std::find_if(endpoints.begin(), endpoints.end(), [role](const Endpoint& e) { return e.role == role; });
  return at == endpoints.end() ? nullptr : &*at;
}

const Endpoint* Resource::source() const noexcept {
  if (const auto* feed = endpoint(Role::export_feed)) return feed;
  if (const auto* rows = endpoint(Role::list); rows != nullptr && !rows->ids_only) return rows;
  return endpoint(Role::children);
}

}  // namespace stsync::servicetitan
