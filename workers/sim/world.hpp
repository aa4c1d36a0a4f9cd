#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "core/clock.hpp"
#include "http/server.hpp"
#include "sim/accounts.hpp"
#include "sim/faults.hpp"
#include "sim/page_cache.hpp"
#include "sim/quota.hpp"
#include "sim/reports.hpp"
#include "sim/simulator.hpp"
#include "sim/store.hpp"
#include "sim/webhook_sender.hpp"

namespace stsync::sim {

/// What one tenant may not read. A name is a scope or its beginning when it starts with "tn.", else an API.
struct Access {
  std::set<std::string, std::less<>> without_scopes;   ///< scopes, or their beginnings: "tn.prl."
  std::set<std::string, std::less<>> without_modules;  ///< APIs that the tenant has not bought: "payroll"
  void take(const std::string& what);
  void give(const std::string& what);
};

/// Everything that belongs to one tenant.
struct TenantWorld {
  TenantWorld(std::int64_t tenant, const Options& options, Writers& writers, const Dataset::Watcher& watcher);
  Store store;
  QuotaLog quota;
  Access access;
  ReportDesk reports;
  std::uint64_t feed_seed;  ///< of the tokens of feeds: another one knows none of them
  std::uint64_t calls = 0, ok = 0, refused = 0;
};

/// Everything the simulator knows. Loop thread only.
struct World {
  World(boost::asio::any_io_executor loop, core::Clock& clock, Options options);

  using Whose = std::pair<std::int64_t, std::string>;  ///< tenant, resource
  /// Pages that were answered, by what was asked for.
  using Fetches = std::map<std::string, std::uint64_t>;
  struct KnownTruth {
    std::uint64_t generation = 0;
    Truth truth;
  };

  /// The tenants meant by a number (0: all); the resources by names with commas (empty: all). Empty when there is none.
  std::vector<TenantWorld*> find_tenants(std::int64_t tenant);
  static std::vector<const Resource*> find_resources(std::string_view names);
  using Rows = std::vector<std::pair<std::string, std::string>>;  ///< key, hash
  Truth truth_of(const TenantWorld& tenant, const Resource& resource, Rows* rows = nullptr);
  /// A time of the vendor's in this world: minutes pass in seconds where the scale says so.
  core::Duration scaled(core::Duration d) const;
  /// What a tenant's calls count against.
  QuotaLog& quota_of(TenantWorld& tenant) { return options.quota_of_app ? app_quota : tenant.quota; }

  boost::asio::any_io_executor loop;
  core::Clock& clock;
  Options options;
  Accounts accounts;
  Faults faults;
  PageCache cache;
  Writers writers;
  Dataset::Watcher watcher;  ///< of the rows of all tenants
  std::map<std::int64_t, TenantWorld> tenants;
  QuotaLog app_quota;  ///< where all tenants share one
  std::map<Whose, Fetches> fetches;
  std::map<std::string, std::uint64_t> resource_calls;
  /// What was answered where nothing but the question decides which records there are, by key.
  std::map<Whose, std::map<std::string, Sum128>> answered;
  std::map<Whose, KnownTruth> truths;
  /// What happens to rows by itself.
  struct Churn {
    double per_second = 0;  ///< of each tenant
    std::string resource;   ///< names with commas; empty: everything that was read
    bool only_changes = false;
  } churn;
  std::shared_ptr<WebhookSender> webhooks;
  std::uint64_t token_calls = 0, unauthorized = 0, traces = 0;
};

/// POST /connect/token.
http::ServerResponse answer_token(World& world, const http::ServerRequest& request);
/// /{module}/v2/tenant/{tenant}/...; `fault` may be nullptr.
http::ServerResponse answer_api(World& world, const http::ServerRequest& request, const Fault* fault);
/// /__sim/...
boost::asio::awaitable<http::ServerResponse> answer_control(World& world, http::ServerRequest request);

/// GET /__sim/webhooks, and POST with the members of an object.
http::ServerResponse tell_webhooks(const World& world);
http::ServerResponse set_webhooks(World& world, const std::map<std::string, std::string>& fields);

/// One thing for each tenant, to the rows of one of the resources that churn.
void churn_everywhere(World& world, std::uint64_t seed);
/// A fault or an array of them. bad_data says what is wrong.
core::Result<void> set_faults(World& world, std::string_view json);

/// The vendor's error object.
http::ServerResponse error_answer(World& world, int status, std::string_view title, std::string_view field = {},
                                  std::string_view problem = {});
/// What a fault with a status answers.
http::ServerResponse fault_answer(World& world, const Fault& fault);

}  // namespace stsync::sim
