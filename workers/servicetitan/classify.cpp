#include "servicetitan/classify.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>

#include <fmt/format.h>

#include "codec/page.hpp"
#include "core/text.hpp"

namespace stsync::servicetitan {
namespace {

using core::ErrorKind;
using namespace std::chrono_literals;

core::Duration backoff(int attempt, core::Duration longest, core::Rng& rng) {
  const double ceiling = std::min(std::chrono::duration<double>(longest).count(), 0.5 * std::pow(2.0, attempt));
  return std::chrono::duration_cast<core::Duration>(std::chrono::duration<double>(ceiling * (0.5 + 0.5 * rng.unit())));
}

Verdict retry_up_to(int& count, int most, core::Duration longest, core::Rng& rng) {
  if (count >= most) return {};
  return {Remedy::retry, backoff(count++, longest, rng)};
}

std::optional<std::int64_t> seconds_in_body(std::string_view body) {
  constexpr std::string_view kMark = "Try again in ";
  const auto at = body.find(kMark);
  if (at == std::string_view::npos) return std::nullopt;
  const auto rest = body.substr(at + kMark.size());
  return core::parse_int(rest.substr(0, rest.find_first_not_of("0123456789")));
}

std::string title_of(std::string_view body) {
  const auto members = codec::json_members(body);
  if (!members) return {};
  for (const char* name : {"title", "message"})
    if (const auto it = members->find(name); it != members->end())
      return core::printable(codec::json_text(it->second).value_or(""), 200);
  return {};
}

/// "From: The From field is required.": what is wrong with each parameter (facts 4), for those who gave them.
std::string problems_of(std::string_view body) {
  const auto members = codec::json_members(body);
  if (!members || !members->contains("errors")) return {};
  const auto errors = codec::json_members(members->at("errors"));
  if (!errors) return {};
  std::string out;
  for (const auto& [field, raw] : *errors) {
    const auto messages = codec::cut_page(raw, {.key = {}, .modified = {}, .any_record = true});
    if (!messages) continue;
    for (const auto& message : messages->records)
      if (const auto text = codec::json_text(message.bytes.in(raw)))
        out += fmt::format("{}{}: {}", out.empty() ? "" : "; ", field, *text);
  }
  return core::printable(out, 500);
}

ErrorKind kind_of_status(int status, std::string_view body) {
  switch (status) {
    case 401:
      return ErrorKind::unauthorized;
    case 403:
      return ErrorKind::forbidden;
    case 404:
      return ErrorKind::not_found;
    case 409:
      // One status for two things: a conflict for good, and "The service is suspended for maintenance".
      return body.find("maintenance") != std::string_view::npos ? ErrorKind::maintenance : ErrorKind::bad_request;
    case 429:
      return ErrorKind::throttled;
    case 408:
      return ErrorKind::timeout;
    default:
      return status >= 500 ? ErrorKind::server : status >= 400 ? ErrorKind::bad_request : ErrorKind::protocol;
  }
}

}  // namespace

std::optional<core::WallTime> parse_http_date(const std::string& text) {
  std::tm tm{};
  const char* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &tm);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return core::WallTime(std::chrono::seconds(::timegm(&tm)));
}

Verdict classify(const core::Error& error, Attempts& attempts, core::Rng& rng) {
  switch (error.kind()) {
    case ErrorKind::timeout:
    case ErrorKind::network:
    case ErrorKind::tls:
    case ErrorKind::server:
    case ErrorKind::maintenance:
      return retry_up_to(attempts.retries, kMaxRetries, 1min, rng);
    case ErrorKind::malformed:
    case ErrorKind::protocol:
    case ErrorKind::no_progress:
      return retry_up_to(attempts.bad_pages, kMaxBadPages, 5s, rng);
    case ErrorKind::throttled:
      if (attempts.refusals++ >= kMaxRefusals) return {};
      return {Remedy::slow_down, {}};
    case ErrorKind::unauthorized:
      if (attempts.tokens++ >= 1) return {};
      return {Remedy::new_token, {}};
    default:
      return {};
  }
}

std::optional<std::chrono::milliseconds> retry_after(const std::string* header, std::string_view body, core::WallTime now) {
  std::optional<std::chrono::milliseconds> wait;
  if (header != nullptr) {
    if (const auto seconds = core::parse_int(*header))
      wait = std::chrono::seconds(std::clamp<std::int64_t>(*seconds, 0, 86400));
    else if (const auto when = parse_http_date(*header))
      wait = std::chrono::duration_cast<std::chrono::milliseconds>(*when - now);
  }
  if (!wait)
    if (const auto seconds = seconds_in_body(body)) wait = std::chrono::seconds(std::clamp<std::int64_t>(*seconds, 0, 86400));
  if (!wait) return std::nullopt;
  return std::clamp<std::chrono::milliseconds>(*wait, 1s, 5min);
}

bool took_too_long(const core::Error& error) noexcept { return error.http_status() == kTooSlow || error.http_status() == 504; }

std::optional<core::Error> error_of_status(int status, std::string_view body, const std::string* header, core::WallTime now) {
  if (status == 200) return std::nullopt;
  auto text = fmt::format("HTTP {}", status);
  if (const auto title = title_of(body); !title.empty()) text += ": " + title;
  if (const auto problems = status == 400 ? problems_of(body) : ""; !problems.empty()) text += " (" + problems + ")";
  core::Error error(kind_of_status(status, body), std::move(text));
  error.with_status(status);
  if (status == 429)
    if (const auto wait = retry_after(header, body, now)) error.with_retry_after(*wait);
  return error;
}

core::Error with_advice(core::Error error, const Resource& resource, const Endpoint& endpoint) {
  if (error.kind() != ErrorKind::forbidden) return error;
  const auto what =
      endpoint.scope.empty() ? fmt::format("the module '{}'", resource.api) : fmt::format("the scope '{}'", endpoint.scope);
  core::Error out(error.kind(),
                  fmt::format("{} ({} needs {}: grant it to the app for this tenant)", error.message(), resource.name, what));
  return out.with_status(error.http_status());
}

}  // namespace stsync::servicetitan
