#include "webhook/peer.hpp"

#include <algorithm>
#include <string_view>

namespace stsync::webhook {
namespace {

constexpr std::string_view kForwarded = "X-Forwarded-For";
constexpr std::size_t kMostHops = 20;

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

/// "192.0.2.1", "192.0.2.1:443", "2001:db8::1" and "[2001:db8::1]:443" without the port and brackets.
std::string_view address_of(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with('[')) return text.substr(1, text.find(']') - 1);
  if (std::count(text.begin(), text.end(), ':') == 1) return text.substr(0, text.find(':'));
  return text;
}

std::string_view host_of(std::string_view connection) { return connection.substr(0, connection.rfind(':')); }

}  // namespace

std::string peer_of(const std::string& connection, const http::Headers& headers, const config::Networks& trusted) {
  std::string_view peer = host_of(connection);
  if (!trusted.contain(peer)) return std::string(peer);
  std::size_t hops = 0;
  for (auto header = headers.rbegin(); header != headers.rend(); ++header) {
    if (!http::same_name(header->first, kForwarded)) continue;
    std::string_view rest = header->second;
    while (!rest.empty() && ++hops <= kMostHops) {
      const auto comma = rest.rfind(',');
      const auto hop = address_of(comma == std::string_view::npos ? rest : rest.substr(comma + 1));
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(0, comma);
      if (!config::is_address(hop)) return std::string(peer);  // nothing before it can be believed
      peer = hop;
      if (!trusted.contain(peer)) return std::string(peer);
    }
  }
  return std::string(peer);
}

}  // namespace stsync::webhook
