#include "sim/call.hpp"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "codec/gzip.hpp"
#include "core/text.hpp"

namespace stsync::sim {
namespace {

using http::ServerResponse;

constexpr std::size_t kMaxFetchKeys = 1'000'000;
constexpr std::size_t kGzipFrom = 1024;
/// Parameters of this many ids at most (facts 5).
constexpr std::size_t kMaxIds = 50;

bool readable(const Endpoint& endpoint, const Parameter& parameter, std::string_view value) {
  if (parameter.type.arrays > 0) return true;
  switch (parameter.type.kind) {
    case Scalar::int32:
    case Scalar::int64:
      return core::parse_int(value).has_value();
    case Scalar::boolean:
      return same_word(value, "true") || same_word(value, "false");
    case Scalar::date_time:
    case Scalar::date:
      // One endpoint takes no offset but "Z" (facts 12).
      if (endpoint.resource->name == "forms.submissions" && !value.ends_with('Z')) return false;
      return core::parse_utc(value).has_value();
    case Scalar::choice:
      return std::any_of(parameter.type.choices->begin(), parameter.type.choices->end(),
                         [value](const std::string& choice) { return same_word(choice, value); });
    default:
      return true;
  }
}

/// Numbers, where the rows have numbers.
bool all_ids(const Call& call) {
  const auto words = words_of(call, "ids");
  const bool numbers = id_form(call.endpoint) == Scalar::int64;
  return std::all_of(words.begin(), words.end(), [&](const auto& word) { return !numbers || core::parse_int(word).has_value(); });
}

}  // namespace

bool same_word(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

const std::string* Call::parameter(std::string_view name) const noexcept {
  if (endpoint.parameter(name) == nullptr) return nullptr;
  const auto* value = find_parameter(query, name);
  return value == nullptr || value->empty() ? nullptr : value;
}

bool Call::is_true(std::string_view name) const noexcept {
  const auto* value = parameter(name);
  return value != nullptr && same_word(*value, "true");
}

bool Call::gzip() const {
  const auto* accept = http::find_header(request.headers, "Accept-Encoding");
  return world.options.gzip && accept != nullptr && accept->find("gzip") != std::string::npos;
}

std::string Call::cache_key() const {
  return fmt::format("{}|{}|{}|{}", request.path, data().generation(), gzip() ? 1 : 0, request.query);
}

ServerResponse bad_parameter(const Call& call, std::string_view name, std::string_view value) {
  return error_answer(call.world, 400, "One or more validation errors occurred.", name,
                      fmt::format("The value '{}' is not valid for {}.", core::printable(value), name));
}

ServerResponse not_found(const Call& call) { return error_answer(call.world, 404, "Not Found"); }

std::optional<ServerResponse> check_parameters(const Call& call) {
  for (const auto& parameter : call.endpoint.parameters) {
    const auto* value = call.parameter(parameter.name);
    if (value == nullptr && parameter.required)
      return error_answer(call.world, 400, "One or more validation errors occurred.", parameter.name,
                          fmt::format("The {} field is required.", parameter.name));
    if (value == nullptr) continue;
    if (!readable(call.endpoint, parameter, *value)) return bad_parameter(call, parameter.name, *value);
    const bool list = parameter.name == "ids" || parameter.name == "externalDataValues";
    if (list && words_of(call, parameter.name).size() > kMaxIds) return bad_parameter(call, parameter.name, *value);
    if (parameter.name == "ids" && !all_ids(call)) return bad_parameter(call, parameter.name, *value);
  }
  return std::nullopt;
}

ServerResponse finish(const Call& call, std::string body, bool keep) {
  ServerResponse response;
  if (call.gzip() && body.size() > kGzipFrom) {
    body = codec::gzip(body);
    response.headers.emplace_back("Content-Encoding", "gzip");
  }
  if (keep && call.fault == nullptr) call.world.cache.offer(call.cache_key(), body);
  response.body = std::move(body);
  return response;
}

std::optional<ServerResponse> from_cache(const Call& call) {
  if (call.fault != nullptr) return std::nullopt;
  const auto* page = call.world.cache.find(call.cache_key());
  if (page == nullptr) return std::nullopt;
  ServerResponse response;
  response.body = *page;
  if (page->starts_with("\x1f\x8b")) response.headers.emplace_back("Content-Encoding", "gzip");
  return response;
}

void count_fetch(const Call& call, const std::string& page) {
  if (call.fault != nullptr && call.fault->spoils()) return;
  auto& pages = call.world.fetches[{call.store().tenant(), call.endpoint.resource->name}];
  if (pages.size() < kMaxFetchKeys || pages.contains(page)) ++pages[page];
}

void note_answer(const Call& call, std::string_view bytes, std::size_t row) {
  auto parameters = call.places;
  parameters.insert(parameters.end(), call.query.begin(), call.query.end());
  auto prefix = std::to_string(call.store().tenant()) + ":";
  if (call.endpoint.role == Role::report) prefix += record_key("$report_category+$reportId", {}, call.places, 0) + ":";
  const auto key = prefix + record_key(call.endpoint.key, bytes, parameters, row);
  auto& records = call.world.answered[{call.store().tenant(), call.endpoint.resource->name}];
  if (records.size() < kMaxFetchKeys || records.contains(key)) records[key] = record_hash(key, bytes);
}

std::vector<std::string> words_of(const Call& call, std::string_view name) {
  std::vector<std::string> out;
  for (const auto& [key, value] : call.query) {
    if (key != name) continue;
    for (std::string_view rest = value; !rest.empty();) {
      const auto end = std::min(rest.find(','), rest.size());
      if (end > 0) out.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return out;
}

}  // namespace stsync::sim
