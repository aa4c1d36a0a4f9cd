#pragma once
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "core/task_group.hpp"
#include "servicetitan/api.hpp"
#include "servicetitan/quota.hpp"
#include "support/vendor.hpp"
#include "support/virtual_clock.hpp"

namespace stsync::servicetitan {

using boost::asio::awaitable;
using core::Duration;
using core::ErrorKind;
using core::Result;
using namespace std::chrono_literals;

inline constexpr const char* kPage = R"({"hasMore":false,"continueFrom":"x","data":[{"id":1},{"id":2}]})";

inline Result<http::Response> answer(int status, std::string body, http::Headers headers = {}) {
  return http::Response{status, std::move(headers), std::move(body)};
}

struct Watcher final : CallObserver {
  void throttled(const core::Error&) override { ++throttles; }
  void retrying(const core::Error&, Duration wait) override { waits.push_back(wait); }
  bool may_call() override { return leased; }
  limits::WorkClass work() const override { return limits::WorkClass::incremental; }
  int throttles = 0;
  std::vector<Duration> waits;
  bool leased = true;
};

inline config::Config two_tenants() {
  config::Config c;
  c.worker.page_buffer = 256u << 10;
  c.worker.max_body = 1u << 20;
  c.environments["local"] = {"local", "https://api.example:8443", "https://auth.example/connect/token", ""};
  config::App app;
  app.name = "acme";
  app.app_key.value = core::Secret("ak1.secret");
  app.limits.requests_per_second = 60;
  for (const std::int64_t id : {1001, 1002}) {
    config::Tenant tenant;
    tenant.id = id;
    tenant.environment = "local";
    app.tenants.push_back(tenant);
  }
  c.apps.push_back(app);
  return c;
}

/// Two rows of half a megabyte, an envelope behind them.
inline std::string large_page() {
  const std::string text(500'000, 'x');
  return R"({"data":[{"id":1,"t":")" + text + R"(","modifiedOn":"2026-01-01T00:00:00Z"},{"t":")" + text +
         R"(","id":"b\u0061"}],"hasMore":false,"continueFrom":"x"})";
}

/// Calls of one resource, answered by a vendor in memory.
struct ApiTest : ::testing::Test {
  ApiTest() {
    auto owned = std::make_unique<test::Vendor>(clock);
    vendor = owned.get();
    vendor->answer = [](const auto&) { return answer(200, kPage); };
    clients["local"] = std::move(owned);
    resource.name = "jpm.jobs";
    Endpoint endpoint;
    endpoint.role = Role::export_feed;
    endpoint.path = "/jpm/v2/tenant/{tenant}/export/jobs";
    resource.endpoints.push_back(std::move(endpoint));
  }
  ~ApiTest() override {
    stop.request_stop();
    tasks.spawn("close", tokens.close());
    clock.run_for(10min);
    EXPECT_TRUE(tasks.running().empty());
  }
  awaitable<void> get(Query query) {
    auto request = Target{&resource, &resource.endpoints.front()}.request();
    request.query = std::move(query);
    request.page_size = page_size;
    result = co_await api.get_page(account, std::move(request), log, watcher, stop.token());
  }
  void start(Query query = {}) {
    result.reset();
    tasks.spawn("page", get(std::move(query)));
    clock.run_for(0s);
  }
  const Result<FetchedPage>& page(Duration limit = 1h) {
    start();
    EXPECT_TRUE(clock.run_until([&] { return result.has_value(); }, limit));
    return *result;
  }
  /// The first answers are these, all others the usual page.
  void first(std::deque<Result<http::Response>> answers) {
    vendor->answer = [answers = std::move(answers)](const auto&) mutable {
      if (answers.empty()) return answer(200, kPage);
      auto a = std::move(answers.front());
      answers.pop_front();
      return a;
    };
  }
  const std::string* sent(std::size_t i, const char* name) { return http::find_header(vendor->seen.at(i).request.headers, name); }

  boost::asio::io_context loop;
  stsync::test::VirtualClock clock{loop};
  core::Rng rng{5};
  config::Config config = two_tenants();
  std::map<std::string, std::unique_ptr<http::Client>> clients, storage;
  test::Vendor* vendor = nullptr;
  test::TokenDesk desk;
  tokens::PacedGate gate{clock};
  tokens::Observer token_observer;
  tokens::Tokens tokens{loop.get_executor(), clock, rng, desk, gate, token_observer};
  limits::Limiter limiter{clock, rng, quota_terms(config)};
  telemetry::Metrics metrics{true};
  core::ThreadPool helpers{"helpers", 1}, large_helpers{"large", 1};
  core::Spool spool{::testing::TempDir()};
  Api api{{clock, rng, config, clients, storage, tokens, limiter, metrics, helpers.executor(), large_helpers.executor(), spool}};
  core::TaskGroup tasks{loop.get_executor(), clock};
  core::StopSource stop;
  int page_size = 0;
  tokens::Account account{"acme", 1001};
  Resource resource;
  CallLog log;
  Watcher watcher;
  std::optional<Result<FetchedPage>> result;
};

}  // namespace stsync::servicetitan
