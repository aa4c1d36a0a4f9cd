#include "config/store_url.hpp"

#include <algorithm>
#include <optional>

#include "core/text.hpp"

namespace stsync::config {
namespace {

auto bad(const char* what) { return core::fail(core::ErrorKind::bad_config, std::string("the URL of the store ") + what); }

bool plain(std::string_view text, std::string_view extra) {
  return std::all_of(text.begin(), text.end(), [extra](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || extra.find(c) != std::string_view::npos;
  });
}

std::optional<int> number(std::string_view text, int low, int high) {
  const auto n = core::parse_int(text);
  if (!n || *n < low || *n > high) return std::nullopt;
  return static_cast<int>(*n);
}

/// Cuts `text` at the first `mark`: what is before stays, what is after is the result.
std::optional<std::string_view> cut(std::string_view& text, char mark) {
  const auto at = text.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  const auto rest = text.substr(at + 1);
  text = text.substr(0, at);
  return rest;
}

bool read_host(std::string_view text, StoreAddress& out) {
  if (text.starts_with('[')) {
    text.remove_prefix(1);
    const auto rest = cut(text, ']');
    if (!rest || text.empty() || !plain(text, ":.")) return false;
    out.host = text;
    if (rest->empty()) return true;
    const auto port = rest->starts_with(':') ? number(rest->substr(1), 1, 65535) : std::nullopt;
    if (port) out.port = *port;
    return port.has_value();
  }
  if (const auto rest = cut(text, ':')) {
    const auto port = number(*rest, 1, 65535);
    if (!port) return false;
    out.port = *port;
  }
  out.host = text;
  return !text.empty() && text.size() <= 253 && plain(text, "-._");
}

bool read_options(std::string_view text, StoreAddress& out) {
  for (std::optional<std::string_view> rest = text; rest;) {
    auto option = *rest;
    rest = cut(option, '&');
    const auto value = cut(option, '=');
    if (!value) return false;
    if (option == "prefix" && value->size() <= 100 && plain(*value, "-._:{}")) {
      out.prefix = *value;
    } else if (const auto db = number(*value, 0, 1'000'000); option == "db" && db) {
      out.database = *db;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace

core::Result<StoreAddress> parse_store_url(std::string_view url) {
  StoreAddress out;
  const auto options = cut(url, '?');
  if (options && !read_options(*options, out)) return bad("has options other than prefix=… and db=…");
  if (url.starts_with("unix://")) {
    out.socket = url.substr(7);
    // The longest path that a socket can have.
    if (!out.socket.starts_with('/') || out.socket.size() > 107) return bad("needs a path of at most 107 bytes: unix:///path");
    return out;
  }
  if (!url.starts_with("redis://")) return bad("has to begin with redis:// or unix://");
  url.remove_prefix(8);
  if (const auto db = cut(url, '/'); db && !db->empty()) {
    const auto n = number(*db, 0, 1'000'000);
    if (!n) return bad("has something other than the number of a database after the host");
    out.database = *n;
  }
  if (const auto at = url.rfind('@'); at != std::string_view::npos) {
    const auto user = url.substr(0, at);
    if (user.find(':') != std::string_view::npos) return bad("holds a password: it belongs into a file, see password_file");
    if (user.empty() || !plain(user, "-._")) return bad("has a user name with other than letters, digits and -._");
    out.user = user;
    url.remove_prefix(at + 1);
  }
  if (!read_host(url, out)) return bad("needs a host and perhaps a port: redis://host:6379");
  return out;
}

std::string StoreAddress::text() const {
  if (host.empty()) return socket;
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace stsync::config
