#include <algorithm>
#include <cctype>
#include <charconv>

#include <fmt/format.h>

#include "codec/gzip.hpp"
#include "core/text.hpp"
#include "sim/feed_token.hpp"
#include "sim/world.hpp"

namespace stsync::sim {
namespace {

using http::ServerRequest;
using http::ServerResponse;

constexpr std::size_t kMaxIds = 50;
constexpr std::size_t kMaxFetchKeys = 1'000'000;
constexpr std::size_t kGzipFrom = 1024;

/// A request on its way to the data.
struct Call {
  World& world;
  Dataset& dataset;
  const ServerRequest& request;
  const Fault* fault;
  std::vector<std::pair<std::string, std::string>> query;

  const std::string* parameter(std::string_view name) const {
    const auto at = std::find_if(query.begin(), query.end(), [name](const auto& p) { return p.first == name; });
    return at == query.end() ? nullptr : &at->second;
  }
  bool gzip() const {
    const auto* accept = http::find_header(request.headers, "Accept-Encoding");
    return world.options.gzip && accept && accept->find("gzip") != std::string::npos;
  }
  /// Everything the body depends on but the fault.
  std::string cache_key() const {
    return fmt::format("{}|{}|{}|{}|{}", dataset.tenant(), dataset.resource().name, dataset.generation(), gzip() ? 1 : 0,
                       request.query);
  }
};

ServerResponse bad_parameter(const Call& call, std::string_view name, std::string_view value) {
  return error_answer(call.world, 400, "One or more validation errors occurred.", name,
                      fmt::format("The value '{}' is not valid for {}.", core::printable(value), name));
}

ServerResponse finish(const Call& call, std::string body, bool keep) {
  ServerResponse response;
  if (call.gzip() && body.size() > kGzipFrom) {
    body = codec::gzip(body);
    response.headers.emplace_back("Content-Encoding", "gzip");
  }
  if (keep && !call.fault) call.world.cache.offer(call.cache_key(), body);
  response.body = std::move(body);
  return response;
}

std::optional<ServerResponse> from_cache(const Call& call) {
  if (call.fault) return std::nullopt;
  const auto* page = call.world.cache.find(call.cache_key());
  if (!page) return std::nullopt;
  ServerResponse response;
  response.body = *page;
  if (page->starts_with("\x1f\x8b")) response.headers.emplace_back("Content-Encoding", "gzip");
  return response;
}

void count_fetch(const Call& call, const std::string& page) {
  auto& pages = call.world.fetches[{call.dataset.tenant(), std::string(call.dataset.resource().name)}];
  if (pages.size() < kMaxFetchKeys || pages.contains(page)) ++pages[page];
}

ServerResponse answer_export(const Call& call) {
  auto& world = call.world;
  const auto* from_parameter = call.parameter("from");
  const std::string from = from_parameter ? *from_parameter : "";
  Dataset::Position start;
  if (const auto date = core::parse_utc(from)) {
    start = {to_ticks(*date), -1};
  } else if (!from.empty()) {
    const auto position = read_feed_token(world.options.seed, call.dataset, from);
    if (!position) return bad_parameter(call, "from", from);
    start = *position;
  }
  const auto* recent = call.parameter("includeRecentChanges");
  auto until = to_ticks(world.clock.wall_now());
  if (!recent || *recent != "true")
    until -= std::chrono::duration_cast<std::chrono::milliseconds>(world.options.export_delay).count() * kTicksPerMs;
  count_fetch(call, from);
  if (auto page = from_cache(call)) return std::move(*page);
  std::string rows;
  rows.reserve(world.options.export_page * (world.options.record_bytes + world.options.record_bytes / 4) + 256);
  rows += R"({"data":[)";
  const auto slice = call.dataset.append_export(rows, start, until, world.options.export_page);
  const bool repeat = call.fault && call.fault->repeat_token;
  const auto token = repeat ? from : make_feed_token(world.options.seed, call.dataset, slice.last);
  rows += fmt::format(R"(],"hasMore":{},"continueFrom":"{}"}})", slice.more || repeat, token);
  // Only a full page is final: the last one grows.
  return finish(call, std::move(rows), slice.more);
}

/// A time parameter into `out`; false when it is no time.
bool read_time(const Call& call, std::string_view name, std::optional<Ticks>& out) {
  const auto* text = call.parameter(name);
  if (!text) return true;
  const auto time = core::parse_utc(*text);
  if (time) out = to_ticks(*time);
  return time.has_value();
}

bool one_of(std::string_view list, std::string_view word) {
  return !word.empty() && fmt::format("|{}|", list).find(fmt::format("|{}|", word)) != std::string::npos;
}

/// The filter of a list, or the answer to a parameter that cannot be read. Unknown parameters are ignored, as the vendor does.
core::Result<Dataset::Filter> read_filter(const Call& call) {
  const auto bad = [](std::string_view name) { return core::fail(core::ErrorKind::bad_request, std::string(name)); };
  Dataset::Filter filter;
  if (!read_time(call, "modifiedOnOrAfter", filter.modified_from)) return bad("modifiedOnOrAfter");
  if (!read_time(call, "modifiedBefore", filter.modified_before)) return bad("modifiedBefore");
  if (!read_time(call, "createdOnOrAfter", filter.created_from)) return bad("createdOnOrAfter");
  if (!read_time(call, "createdBefore", filter.created_before)) return bad("createdBefore");
  if (const auto* active = call.parameter("active")) {
    std::string word = *active;
    std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (word != "true" && word != "false" && word != "any") return bad("active");
    filter.active = word == "any" ? std::nullopt : std::optional(word == "true");
  }
  const auto* sort = call.parameter("sort");
  if (sort && !call.dataset.resource().sorts.empty()) {
    const bool direction = sort->starts_with('+') || sort->starts_with('-') || sort->starts_with(' ');
    if (!direction || !one_of(call.dataset.resource().sorts, sort->substr(1))) return bad("sort");
    // An unescaped "+" arrives as a blank and is taken for what was meant.
    filter.sort = (sort->front() == '-' ? "-" : "+") + sort->substr(1);
  }
  return filter;
}

/// A number parameter of at least 1; nothing when it is something else.
std::optional<std::size_t> read_number(const Call& call, std::string_view name, std::size_t otherwise) {
  const auto* text = call.parameter(name);
  if (!text) return otherwise;
  const auto number = core::parse_int(*text);
  return number && *number >= 1 ? std::optional(static_cast<std::size_t>(*number)) : std::nullopt;
}

/// The rows with these ids out of `rows`; nothing when the list is longer than the vendor allows or holds no ids.
std::optional<std::vector<Dataset::Index>> only_ids(const Call& call, const std::vector<Dataset::Index>& rows,
                                                    std::string_view ids) {
  std::vector<Dataset::Index> wanted;
  std::size_t count = 0;
  while (!ids.empty()) {
    const auto end = std::min(ids.find(','), ids.size());
    const auto id = core::parse_int(ids.substr(0, end));
    if (!id || ++count > kMaxIds) return std::nullopt;
    if (const auto index = call.dataset.find(*id)) wanted.push_back(*index);
    ids.remove_prefix(std::min(end + 1, ids.size()));
  }
  std::vector<Dataset::Index> out;
  std::copy_if(rows.begin(), rows.end(), std::back_inserter(out),
               [&](Dataset::Index i) { return std::find(wanted.begin(), wanted.end(), i) != wanted.end(); });
  return out;
}

std::string render_page(const Call& call, const std::vector<Dataset::Index>& rows, std::size_t page, std::size_t page_size) {
  const auto begin = page - 1 > rows.size() / page_size ? rows.size() : std::min(rows.size(), (page - 1) * page_size);
  const auto end = std::min(rows.size(), begin + page_size);
  const auto* total = call.parameter("includeTotal");
  const bool with_total = total && (*total == "true" || *total == "True");
  auto body = fmt::format(R"({{"page":{},"pageSize":{},"hasMore":{},"totalCount":{},"data":[)", page, page_size, end < rows.size(),
                          with_total ? std::to_string(rows.size()) : "null");
  body.reserve(body.size() + (end - begin) * (call.world.options.record_bytes + call.world.options.record_bytes / 4) + 16);
  for (auto i = begin; i < end; ++i) {
    if (i > begin) body += ',';
    call.dataset.append(body, rows[i]);
  }
  return body += "]}";
}

ServerResponse answer_list(const Call& call) {
  const auto filter = read_filter(call);
  if (!filter) return bad_parameter(call, filter.error().message(), *call.parameter(filter.error().message()));
  const auto page = read_number(call, "page", 1);
  if (!page) return bad_parameter(call, "page", *call.parameter("page"));
  const auto page_size = read_number(call, "pageSize", 50);
  if (!page_size) return bad_parameter(call, "pageSize", *call.parameter("pageSize"));
  auto rows = call.dataset.select(*filter);
  if (const auto* ids = call.parameter("ids"); ids && !ids->empty()) {
    auto some = only_ids(call, *rows, *ids);
    if (!some) return bad_parameter(call, "ids", *ids);
    rows = std::make_shared<const std::vector<Dataset::Index>>(std::move(*some));
  }
  const auto text = [&call](std::string_view name) { return call.parameter(name) ? *call.parameter(name) : std::string(); };
  count_fetch(call, fmt::format("{}..{} {} {}", text("modifiedOnOrAfter"), text("modifiedBefore"), text("ids"), *page));
  if (auto cached = from_cache(call)) return std::move(*cached);
  return finish(call, render_page(call, *rows, *page, std::min(*page_size, call.world.options.max_page_size)), true);
}

/// "/jpm/v2/tenant/1001/export/jobs" taken apart.
struct Route {
  const Resource* resource;
  std::int64_t tenant;
};
std::optional<Route> find_route(std::string_view path) {
  constexpr std::string_view kTenant = "/tenant/";
  const auto mark = path.find(kTenant);
  if (mark == std::string_view::npos || mark < 2) return std::nullopt;
  const auto module = path.substr(1, mark - 1);
  auto rest = path.substr(mark + kTenant.size());
  const auto slash = rest.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto tenant = core::parse_int(rest.substr(0, slash));
  rest.remove_prefix(slash + 1);
  if (!tenant) return std::nullopt;
  for (const auto& resource : resources())
    if (resource.module == module && resource.path == rest) return Route{&resource, *tenant};
  return std::nullopt;
}

/// The answer to a caller who may not come in.
std::optional<ServerResponse> refuse(World& world, const ServerRequest& request, std::int64_t tenant) {
  const auto* key = http::find_header(request.headers, "ST-App-Key");
  if (!key) return error_answer(world, 401, "Application key not present, check ST-App-Key header value.");
  if (*key != world.accounts.app_key()) return error_answer(world, 401, "Application key is not valid.");
  const auto* authorization = http::find_header(request.headers, "Authorization");
  const auto owner = authorization ? world.accounts.tenant_of(*authorization, world.clock.now()) : std::nullopt;
  if (!owner) {
    ServerResponse response;  // as the gateway does: a bad or old token gets no body
    response.status = 401;
    response.content_type.clear();
    return response;
  }
  if (*owner != tenant) return error_answer(world, 403, "The token does not belong to this tenant.");
  return std::nullopt;
}

ServerResponse over_quota(World& world, core::Duration wait) {
  const auto seconds = std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::seconds>(wait).count());
  auto response = error_answer(world, 429, fmt::format("Rate limit is exceeded. Try again in {} seconds.", seconds));
  response.headers.emplace_back("Retry-After", std::to_string(seconds));
  return response;
}

}  // namespace

