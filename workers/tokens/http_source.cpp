#include "tokens/http_source.hpp"

#include <fmt/format.h>

namespace stsync::tokens {

using core::ErrorKind;

namespace {
constexpr http::ExchangeLimits kLimits{.first_byte = std::chrono::seconds(30),
                                       .idle_body = std::chrono::seconds(10),
                                       .total = std::chrono::seconds(40),
                                       .max_body = 64u << 10,
                                       .max_header = 64u << 10};
}  // namespace

HttpTokenSource::HttpTokenSource(const config::Config& config, const std::map<std::string, std::unique_ptr<http::Client>>& clients)
    : config_(config), clients_(clients) {}

bool HttpTokenSource::has_another(const Account& account) const {
  const auto found = rotations_.find(account);
  return found != rotations_.end() && found->second.has_another();
}

bool HttpTokenSource::changed(const Account& account) const {
  const auto found = rotations_.find(account);
  return found != rotations_.end() && found->second.changed(configured(account));
}

core::Result<Credentials> HttpTokenSource::configured(const Account& account) const {
  const auto* tenant = config_.find_tenant(account.app, account.tenant);
  if (tenant == nullptr) return core::fail(ErrorKind::bad_config, "the tenant is no longer configured");
  auto id = tenant->client_id.read();
  if (!id) return core::fail(std::move(id.error()));
  auto secret = tenant->client_secret.read();
  if (!secret) return core::fail(std::move(secret.error()));
  return Credentials{std::move(*id), std::move(*secret)};
}

boost::asio::awaitable<core::Result<Fetched>> HttpTokenSource::fetch(Account account, core::StopToken stop) {
  auto& rotation = rotations_[account];
  auto credentials = rotation.choose(configured(account));
  if (!credentials) co_return core::fail(std::move(credentials.error()));
  auto answer = co_await request(account, std::move(*credentials), stop);
  if (answer) {
    rotation.worked();
    answer->fallback = rotation.fell_back();
  } else if (answer.error().kind() == ErrorKind::unauthorized) {
    rotation.refused();
  }
  co_return answer;
}

boost::asio::awaitable<core::Result<Fetched>> HttpTokenSource::request(Account account, Credentials credentials,
                                                                       core::StopToken stop) {
  const auto* tenant = config_.find_tenant(account.app, account.tenant);
  if (tenant == nullptr) co_return core::fail(ErrorKind::bad_config, "the tenant is no longer configured");
  const auto url = http::parse_url(config_.environments.at(tenant->environment).token_url);
  if (!url) co_return core::fail(url.error());

  http::Request request;
  request.method = "POST";
  request.target = url->target;
  request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}, {"Accept", "application/json"}};
  request.body = fmt::format("grant_type=client_credentials&client_id={}&client_secret={}",
                             http::percent_encode(credentials.id.reveal()), http::percent_encode(credentials.secret.reveal()));
  auto& client = *clients_.at(tenant->environment);
  for (bool fresh : {false, true}) {
    auto connection = co_await client.connect(url->origin, fresh, stop);
    if (!connection) co_return core::fail(connection.error().within("connecting to the token endpoint"));
    auto copy = request;
    auto response = co_await (*connection)->exchange(std::move(copy), kLimits, stop);
    if (response) co_return read_token_answer(response->status, response->body, response->headers);
    if (fresh || !(*connection)->stale()) co_return core::fail(response.error().within("asking for a token"));
  }
  co_return core::fail(ErrorKind::internal, "unreachable");
}

}  // namespace stsync::tokens
