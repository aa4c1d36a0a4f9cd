#include "http/message.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <boost/url/encode.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>
#include <boost/url/url_view.hpp>

#include "core/text.hpp"

namespace stsync::http {
namespace {

namespace urls = boost::urls;
using core::ErrorKind;
using core::fail;

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (lower(c) >= 'a' && lower(c) <= 'f') return lower(c) - 'a' + 10;
  return -1;
}

/// What is wrong with a URL that is well formed as such; nothing when stsync can use it.
std::optional<std::string> problem(const urls::url_view& url) {
  if (url.scheme_id() != urls::scheme::http && url.scheme_id() != urls::scheme::https)
    return fmt::format("the scheme is '{}', expected http or https", std::string(url.scheme()));
  if (url.has_userinfo()) return "it holds a user name or password";
  if (url.has_fragment()) return "it holds a fragment ('#')";
  const auto host = std::string(url.encoded_host_address());
  if (host.empty()) return "it has no host";
  // Boost.URL 1.81 takes a port that is no number as the beginning of the path.
  if (!url.encoded_path().empty() && url.encoded_path().front() != '/') return "the port is not a number";
  if (host.find('%') != std::string::npos) return "the host holds an escape ('%')";
  if (!url.port().empty() && url.port_number() == 0) return "the port is not in 1..65535";
  return std::nullopt;
}

}  // namespace

bool same_name(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

const std::string* find_header(const Headers& headers, std::string_view name) noexcept {
  for (const auto& [key, value] : headers)
    if (same_name(key, name)) return &value;
  return nullptr;
}

std::string Origin::text() const {
  const auto literal6 = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", tls ? "https" : "http", literal6 ? "[" : "", host, literal6 ? "]" : "", port);
}

core::Result<Url> parse_url(std::string_view text) {
  const auto parsed = urls::parse_uri(urls::string_view(text.data(), text.size()));
  if (!parsed) return fail(ErrorKind::bad_data, "not a URL, expected for example https://host:443/path");
  const urls::url_view url = *parsed;
  // The text itself may hold a password, so only the finding is named.
  if (const auto wrong = problem(url)) return fail(ErrorKind::bad_data, "the URL cannot be used: " + *wrong);
  Url out;
  out.origin.tls = url.scheme_id() == urls::scheme::https;
  out.origin.host = std::string(url.encoded_host_address());
  std::transform(out.origin.host.begin(), out.origin.host.end(), out.origin.host.begin(), lower);
  out.origin.port = url.port().empty() ? (out.origin.tls ? std::uint16_t{443} : std::uint16_t{80}) : url.port_number();
  out.target = std::string(url.encoded_path());
  if (out.target.empty()) out.target = "/";
  if (url.has_query()) out.target += "?" + std::string(url.encoded_query());
  return out;
}

std::string percent_encode(std::string_view text) {
  return urls::encode(urls::string_view(text.data(), text.size()), urls::unreserved_chars);
}

std::string percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (low >= 0) {
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> parse_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> out;
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (part.empty()) continue;
    const auto equals = std::min(part.find('='), part.size());
    out.emplace_back(percent_decode(part.substr(0, equals)), percent_decode(part.substr(std::min(equals + 1, part.size()))));
  }
  return out;
}

}  // namespace stsync::http