ServerResponse answer_token(World& world, const ServerRequest& request) {
  ++world.token_calls;
  ServerResponse response;
  if (request.method != "POST") {
    response.status = 405;
    return response;
  }
  const auto grant = world.accounts.grant(request.body, world.clock.now());
  if (grant.token.empty()) {
    response.status = 400;
    response.body = fmt::format(R"({{"error":"{}"}})", grant.error);
    return response;
  }
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(world.accounts.token_life()).count();
  response.body =
      fmt::format(R"({{"access_token":"{}","expires_in":{},"token_type":"Bearer","scope":"tn.jpm.jobs:r tn.crm.customers:r"}})",
                  grant.token, seconds);
  return response;
}

ServerResponse answer_api(World& world, const ServerRequest& request, const Fault* fault) {
  const auto route = find_route(request.path);
  const auto data = route ? world.data.find({route->tenant, std::string(route->resource->name)}) : world.data.end();
  if (!route || request.method != "GET") {
    ServerResponse response;
    response.status = 404;
    response.body = R"({ "statusCode": 404, "message": "Unable to match incoming request to an operation." })";
    return response;
  }
  if (auto refused = refuse(world, request, route->tenant)) {
    ++world.unauthorized;
    return std::move(*refused);
  }
  auto& stats = world.stats.at(route->tenant);
  ++stats.calls;
  ++world.resource_calls[std::string(route->resource->name)];
  if (const auto decision = stats.quota.take(world.clock.now()); !decision.allowed) {
    ++stats.refused;
    return over_quota(world, decision.wait);
  }
  if (fault && fault->status != 0) return fault_answer(world, *fault);
  const Call call{world, data->second, request, fault, http::parse_query(request.query)};
  auto response = route->resource->feed ? answer_export(call) : answer_list(call);
  if (response.status == 200) ++stats.ok;
  return response;
}

}  // namespace stsync::sim
