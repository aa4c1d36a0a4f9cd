// The managers of tokens and limits together, under random latencies, refusals, outages, rotations and clock jumps, in virtual
// time: what the vendor counts, and whether everybody gets what he waits for. A seed that fails is played again with STSYNC_SEED=N.
#include <algorithm>
#include <cstdlib>
#include <deque>
#include <set>

#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "core/task_group.hpp"
#include "servicetitan/api.hpp"
#include "servicetitan/quota.hpp"
#include "support/seeds.hpp"
#include "support/virtual_clock.hpp"

namespace stsync::servicetitan {
namespace {

using boost::asio::awaitable;
using core::Duration;
using core::ErrorKind;
using core::Result;
using core::TimePoint;
using namespace std::chrono_literals;

Duration between(core::Rng& rng, Duration low, Duration high) {
  return low + std::chrono::duration_cast<Duration>((high - low) * rng.unit());
}

/// What the vendor allows and counts.
class Vendor {
 public:
  Vendor(core::Clock& clock, core::Rng& rng, double quota) : clock_(clock), rng_(rng), quota_(static_cast<std::size_t>(quota)) {}

  std::string give_token(const tokens::Account& account, Duration life) {
    const auto token = std::to_string(++given_);
    tokens_[token] = {account, clock_.now() + life, false};
    return token;
  }
  void revoke_all(std::int64_t tenant) {
    for (auto& [text, token] : tokens_) token.revoked |= token.account.tenant == tenant;
  }
  http::Response answer(const http::Request& request) {
    const auto& token = tokens_.at(http::find_header(request.headers, "Authorization")->substr(7));
    EXPECT_TRUE(token.revoked || clock_.now() < token.ends) << "a token that has expired was used";
    const auto tenant = token.account.tenant;
    EXPECT_NE(request.target.find("/" + std::to_string(tenant) + "/"), std::string::npos) << "another tenant's token";
    auto& counted = calls_[whole_app ? 0 : tenant];
    while (!counted.empty() && clock_.now() - counted.front() >= 1s) counted.pop_front();
    if (counted.size() >= quota_) {
      ++over_the_limit;
      return {429, {{"Retry-After", "1"}}, ""};
    }
    counted.push_back(clock_.now());
    ++calls;
    if (token.revoked) return {401, {}, ""};
    if (rng_.unit() < refuses) {
      const auto wait = rng_.between(1, 20);
      return {429, {{"Retry-After", std::to_string(wait)}}, ""};
    }
    if (rng_.unit() < fails || broken) return {503, {}, "<html>"};
    return {200, {}, R"({"hasMore":false,"continueFrom":"x","data":[{"id":1}]})"};
  }

  bool whole_app = false, broken = false;
  double refuses = 0, fails = 0;
  std::size_t calls = 0, over_the_limit = 0;

 private:
  struct Given {
    tokens::Account account;
    TimePoint ends;
    bool revoked;
  };
  core::Clock& clock_;
  core::Rng& rng_;
  const std::size_t quota_;
  std::size_t given_ = 0;
  std::map<std::string, Given> tokens_;
  std::map<std::int64_t, std::deque<TimePoint>> calls_;
};

/// The way there: connections that take a while and break, and jitter that the pace allows for.
class Network final : public http::Client {
 public:
  Network(core::Clock& c, core::Rng& r, Vendor& v) : clock(c), rng(r), vendor(v) {}

  awaitable<Result<std::unique_ptr<http::Connection>>> connect(http::Origin, bool fresh, core::StopToken) override {
    const bool is_new = fresh || rng.unit() < 0.1;
    if (is_new) co_await clock.sleep_for(between(rng, 0ms, 300ms));
    if (rng.unit() < breaks) co_return core::fail(ErrorKind::network, "connection refused");
    std::unique_ptr<http::Connection> line = std::make_unique<Line>(*this);
    co_return line;
  }
  awaitable<void> close() override { co_return; }

  core::Clock& clock;
  core::Rng& rng;
  Vendor& vendor;
  double breaks = 0;
  Duration slowest = 500ms;

