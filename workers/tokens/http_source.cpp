#include "tokens/http_source.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "codec/page.hpp"

namespace stsync::tokens {

using core::ErrorKind;

namespace {
constexpr http::ExchangeLimits kLimits{.first_byte = std::chrono::seconds(30),
                                       .idle_body = std::chrono::seconds(10),
                                       .total = std::chrono::seconds(40),
                                       .max_body = 64u << 10,
                                       .max_header = 64u << 10};
constexpr core::Duration kDefaultLife = std::chrono::seconds(900);
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
}  // namespace

HttpTokenSource::HttpTokenSource(const config::Config& config, const std::map<std::string, std::unique_ptr<http::Client>>& clients)
    : config_(config), clients_(clients) {}

boost::asio::awaitable<core::Result<Fetched>> HttpTokenSource::fetch(Account account, core::StopToken stop) {
  const auto* tenant = config_.find_tenant(account.app, account.tenant);
  if (tenant == nullptr) co_return core::fail(ErrorKind::bad_config, "the tenant is no longer configured");
  const auto id = tenant->client_id.read();
  if (!id) co_return core::fail(id.error());
  const auto secret = tenant->client_secret.read();
  if (!secret) co_return core::fail(secret.error());
  const auto url = http::parse_url(config_.environments.at(tenant->environment).token_url);
  if (!url) co_return core::fail(url.error());

  http::Request request;
  request.method = "POST";
  request.target = url->target;
  request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}, {"Accept", "application/json"}};
  request.body = fmt::format("grant_type=client_credentials&client_id={}&client_secret={}", http::percent_encode(id->reveal()),
                             http::percent_encode(secret->reveal()));
  auto& client = *clients_.at(tenant->environment);
  for (bool fresh : {false, true}) {
    auto connection = co_await client.connect(url->origin, fresh, stop);
    if (!connection) co_return core::fail(connection.error().within("connecting to the token endpoint"));
    auto copy = request;
    auto response = co_await (*connection)->exchange(std::move(copy), kLimits, stop);
    if (response) co_return read_token_answer(response->status, response->body);
    if (fresh || !(*connection)->stale()) co_return core::fail(response.error().within("asking for a token"));
  }
  co_return core::fail(ErrorKind::internal, "unreachable");
}

core::Result<Fetched> read_token_answer(int status, const std::string& body) {
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
                   life ? core::Duration(std::chrono::seconds(std::clamp<std::int64_t>(*life, 0, 31'536'000))) : kDefaultLife};
  }
  const auto reason = error_code(text("error"));
  if (status == 400 || status == 401 || status == 403)
    return core::fail(
        core::Error(ErrorKind::unauthorized, fmt::format("the token endpoint refuses the client: {} {}", status, reason))
            .with_status(status));
  const auto kind = status == 429 ? ErrorKind::throttled : ErrorKind::server;
  return core::fail(core::Error(kind, fmt::format("the token endpoint answered {} {}", status, reason)).with_status(status));
}

}  // namespace stsync::tokens
