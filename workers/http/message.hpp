#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.hpp"

namespace stsync::http {

/// Name and value as sent. Names compare without case.
using Headers = std::vector<std::pair<std::string, std::string>>;

/// Whether two names of headers are the same one.
bool same_name(std::string_view a, std::string_view b) noexcept;

/// The first value of a header; nullptr when it is absent.
const std::string* find_header(const Headers& headers, std::string_view name) noexcept;

/// Scheme, host and port: what a connection belongs to.
struct Origin {
  bool tls = true;
  std::string host;  ///< name or IP literal, without brackets
  std::uint16_t port = 443;
  auto operator<=>(const Origin&) const = default;
  std::string text() const;  ///< "https://host:port"
};

struct Url {
  Origin origin;
  std::string target;  ///< path and query, starts with "/"
};

/// http or https, a host, no user information, no fragment. bad_data says what is wrong.
core::Result<Url> parse_url(std::string_view text);

/// application/x-www-form-urlencoded / query component encoding of RFC 3986 (everything but unreserved characters).
std::string percent_encode(std::string_view text);
/// Reverse; "+" is a blank. Malformed escapes stay as they are.
std::string percent_decode(std::string_view text);
/// Query parameters in their order, decoded.
std::vector<std::pair<std::string, std::string>> parse_query(std::string_view query);

}  // namespace stsync::http