 private:
  class Line final : public http::Connection {
   public:
    explicit Line(Network& n) : net_(n) {}
    awaitable<Result<http::Response>> exchange(http::Request request, http::ExchangeLimits, core::StopToken stop) override {
      co_await net_.clock.sleep_for(between(net_.rng, 1ms, 5ms));
      auto response = net_.vendor.answer(request);
      const auto signal = net_.clock.make_signal();
      const auto on_stop = stop.on_stop([&signal] { signal->notify(); });
      if (!stop.stop_requested()) co_await signal->wait_until(net_.clock.now() + between(net_.rng, 1ms, net_.slowest));
      if (stop.stop_requested()) co_return core::fail(ErrorKind::cancelled, "stopped");
      if (net_.rng.unit() < net_.breaks) co_return core::fail(ErrorKind::network, "reset");
      co_return response;
    }
    bool reused() const noexcept override { return false; }
    bool stale() const noexcept override { return false; }

   private:
    Network& net_;
  };
};

struct Desk final : tokens::TokenSource {
  Desk(core::Clock& c, core::Rng& r, Vendor& v) : clock(c), rng(r), vendor(v) {}
  awaitable<Result<tokens::Fetched>> fetch(tokens::Account account, core::StopToken) override {
    EXPECT_TRUE(fetching.insert(account).second) << "two fetches for one account at once";
    const auto life = std::chrono::seconds(rng.between(40, 900));
    auto token = vendor.give_token(account, life);
    co_await clock.sleep_for(between(rng, 5ms, 3s));
    fetching.erase(account);
    ++fetches;
    if (refused.contains(account.tenant)) co_return core::fail(ErrorKind::unauthorized, "invalid_client");
    if (down) co_return core::fail(ErrorKind::server, "the token endpoint is down");
    co_return tokens::Fetched{core::Secret(std::move(token)), life, false};
  }
  core::Clock& clock;
  core::Rng& rng;
  Vendor& vendor;
  std::set<tokens::Account> fetching;
  std::set<std::int64_t> refused;
  bool down = false;
  int fetches = 0;
};

struct Caller final : CallObserver {
  void throttled(const core::Error&) override {}
  void retrying(const core::Error&, Duration) override {}
  bool may_call() override { return true; }
  limits::WorkClass work() const override { return work_class; }
  limits::WorkClass work_class = limits::WorkClass::incremental;
};

config::Config make_config(int tenants, double quota, bool whole_app, core::Rng& rng) {
  config::Config c;
  c.environments["local"] = {"local", "https://api.example", "https://auth.example/connect/token", ""};
  config::App app;
  app.name = "acme";
  app.app_key.value = core::Secret("ak1.secret");
  app.limits.requests_per_second = quota;
  app.limits.scope = whole_app ? "app" : "tenant";
  for (int i = 1; i <= tenants; ++i) {
    config::Tenant tenant;
    tenant.id = i;
    tenant.environment = "local";
    tenant.weight = static_cast<int>(rng.between(1, 16));
    app.tenants.push_back(tenant);
  }
  c.apps.push_back(app);
  return c;
}

/// Tenants with jobs that make call after call, and somebody who makes trouble.
class World {
 public:
  explicit World(std::uint64_t seed)
      : rng_(seed),
        whole_app_(rng_.between(0, 1) == 1),
        tenants_(static_cast<int>(rng_.between(1, 6))),
        quota_(static_cast<double>(rng_.between(5, 60))),
        config_(make_config(tenants_, quota_, whole_app_, rng_)),
        vendor_(clock_, rng_, quota_) {
    vendor_.whole_app = whole_app_;
    auto network = std::make_unique<Network>(clock_, rng_, vendor_);
    network_ = network.get();
    clients_["local"] = std::move(network);
    resource_.name = "jpm.jobs";
    Endpoint endpoint;
    endpoint.role = Role::export_feed;
    endpoint.path = "/jpm/v2/tenant/{tenant}/export/jobs";
    resource_.endpoints.push_back(std::move(endpoint));
  }
  ~World() {
    stop_.request_stop();
    tasks_.spawn("close", tokens_.close());
    clock_.run_for(1h);
    EXPECT_TRUE(tasks_.running().empty());
  }

