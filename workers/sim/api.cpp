#include <algorithm>

#include <fmt/format.h>

#include "core/text.hpp"
#include "sim/call.hpp"
#include "sim/mangle.hpp"

namespace stsync::sim {
namespace {

using http::ServerRequest;
using http::ServerResponse;

ServerResponse no_operation() {
  ServerResponse response;
  response.status = 404;
  response.body = R"({ "statusCode": 404, "message": "Unable to match incoming request to an operation." })";
  return response;
}

/// The answer to a caller who may not come in.
std::optional<ServerResponse> refuse(World& world, const ServerRequest& request, std::int64_t tenant) {
  const auto* key = http::find_header(request.headers, "ST-App-Key");
  if (key == nullptr) return error_answer(world, 401, "Application key not present, check ST-App-Key header value.");
  if (*key != world.accounts.app_key()) return error_answer(world, 401, "Application key is not valid.");
  const auto* authorization = http::find_header(request.headers, "Authorization");
  const auto owner = authorization == nullptr ? std::nullopt : world.accounts.tenant_of(*authorization, world.clock.now());
  if (!owner) {
    ServerResponse response;  // as the gateway does: a bad or old token gets no body
    response.status = 401;
    response.content_type.clear();
    return response;
  }
  if (*owner != tenant) return error_answer(world, 403, "The token does not belong to this tenant.");
  return std::nullopt;
}

/// What the tenant has not granted or not bought.
std::optional<ServerResponse> refuse_resource(World& world, const Access& access, const Endpoint& endpoint) {
  if (access.without_modules.contains(endpoint.resource->api)) return no_operation();
  const bool without = std::any_of(access.without_scopes.begin(), access.without_scopes.end(), [&](const std::string& scope) {
    return !endpoint.scope.empty() && endpoint.scope.starts_with(scope);
  });
  if (without) return error_answer(world, 403, "Scope validation failed");
  return std::nullopt;
}

ServerResponse over_quota(World& world, core::Duration wait) {
  const auto seconds = std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::seconds>(wait).count());
  auto response = error_answer(world, 429, fmt::format("Rate limit is exceeded. Try again in {} seconds.", seconds));
  response.headers.emplace_back("Retry-After", std::to_string(seconds));
  return response;
}

ServerResponse answer(const Call& call) {
  if (auto bad = check_parameters(call)) return std::move(*bad);
  const auto& e = call.endpoint;
  if (e.resource->name == "reporting.dynamic-value-sets") return answer_value_set(call);
  if (e.role == Role::export_feed) return answer_feed(call);
  if (e.role == Role::report) return answer_report(call);
  if (e.shape == Shape::binary) return answer_file(call);
  if (answers_for_period(e)) return answer_period(call);
  return e.shape == Shape::object || e.shape == Shape::scalar ? answer_one(call) : answer_rows(call);
}

/// The endpoint behind the asynchronous ways to a report.
std::optional<Schema::Route> report_route(const ServerRequest& request) {
  static const auto& report = *Schema::get().find("reporting.reports")->endpoint(Role::report);
  constexpr std::string_view kQuery = "/query", kRuns = "/reporting/v2/tenant/";
  if (request.method == "POST" && request.path.ends_with("/data/query"))
    return Schema::get().route("POST", std::string_view(request.path).substr(0, request.path.size() - kQuery.size()));
  if (!request.path.starts_with(kRuns) || request.path.find("/data-queries/") == std::string::npos) return std::nullopt;
  const auto rest = std::string_view(request.path).substr(kRuns.size());
  const auto tenant = core::parse_int(rest.substr(0, rest.find('/')));
  return tenant ? std::optional(Schema::Route{&report, *tenant, {}}) : std::nullopt;
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
  const auto& access = world.tenants.at(grant.tenant).access;
  std::set<std::string> scopes;
  for (const auto& resource : Schema::get().resources())
    for (const auto& e : resource.endpoints)
      if (!e.scope.empty() && !refuse_resource(world, access, e)) scopes.insert(e.scope);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(world.accounts.token_life()).count();
  response.body = fmt::format(R"({{"access_token":"{}","expires_in":{},"token_type":"Bearer","scope":"{}"}})", grant.token, seconds,
                              fmt::join(scopes, " "));
  return response;
}

ServerResponse answer_api(World& world, const ServerRequest& request, const Fault* fault) {
  const auto runs = report_route(request);
  const auto route = runs ? runs : Schema::get().route(request.method, request.path);
  if (!route) return no_operation();
  if (auto refused = refuse(world, request, route->tenant)) {
    ++world.unauthorized;
    return std::move(*refused);
  }
  auto& t = world.tenants.at(route->tenant);  // whoever has a token of it
  ++t.calls;
  ++world.resource_calls[route->endpoint->resource->name];
  if (const auto decision = world.quota_of(t).take(world.clock.now()); !decision.allowed) {
    ++t.refused;
    return over_quota(world, decision.wait);
  }
  if (auto refused = refuse_resource(world, t.access, *route->endpoint)) return std::move(*refused);
  if (fault != nullptr && fault->status != 0) return fault_answer(world, *fault);
  const Call call{world, t, *route->endpoint, request, fault, route->places, http::parse_query(request.query)};
  auto response = runs ? answer_data_query(call, request.path).value_or(no_operation()) : answer(call);
  if (response.status == 200) ++t.ok;
  if (fault != nullptr && response.status == 200) mangle(*fault, call, response);
  return response;
}

}  // namespace stsync::sim
