#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace stsync::config {

/// The parts of scheme://host[:port][/path]. No user, query or fragment.
struct Url {
  std::string scheme, host, path;
  int port = 0;  ///< 0: not given
};
std::optional<Url> parse_url(std::string_view text);

/// HOST:PORT, "[::1]:9092" too. The port may be left out unless `port_needed`; port 0 (any) only where `any_port`.
struct HostPort {
  std::string host;
  int port = 0;
};
std::optional<HostPort> parse_host_port(std::string_view text, bool port_needed, bool any_port);

/// localhost, 127.0.0.0/8, ::1.
bool is_loopback(std::string_view host);
bool is_loopback_url(std::string_view url);

}  // namespace stsync::config
