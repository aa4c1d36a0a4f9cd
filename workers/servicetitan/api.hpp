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
#include "limits/fair_gate.hpp"
#include "limits/limiter.hpp"
#include "servicetitan/catalogue.hpp"
#include "servicetitan/classify.hpp"
#include "servicetitan/page_source.hpp"
#include "servicetitan/read_page.hpp"
#include "telemetry/metrics.hpp"
#include "tokens/tokens.hpp"

namespace stsync::servicetitan {

/// The vendor's API: token, permit, connection, call, retries, decompression, cutting. Loop thread only; heavy bodies are worked
/// on by `helpers`. Bodies larger than worker.page_buffer go through files, those above worker.max_body are too_large.
class Api final : public PageSource {
 public:
  struct Parts {
    core::Clock& clock;
    core::Rng& rng;
    const config::Config& config;
    const std::map<std::string, std::unique_ptr<http::Client>>& clients;  ///< by environment
    const std::map<std::string, std::unique_ptr<http::Client>>& storage;  ///< the same, for files that lie elsewhere
    tokens::Tokens& tokens;
    limits::Limiter& limiter;
    telemetry::Metrics& metrics;
    boost::asio::any_io_executor helpers;
    boost::asio::any_io_executor large_helpers;  ///< for bodies that go through files: others do not wait for them
    core::Spool& spool;
  };
  explicit Api(Parts parts);

  boost::asio::awaitable<core::Result<FetchedPage>> get_page(tokens::Account account, Request request, CallLog& log,
                                                             CallObserver& observer, core::StopToken stop) override;
  core::WallTime vendor_now() const override;

 private:
  boost::asio::awaitable<core::Result<FetchedPage>> attempt(tokens::Account account, const Request& request, CallLog& log,
                                                            CallObserver& observer, core::StopToken stop);
  struct Ready;
  boost::asio::awaitable<core::Result<Ready>> make_ready(tokens::Account account, const Request& wanted, CallObserver& observer,
                                                         bool fresh, core::StopToken stop);
  boost::asio::awaitable<core::Result<http::Response>> call(tokens::Account account, const Request& wanted, http::Request request,
                                                            CallLog& log, CallObserver& observer, core::StopToken stop);
  limits::Sharer sharer(const tokens::Account& account, limits::WorkClass work) const;
  std::optional<core::Error> refusal(const tokens::Account& account, const Request& wanted, Ready& ready,
                                     const http::Response& response, CallLog& log);
  boost::asio::awaitable<core::Result<http::Response>> download(tokens::Account account, const Request& wanted,
                                                                http::Response redirect, core::StopToken stop);
  http::ExchangeLimits exchange_limits(const Request& request) const;
  boost::asio::awaitable<core::Result<FetchedPage>> read(limits::Sharer who, const Request& request, http::Response response,
                                                         std::string at_work);
  boost::asio::awaitable<bool> wait(core::Duration d, core::StopToken stop);
  boost::asio::awaitable<bool> wait_to_retry(tokens::Account account, core::Duration d, core::StopToken stop);
  core::Result<http::Request> make_request(const tokens::Account& account, const Request& request) const;
  core::WallTime note_date(const http::Response& response);

  Parts p_;
  const PageLimits limits_;
  limits::FairGate helper_turns_, large_turns_;
  std::int64_t vendor_behind_ms_ = 0;
};

}  // namespace stsync::servicetitan
