#include "servicetitan/storage.hpp"

#include <fmt/format.h>

#include "servicetitan/classify.hpp"

namespace stsync::servicetitan {

using core::ErrorKind;

namespace {

constexpr std::chrono::seconds kThrottled{5};  // where the storage does not say how long

core::Result<http::Url> absolute(const std::string& location, const http::Origin& api) {
  if (location.starts_with("//")) return http::parse_url("https:" + location);
  return http::parse_url(location.starts_with('/') ? api.text() + location : location);
}

}  // namespace

core::Result<http::Url> storage_url(const http::Response& redirect, const http::Origin& api) {
  const auto* location = http::find_header(redirect.headers, "Location");
  if (location == nullptr) return core::fail(ErrorKind::protocol, "a redirect without a Location");
  auto url = absolute(*location, api);
  if (!url) return core::fail(ErrorKind::protocol, "a redirect to an address that cannot be used");
  if (url->origin != api && !url->origin.tls)
    return core::fail(ErrorKind::protocol, fmt::format("a redirect to {}: only https is followed", url->origin.text()));
  return url;
}

std::optional<core::Error> error_of_storage(const http::Response& response, core::WallTime now) {
  const auto status = response.status;
  if (status == 401 || status == 403) {
    core::Error error(ErrorKind::protocol, fmt::format("the storage of files refuses the API's link: HTTP {}", status));
    return error.with_status(status);
  }
  auto error = error_of_status(status, {}, http::find_header(response.headers, "Retry-After"), now);
  if (!error) return error;
  if (error->kind() == ErrorKind::throttled && !error->retry_after()) error->with_retry_after(kThrottled);
  return error->within("reading from the storage of files");
}

}  // namespace stsync::servicetitan
