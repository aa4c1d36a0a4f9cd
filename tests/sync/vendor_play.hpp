#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/run_on.hpp"
#include "core/spool.hpp"
#include "http/message.hpp"
#include "job_play.hpp"
#include "limits/limiter.hpp"
#include "servicetitan/api.hpp"
#include "servicetitan/quota.hpp"
#include "support/vendor.hpp"
#include "tokens/tokens.hpp"

namespace stsync::sync {

/// A world whose pages come through the whole client (tokens, quotas, retries) from a vendor in memory.
struct VendorWorld : World {
  VendorWorld() {
    config.environments["integration"] = {"integration", "https://api.example", "https://auth.example/connect/token", ""};
    config.apps[0].app_key.value = core::Secret("ak1.secret");
    config.apps[0].limits.requests_per_second = 60;
    auto owned = std::make_unique<servicetitan::test::Vendor>(clock);
    vendor = owned.get();
    vendor->answer = [this](const http::Request& request) { return answer(request); };
    clients["integration"] = std::move(owned);
    owned = std::make_unique<servicetitan::test::Vendor>(clock);
    elsewhere = owned.get();
    storage["integration"] = std::move(owned);
    pages = &api;
  }
  ~VendorWorld() {
    closing.spawn("tokens", tokens.close());
    clock.run_for(std::chrono::seconds(1));
  }
  VendorWorld(const VendorWorld&) = delete;
  VendorWorld& operator=(const VendorWorld&) = delete;

  static http::Response reply(int status, std::string body, http::Headers headers = {}) {
    return {status, std::move(headers), std::move(body)};
  }
  static std::map<std::string, std::string> query_of(const http::Request& request) {
    std::map<std::string, std::string> out;
    for (auto& [name, value] :
         http::parse_query(request.target.substr(std::min(request.target.find('?'), request.target.size() - 1) + 1)))
      out[name] = value;
    return out;
  }
  /// What the feed of this world answers, when nothing is wrong.
  http::Response good(const http::Request& request) const { return reply(200, feed.page_at(query_of(request)["from"])); }
  core::Duration now() const { return clock.now().time_since_epoch(); }
  const v1::JobState& job(const std::string& id = "j1", std::int64_t tenant = 1001) {
    read_ = memory();
    return *read_.job(job_journal_key("acme", tenant, id));
  }
  std::vector<std::string> targets() const {
    std::vector<std::string> out;
    for (const auto& seen : vendor->seen) out.push_back(seen.request.target);
    return out;
  }

  std::function<core::Result<http::Response>(const http::Request&)> answer = [this](const auto& request) { return good(request); };
  servicetitan::test::Vendor* vendor = nullptr;
  servicetitan::test::Vendor* elsewhere = nullptr;  ///< the storage of files
  servicetitan::test::TokenDesk desk;

 private:
  std::map<std::string, std::unique_ptr<http::Client>> clients, storage;
  tokens::PacedGate gate{clock};
  tokens::Observer token_observer;
  tokens::Tokens tokens{loop.get_executor(), clock, rng, desk, gate, token_observer};
  limits::Limiter limiter{clock, rng, servicetitan::quota_terms(config)};
  telemetry::Metrics metrics{false};
  core::ThreadPool helpers{"helpers", 1}, large_helpers{"large", 1};
  core::Spool spool{::testing::TempDir()};
  servicetitan::Api api{
      {clock, rng, config, clients, storage, tokens, limiter, metrics, helpers.executor(), large_helpers.executor(), spool}};
  core::TaskGroup closing{loop.get_executor(), clock};
  Memory read_;
};

}  // namespace stsync::sync
