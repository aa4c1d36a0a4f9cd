#include "servicetitan/api.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "codec/gzip.hpp"
#include "core/at_work.hpp"
#include "core/text.hpp"
#include "servicetitan/page_sizer.hpp"
#include "servicetitan/storage.hpp"

namespace stsync::servicetitan {

using core::ErrorKind;
using core::Result;

namespace {

/// Smaller bodies are inflated and cut on the loop: handing them over costs more.
constexpr std::size_t kInlineBody = 64u << 10;
/// What reports get besides 200 (facts 7).
constexpr int kUnderWay = 202, kGivenBack = 204;
constexpr core::Duration kLeasePoll = std::chrono::milliseconds(200);
/// A permit is used within this time, or another one is taken; not for ever, where this process is slow.
constexpr core::Duration kPermitGood = std::chrono::milliseconds(100);
constexpr int kPermitTries = 4;
constexpr std::chrono::milliseconds kTokenOutage(1000);
/// Pages handed to a helper at once: it never waits for the next, and tenants take turns in front of it.
constexpr std::size_t kAtHelper = 2;
/// What a turn of a small page costs, in bytes; larger ones cost as much more.
constexpr double kTurnBytes = 64 << 10;

/// An index entry, its place in the run of records and in the step that publishes it are about 56 bytes of a record, twice that
/// while the list grows: less than half of max_memory in the worst case.
constexpr std::size_t kMemoryOfRecord = 256;

PageLimits limits_of(const config::Worker& worker) {
  const auto max_body = static_cast<std::size_t>(worker.max_body);
  return {std::min(static_cast<std::size_t>(worker.page_buffer), max_body), max_body,
          static_cast<std::size_t>(worker.max_memory) / kMemoryOfRecord};
}

/// A refusal is compressed where a page would be. What does not inflate says nothing.
void inflate_refusal(http::Response& response) {
  const auto* encoding = http::find_header(response.headers, "Content-Encoding");
  if (response.status < 300 || encoding == nullptr || *encoding != "gzip") return;
  response.body = codec::gunzip(response.body, kInlineBody).value_or("");
}

std::string fill_path(std::string path, std::int64_t tenant, const Parameters& places) {
  const auto fill = [&path](const std::string& name, const std::string& value) {
    const auto place = "{" + name + "}";
    if (const auto at = path.find(place); at != std::string::npos) path.replace(at, place.size(), value);
  };
  fill("tenant", std::to_string(tenant));
  for (const auto& [name, value] : places) fill(name, http::percent_encode(value));
  return path;
}

/// The same page would take too long again; whoever asked can ask for a smaller one.
bool asks_for_too_much(const Request& request, const core::Error& error) {
  return PageSizer::can_shrink(request.page_size) && took_too_long(error);
}

/// Whether this is an answer, and no refusal.
bool answers(const Request& request, int status) {
  if (request.turn) return status == kUnderWay || status == kGivenBack;
  return request.wants_file() && status == kElsewhere;
}

/// Whether its host is in trouble, or the way there.
bool of_the_host(const core::Error& error) {
  const auto kind = error.kind();
  return kind == ErrorKind::network || kind == ErrorKind::timeout || kind == ErrorKind::tls;
}

/// A body above its limit says nothing of the others where it is a file.
core::Error as_file(const Request& request, core::Error error) {
  if (!request.wants_file() || error.kind() != ErrorKind::too_large) return error;
  return {ErrorKind::too_large, fmt::format("a file of more than {} bytes", request.max_file)};
}

}  // namespace

Api::Api(Parts parts)
    : p_(parts),
      limits_(limits_of(parts.config.worker)),
      helper_turns_(parts.clock, kAtHelper),
      large_turns_(parts.clock, kAtHelper) {}

core::WallTime Api::vendor_now() const {
  return p_.clock.wall_now() - std::chrono::milliseconds(std::max<std::int64_t>(vendor_behind_ms_, 0));
}

boost::asio::awaitable<bool> Api::wait(core::Duration d, core::StopToken stop) {
  const auto signal = p_.clock.make_signal();
  const auto on_stop = stop.on_stop([&signal] { signal->notify(); });
  if (stop.stop_requested()) co_return false;
  co_await signal->wait_until(p_.clock.now() + d);
  co_return !stop.stop_requested();
}

/// Longer where the tenant's calls fail so often that retries would add to the trouble.
boost::asio::awaitable<bool> Api::wait_to_retry(tokens::Account account, core::Duration d, core::StopToken stop) {
  do {
    if (!co_await wait(d, stop)) co_return false;
    d = p_.limiter.retry(account.app, account.tenant);
  } while (d > core::Duration(0));
  co_return true;
}

boost::asio::awaitable<Result<FetchedPage>> Api::get_page(tokens::Account account, Request request, CallLog& log,
                                                          CallObserver& observer, core::StopToken stop) {
  Attempts attempts;
  for (;;) {
    auto page = co_await attempt(account, request, log, observer, stop);
    if (page) co_return page;
    if (tokens::is_token_outage(page.error())) {
      // Not the call's fault: an outage of the token endpoint, however long, ends nothing.
      const auto pause = page.error().retry_after().value_or(kTokenOutage);
      observer.retrying(page.error(), pause);
      if (!co_await wait(pause, stop)) co_return core::fail(ErrorKind::cancelled, "stopped");
      continue;
    }
    if (asks_for_too_much(request, page.error())) co_return page;
    if (request.turn && page.error().kind() != ErrorKind::unauthorized) co_return page;
    const auto verdict = classify(page.error(), attempts, p_.rng);
    switch (verdict.remedy) {
      case Remedy::give_up:
        co_return page;
      case Remedy::slow_down:
        observer.throttled(page.error());
        // The quota would hold the next call; the storage of files has none.
        if (!co_await wait(page.error().retry_after().value_or(std::chrono::milliseconds(0)), stop))
          co_return core::fail(ErrorKind::cancelled, "stopped");
        break;
      case Remedy::new_token:
        break;
      case Remedy::retry:
        ++log.retries;
        observer.retrying(page.error(), verdict.wait);
        if (!co_await wait_to_retry(account, verdict.wait, stop)) co_return core::fail(ErrorKind::cancelled, "stopped");
        break;
    }
  }
}

boost::asio::awaitable<Result<FetchedPage>> Api::attempt(tokens::Account account, const Request& request, CallLog& log,
                                                         CallObserver& observer, core::StopToken stop) {
  auto wire = make_request(account, request);
  if (!wire) co_return core::fail(wire.error());
  auto response = co_await call(account, request, std::move(*wire), log, observer, stop);
  if (response && request.wants_file() && response->status == kElsewhere)
    response = co_await download(account, request, std::move(*response), stop);
  if (!response)
    co_return core::fail(with_advice(as_file(request, std::move(response.error())), *request.resource, *request.endpoint));
  auto page = co_await read(sharer(account, observer.work()), request, std::move(*response), observer.at_work());
  if (!page) co_return core::fail(as_file(request, std::move(page.error())));
  co_return page;
}

/// A file from where the API says that it lies, once and without our credentials. It is no call of the API, so it needs no permit.
boost::asio::awaitable<Result<http::Response>> Api::download(tokens::Account account, const Request& wanted,
                                                             http::Response redirect, core::StopToken stop) {
  const auto& environment = p_.config.find_tenant(account.app, account.tenant)->environment;
  const auto api = http::parse_url(p_.config.environments.at(environment).api_url);
  if (!api) co_return core::fail(api.error());
  const auto url = storage_url(redirect, api->origin);
  if (!url) co_return core::fail(url.error());
  auto& client = *(url->origin == api->origin ? p_.clients : p_.storage).at(environment);
  for (bool fresh : {false, true}) {
    auto connection = co_await client.connect(url->origin, fresh, stop);
    if (!connection) co_return core::fail(connection.error());
    http::Request request{.method = "GET", .target = url->target, .headers = {{"Accept", "*/*"}}, .body = {}};
    auto response = co_await (*connection)->exchange(std::move(request), exchange_limits(wanted), stop);
    if (!response && !fresh && (*connection)->stale()) continue;
    if (!response) co_return response;
    if (auto error = error_of_storage(*response, p_.clock.wall_now())) co_return core::fail(std::move(*error));
    co_return response;
  }
  co_return core::fail(ErrorKind::network, "the storage of files closes every connection before it answers");
}

http::ExchangeLimits Api::exchange_limits(const Request& request) const {
  return {.max_body = request.wants_file() ? std::min(limits_.max_body, request.max_file) : limits_.max_body,
          .spool = &p_.spool,
          .in_memory = limits_.in_memory};
}

/// What a call needs.
struct Api::Ready {
  limits::Permit permit;
  std::unique_ptr<http::Connection> connection;
  tokens::Token token;
};

/// Permit, connection and token, for a call at once: what is paced is what the vendor counts. The token is looked at before the
/// wait and again after it, because a long freeze may outlive it. Where a new connection or a token takes its time, the permit's
/// moment has passed: another one is waited for, with them at hand.
boost::asio::awaitable<Result<Api::Ready>> Api::make_ready(tokens::Account account, const Request& wanted, CallObserver& observer,
                                                           bool fresh, core::StopToken stop) {
  const auto* tenant = p_.config.find_tenant(account.app, account.tenant);
  core::check(tenant != nullptr, "a call for a tenant that is not configured");
  const auto url = http::parse_url(p_.config.environments.at(tenant->environment).api_url);
  if (!url) co_return core::fail(url.error());
  auto& client = *p_.clients.at(tenant->environment);
  const limits::Caller caller{account.app, account.tenant, observer.work(), wanted.resource->name,
                              wanted.resource->requests_per_second};
  std::unique_ptr<http::Connection> connection;
  for (int tries = 1;; ++tries) {
    while (!observer.may_call())
      if (!co_await wait(kLeasePoll, stop)) co_return core::fail(ErrorKind::cancelled, "stopped");
    if (auto first = co_await p_.tokens.get(account, stop); !first) co_return core::fail(first.error());
    auto permit = co_await p_.limiter.acquire(caller, stop);
    if (!permit) co_return core::fail(permit.error());
    p_.metrics.permit(account.app, limits::name_of(permit->waited_for()), std::chrono::duration<double>(permit->waited()).count());
    if (!observer.may_call()) continue;  // it was a long wait
    if (!connection) {
      auto dialled = co_await client.connect(url->origin, fresh, stop);
      if (!dialled) {
        if (of_the_host(dialled.error())) permit->failed();
        p_.metrics.api_call(account.app, account.tenant, wanted.resource->name, 0, 0);
        co_return core::fail(dialled.error());
      }
      connection = std::move(*dialled);
    }
    auto token = co_await p_.tokens.get(account, stop);
    if (!token) co_return core::fail(token.error());
    if (p_.clock.now() - permit->given_at() > kPermitGood && tries < kPermitTries) continue;
    co_return Ready{std::move(*permit), std::move(connection), std::move(*token)};
  }
}

boost::asio::awaitable<Result<http::Response>> Api::call(tokens::Account account, const Request& wanted, http::Request request,
                                                         CallLog& log, CallObserver& observer, core::StopToken stop) {
  for (bool fresh : {false, true}) {
    auto ready = co_await make_ready(account, wanted, observer, fresh, stop);
    if (!ready) co_return core::fail(ready.error());
    auto copy = request;
    copy.headers.emplace_back("Authorization", "Bearer " + ready->token.text.reveal());
    ready->permit.leaves();
    const auto start = p_.clock.now();
    ++log.calls;
    log.sent = p_.clock.wall_now();
    auto response = co_await ready->connection->exchange(std::move(copy), exchange_limits(wanted), stop);
    const auto seconds = std::chrono::duration<double>(p_.clock.now() - start).count();
    p_.metrics.api_call(account.app, account.tenant, wanted.resource->name, response ? response->status : 0, seconds);
    if (!response) {
      // Told apart from a connection or a token that took too long: this may be due to what was asked for.
      if (response.error().kind() == ErrorKind::timeout) response.error().with_status(kTooSlow);
      if (!fresh && ready->connection->stale()) continue;  // the server had closed it: never answered, asked again on a new one
      if (of_the_host(response.error()) && !asks_for_too_much(wanted, response.error())) ready->permit.failed();
      co_return core::fail(response.error());
    }
    if (response->status >= 500)
      ready->permit.failed();
    else
      ready->permit.answered();
    inflate_refusal(*response);
    if (auto error = refusal(account, wanted, *ready, *response, log)) co_return core::fail(std::move(*error));
    co_return std::move(*response);
  }
  co_return core::fail(ErrorKind::network, "the server closes every connection before it answers");
}

limits::Sharer Api::sharer(const tokens::Account& account, limits::WorkClass work) const {
  return {account.app, account.tenant, work, p_.config.find_tenant(account.app, account.tenant)->weight};
}

/// Nothing: the response is an answer.
std::optional<core::Error> Api::refusal(const tokens::Account& account, const Request& wanted, Ready& ready,
                                        const http::Response& response, CallLog& log) {
  const auto vendors_now = note_date(response);
  auto error = error_of_status(response.status, response.body, http::find_header(response.headers, "Retry-After"), vendors_now);
  if (!error || answers(wanted, response.status)) return std::nullopt;
  if (error->kind() == ErrorKind::throttled) {
    ++log.throttled;
    p_.metrics.refused(account.app);
    if (!wanted.turn) {
      ready.permit.refused(error->retry_after() ? std::optional<core::Duration>(*error->retry_after()) : std::nullopt);
      p_.metrics.freeze(account.app);
    }
  }
  if (error->kind() == ErrorKind::unauthorized) p_.tokens.drop(account, ready.token.generation);
  return error;
}

boost::asio::awaitable<Result<FetchedPage>> Api::read(limits::Sharer who, const Request& request, http::Response response,
                                                      std::string at_work) {
  if (request.turn && (response.status == kGivenBack || request.method == "DELETE"))
    co_return FetchedPage{std::make_shared<const core::Body>(), {}, kGivenBack};
  const auto status = response.status;
  auto fields = request.fields;
  if (status == kUnderWay) fields.columns = false;
  // Results of runs are said to be gzip files, whatever their headers say; no JSON begins like one.
  if (request.turn && response.body.starts_with("\x1f\x8b") && http::find_header(response.headers, "Content-Encoding") == nullptr)
    response.headers.emplace_back("Content-Encoding", "gzip");
  auto limits = limits_;
  limits.max_body = exchange_limits(request).max_body;
  limits.in_memory = std::min(limits.in_memory, limits.max_body);
  const bool small = response.body.size() < kInlineBody && http::find_header(response.headers, "Content-Encoding") == nullptr;
  std::optional<Result<FetchedPage>> page;
  if (small) {
    const core::AtWork mark(at_work);
    page = read_page(response, fields, limits);
  } else if (!response.spooled) {
    const auto cost = std::max(1.0, static_cast<double>(response.body.size()) / kTurnBytes);
    const auto turn = co_await helper_turns_.enter(who, 1, cost, {});
    auto job = [&response, fields = fields, limits, &at_work] {
      const core::AtWork mark(at_work);
      return read_page(response, fields, limits);
    };
    page = co_await core::run_on(p_.helpers, std::move(job));
  }
  if (page && *page) (*page)->status = status;
  if (page) co_return std::move(*page);
  const auto turn = co_await large_turns_.enter(who, 1, 1, {});
  auto job = [response = std::move(response), fields = fields, limits, spool = &p_.spool, &at_work]() mutable {
    const core::AtWork mark(at_work);
    return read_large_page(std::move(response), fields, limits, *spool);
  };
  co_return co_await core::run_on(p_.large_helpers, std::move(job));
}

Result<http::Request> Api::make_request(const tokens::Account& account, const Request& wanted) const {
  const auto* app = p_.config.find_app(account.app);
  core::check(app != nullptr, "a request for an app that is not configured");
  const auto key = app->app_key.read();
  if (!key) return core::fail(key.error());
  http::Request request;
  request.method = wanted.method.empty() ? wanted.endpoint->method : wanted.method;
  request.body = wanted.body;
  request.target = fill_path(wanted.path.empty() ? wanted.endpoint->path : wanted.path, account.tenant, wanted.places);
  char separator = '?';
  for (const auto& [name, value] : wanted.query) {
    request.target += separator + http::percent_encode(name) + "=" + http::percent_encode(value);
    separator = '&';
  }
  request.headers = {{"Accept", wanted.wants_file() ? "*/*" : "application/json"}, {"ST-App-Key", key->reveal()}};
  if (!wanted.wants_file()) request.headers.emplace_back("Accept-Encoding", "gzip");
  if (!request.body.empty()) request.headers.emplace_back("Content-Type", "application/json");
  return request;
}

/// What the vendor's clock says, as far as it does; ours else.
core::WallTime Api::note_date(const http::Response& response) {
  const auto ours = p_.clock.wall_now();
  const auto* date = http::find_header(response.headers, "Date");
  const auto theirs = date == nullptr ? std::nullopt : parse_http_date(*date);
  if (!theirs) return ours;
  // A Date is whole seconds: a second behind is no skew.
  vendor_behind_ms_ = std::max<std::int64_t>(0, (ours - *theirs).count() - 1000);
  return *theirs;
}

}  // namespace stsync::servicetitan
