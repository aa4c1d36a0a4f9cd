#include "tokens/token_answer.hpp"

#include <algorithm>
#include <ctime>
#include <optional>

#include <fmt/format.h>

#include "codec/page.hpp"
#include "core/text.hpp"

namespace stsync::tokens {

using core::ErrorKind;

namespace {
constexpr core::Duration kDefaultLife = std::chrono::seconds(900);
constexpr std::int64_t kLongestLife = 31'536'000;  // seconds; who keeps the token knows better, but must be able to count
constexpr std::int64_t kLongestWait = 86'400;
constexpr std::size_t kLongestCode = 60;

/// The `error` of an OAuth answer where it is a code (RFC 6749: invalid_client …). Anything else stays out of logs and statuses:
/// it may be an echo of what was sent.
std::string error_code(std::string text) {
  const auto of_a_code = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  return text.size() <= kLongestCode && std::all_of(text.begin(), text.end(), of_a_code) ? text : std::string();
}

/// Whether it can stand in a header (RFC 6750 allows less).
bool usable(const std::string& token) {
  return !token.empty() && std::all_of(token.begin(), token.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

std::optional<std::int64_t> seconds_of_date(const std::string* text) {
  std::tm tm{};
  if (text == nullptr) return std::nullopt;
  const char* end = ::strptime(text->c_str(), "%a, %d %b %Y %H:%M:%S GMT", &tm);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return ::timegm(&tm);
}

/// A date is compared with the endpoint's own clock, which the same answer shows: ours may be wrong.
std::optional<std::chrono::milliseconds> retry_after(const http::Headers& headers) {
  const auto* header = http::find_header(headers, "Retry-After");
  if (header == nullptr) return std::nullopt;
  auto seconds = core::parse_int(*header);
  if (!seconds) {
    const auto until = seconds_of_date(header);
    const auto now = seconds_of_date(http::find_header(headers, "Date"));
    if (until && now) seconds = *until - *now;
  }
  if (!seconds || *seconds < 0) return std::nullopt;
  return std::chrono::seconds(std::min(*seconds, kLongestWait));
}
}  // namespace

core::Result<Fetched> read_token_answer(int status, const std::string& body, const http::Headers& headers) {
  const auto members = codec::json_members(body);
  const auto text = [&](const char* name) -> std::string {
    if (!members) return {};
    const auto it = members->find(name);
    return it == members->end() ? std::string() : codec::json_text(it->second).value_or("");
  };
  if (status == 200) {
    auto token = text("access_token");
    // Not `malformed`, which is given up after a few tries: a page of a proxy or of a maintenance is an outage like a 503.
    if (!usable(token))
      return core::fail(
          core::Error(ErrorKind::server, "the token endpoint answered 200 without a usable access_token").with_status(status));
    const auto life = members->contains("expires_in") ? codec::json_int(members->at("expires_in")) : std::nullopt;
    return Fetched{core::Secret(std::move(token)),
                   life ? core::Duration(std::chrono::seconds(std::clamp<std::int64_t>(*life, 0, kLongestLife))) : kDefaultLife};
  }
  const auto reason = error_code(text("error"));
  if (status == 400 || status == 401 || status == 403)
    return core::fail(
        core::Error(ErrorKind::unauthorized, fmt::format("the token endpoint refuses the client: {} {}", status, reason))
            .with_status(status));
  core::Error error(status == 429 ? ErrorKind::throttled : ErrorKind::server,
                    fmt::format("the token endpoint answered {} {}", status, reason));
  error.with_status(status);
  if (const auto wait = retry_after(headers)) error.with_retry_after(*wait);
  return core::fail(std::move(error));
}

}  // namespace stsync::tokens
