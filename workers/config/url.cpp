#include "config/url.hpp"

#include <algorithm>

#include "core/text.hpp"

namespace stsync::config {
namespace {

bool is_host_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

bool is_host(std::string_view host, bool bracketed) {
  return !host.empty() && host.size() <= 253 &&
         std::all_of(host.begin(), host.end(), [&](char c) { return is_host_char(c) || (bracketed && c == ':'); });
}

bool is_path_char(char c) { return c > 0x20 && c < 0x7f && c != '?' && c != '#' && c != '@' && c != '\\'; }

}  // namespace

std::optional<HostPort> parse_host_port(std::string_view text, bool port_needed, bool any_port) {
  HostPort out;
  auto rest = text;
  const bool bracketed = text.starts_with('[');
  if (bracketed) {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    out.host = text.substr(1, end - 1);
    rest = text.substr(end + 1);
  } else {
    const auto colon = text.find(':');
    out.host = text.substr(0, colon);
    rest = colon == std::string_view::npos ? std::string_view() : text.substr(colon);
  }
  if (!is_host(out.host, bracketed)) return std::nullopt;
  if (rest.empty()) return port_needed ? std::nullopt : std::optional(out);
  const auto port = rest.front() == ':' ? core::parse_int(rest.substr(1)) : std::nullopt;
  if (!port || *port < (any_port ? 0 : 1) || *port > 65535) return std::nullopt;
  out.port = static_cast<int>(*port);
  return out;
}

std::optional<Url> parse_url(std::string_view text) {
  const auto scheme = text.find("://");
  if (scheme == std::string_view::npos) return std::nullopt;
  Url out;
  out.scheme = text.substr(0, scheme);
  text.remove_prefix(scheme + 3);
  const auto slash = text.find('/');
  const auto host = parse_host_port(text.substr(0, slash), false, false);
  if (!host) return std::nullopt;
  out.host = host->host;
  out.port = host->port;
  if (slash != std::string_view::npos) out.path = text.substr(slash);
  if (!std::all_of(out.path.begin(), out.path.end(), is_path_char)) return std::nullopt;
  return out;
}

bool is_loopback(std::string_view host) {
  if (host == "localhost" || host == "::1") return true;
  // Only a written address: a name such as 127.example.org belongs to somebody.
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

bool is_loopback_url(std::string_view url) {
  const auto parsed = parse_url(url);
  return parsed && is_loopback(parsed->host);
}

}  // namespace stsync::config
