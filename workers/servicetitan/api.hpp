#pragma once
#include <map>
#include <memory>
#include <string>

#include "codec/page.hpp"
#include "config/config.hpp"
#include "core/clock.hpp"
#include "core/rng.hpp"
#include "core/run_on.hpp"
#include "http/client.hpp"
#include "limits/limiter.hpp"
#include "servicetitan/catalogue.hpp"
#include "servicetitan/classify.hpp"
#include "servicetitan/crawl.hpp"
#include "telemetry/metrics.hpp"
#include "tokens/tokens.hpp"

namespace stsync::servicetitan {

/// A page of the API, whole and checked.
struct FetchedPage {
  std::shared_ptr<const std::string> body;
  codec::Page page;
  PageView view() const { return {*body, page}; }
};

/// What the calls of a job cost, and what it should tell its user while it waits.
struct CallLog {
  std::int64_t calls = 0;
  std::int64_t throttled = 0;
  std::int64_t retries = 0;
};

/// Said while get_page() is at it, for the job's status events.
class CallObserver {
 public:
  virtual ~CallObserver() = default;
  virtual void throttled(const core::Error& why) = 0;
  virtual void retrying(const core::Error& why, core::Duration wait) = 0;
  /// Whether a call may be made now (the lane's lease); false waits.
  virtual bool may_call() = 0;
};

/// The vendor's API: token, permit, connection, call, retries, decompression, cutting. Loop thread only; heavy bodies are worked
/// on by `helpers`.
class Api {
 public:
  struct Parts {
    core::Clock& clock;
    core::Rng& rng;
    const config::Config& config;
    const std::map<std::string, std::unique_ptr<http::Client>>& clients;  ///< by environment
    tokens::Tokens& tokens;
    limits::Limiter& limiter;
    telemetry::Metrics& metrics;
    core::ThreadPool& helpers;
    std::size_t max_page;  ///< bytes of an inflated page
  };
  explicit Api(Parts parts);

  /// One page of `resource`, repeated until it can be used or classify() gives up. Errors are of classify.hpp.
  boost::asio::awaitable<core::Result<FetchedPage>> get_page(tokens::Account account, const Resource& resource, Query query,
                                                             CallLog& log, CallObserver& observer, core::StopToken stop);

  /// Which quota the account's calls count against.
  limits::Bucket& bucket(const tokens::Account& account);
  /// Own clock, or the vendor's where that is behind (from the Date of its answers).
  core::WallTime vendor_now() const;

 private:
  boost::asio::awaitable<core::Result<FetchedPage>> attempt(tokens::Account account, const Resource& resource, const Query& query,
                                                            CallLog& log, CallObserver& observer, core::StopToken stop);
  boost::asio::awaitable<core::Result<http::Response>> call(tokens::Account account, const Resource& resource,
                                                            http::Request request, CallLog& log, core::StopToken stop);
  boost::asio::awaitable<core::Result<FetchedPage>> read(const Resource& resource, http::Response response);
  boost::asio::awaitable<bool> wait(core::Duration d, core::StopToken stop);
  core::Result<http::Request> make_request(const tokens::Account& account, const Resource& resource, const Query& query) const;
  void note_date(const http::Response& response);

  Parts p_;
  std::int64_t vendor_behind_ms_ = 0;
};

}  // namespace stsync::servicetitan