  void play() {
    for (int tenant = 1; tenant <= tenants_; ++tenant)
      for (std::uint64_t jobs = rng_.between(1, 8); jobs > 0; --jobs)
        tasks_.spawn("job", job(tenant, static_cast<int>(rng_.between(1, 25)), static_cast<limits::WorkClass>(rng_.between(0, 2))));
    for (std::uint64_t i = rng_.between(0, 12); i > 0; --i) {
      clock_.run_for(between(rng_, 0s, 20s));
      trouble();
    }
    calm();
    ASSERT_TRUE(clock_.run_until([&] { return running_ == 0; }, 3h)) << running_ << " jobs wait for ever";
    EXPECT_EQ(vendor_.over_the_limit, 0u) << "as the vendor counts";
    EXPECT_LE(longest_, 90min) << "somebody starved";
    EXPECT_EQ(limiter_.waiting(), 0u);
  }

 private:
  awaitable<void> job(std::int64_t tenant, int calls, limits::WorkClass work) {
    ++running_;
    Caller caller;
    caller.work_class = work;
    for (int i = 0; i < calls; ++i) {
      const auto start = clock_.now();
      for (;;) {
        CallLog log;
        const auto request = Target{&resource_, &resource_.endpoints.front()}.request();
        const auto page = co_await api_.get_page({"acme", tenant}, request, log, caller, stop_.token());
        if (page) break;
        if (stop_.stop_requested()) co_return;
        // As a job does when its tenant's credentials are refused, or the host has failed for too long.
        co_await clock_.sleep_for(page.error().retry_after().value_or(60s));
      }
      longest_ = std::max(longest_, clock_.now() - start);
    }
    --running_;
  }

  void trouble() {
    const auto tenant = static_cast<std::int64_t>(rng_.between(1, static_cast<std::uint64_t>(tenants_)));
    switch (rng_.between(0, 8)) {
      case 0:
        vendor_.refuses = rng_.unit() * 0.05;
        break;
      case 1:
        vendor_.fails = rng_.unit() * 0.3;
        break;
      case 2:
        vendor_.broken = !vendor_.broken;
        break;
      case 3:
        vendor_.revoke_all(tenant);
        break;
      case 4:
        desk_.down = !desk_.down;
        break;
      case 5:
        if (!desk_.refused.erase(tenant)) desk_.refused.insert(tenant);
        break;
      case 6:
        clock_.jump_wall(between(rng_, -48h, 48h));
        break;
      case 7:
        network_->breaks = rng_.unit() * 0.2;
        network_->slowest = between(rng_, 5ms, 20s);
        break;
      default:
        limiter_.hold("acme", tenant, clock_.now() + between(rng_, 0s, 30s));
    }
  }
  void calm() {
    vendor_.refuses = vendor_.fails = network_->breaks = 0;
    vendor_.broken = desk_.down = false;
    network_->slowest = 500ms;
    desk_.refused.clear();
  }

  boost::asio::io_context loop_;
  stsync::test::VirtualClock clock_{loop_};
  core::Rng rng_;
  const bool whole_app_;
  const int tenants_;
  const double quota_;
  const config::Config config_;
  Vendor vendor_;
  Network* network_ = nullptr;
  std::map<std::string, std::unique_ptr<http::Client>> clients_, storage_;
  Desk desk_{clock_, rng_, vendor_};
  tokens::PacedGate gate_{clock_};
  tokens::Observer observer_;
  tokens::Tokens tokens_{loop_.get_executor(), clock_, rng_, desk_, gate_, observer_};
  limits::Limiter limiter_{clock_, rng_, quota_terms(config_)};
  telemetry::Metrics metrics_{false};
  core::ThreadPool helpers_{"helpers", 1};
  core::Spool spool_{::testing::TempDir()};
  Resource resource_;
  Api api_{
      {clock_, rng_, config_, clients_, storage_, tokens_, limiter_, metrics_, helpers_.executor(), helpers_.executor(), spool_}};
  core::TaskGroup tasks_{loop_.get_executor(), clock_};
  core::StopSource stop_;
  int running_ = 0;
  Duration longest_{};
};

TEST(Managers, NeverAboveALimitAndNobodyForgottenWhateverHappens) {
  if (const auto* one = std::getenv("STSYNC_SEED"); one != nullptr) {
    World(std::strtoull(one, nullptr, 10)).play();
    return;
  }
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(334) && !HasFailure(); ++seed) {
    SCOPED_TRACE("STSYNC_SEED=" + std::to_string(seed));
    World(seed).play();
  }
}

}  // namespace
}  // namespace stsync::servicetitan
