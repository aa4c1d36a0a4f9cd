#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "core/clock.hpp"
#include "http/server.hpp"
#include "sim/accounts.hpp"
#include "sim/dataset.hpp"
#include "sim/faults.hpp"
#include "sim/page_cache.hpp"
#include "sim/quota.hpp"
#include "sim/simulator.hpp"

namespace stsync::sim {

/// Everything the simulator knows. Loop thread only.
struct World {
  World(boost::asio::any_io_executor loop, core::Clock& clock, Options options);

  struct TenantStats {
    explicit TenantStats(double per_second) : quota(per_second) {}
    QuotaLog quota;
    std::uint64_t calls = 0, ok = 0, refused = 0;
  };
  /// Pages that were answered, by what was asked for.
  using Fetches = std::map<std::string, std::uint64_t>;

  /// The datasets of a tenant (0: all) and resource (empty: all).
  std::vector<Dataset*> find(std::int64_t tenant, std::string_view resource);

  boost::asio::any_io_executor loop;
  core::Clock& clock;
  Options options;
  Accounts accounts;
  Faults faults;
  PageCache cache;
  std::map<std::pair<std::int64_t, std::string>, Dataset> data;
  std::map<std::int64_t, TenantStats> stats;
  std::map<std::pair<std::int64_t, std::string>, Fetches> fetches;
  std::map<std::string, std::uint64_t> resource_calls;
  std::uint64_t token_calls = 0, unauthorized = 0, traces = 0;
};

/// POST /connect/token.
http::ServerResponse answer_token(World& world, const http::ServerRequest& request);
/// /{module}/v2/tenant/{tenant}/...; `fault` may be nullptr.
http::ServerResponse answer_api(World& world, const http::ServerRequest& request, const Fault* fault);
/// /__sim/...
boost::asio::awaitable<http::ServerResponse> answer_control(World& world, http::ServerRequest request);

/// The vendor's error object.
http::ServerResponse error_answer(World& world, int status, std::string_view title, std::string_view field = {},
                                  std::string_view problem = {});
/// What a fault with a status answers.
http::ServerResponse fault_answer(World& world, const Fault& fault);

}  // namespace stsync::sim
