#pragma once
#include <memory>
#include <string>

#include "config/config.hpp"
#include "limits/limiter.hpp"
#include "limits/shared_limits.hpp"
#include "telemetry/metrics.hpp"
#include "tokens/gate.hpp"

namespace stsync::sync {

/// Where the worker's limits are kept: by itself, or in a store that it shares with others. Loop thread only; close() before it is
/// destroyed.
class LimitStore {
 public:
  LimitStore(boost::asio::any_io_executor loop, core::Clock& clock, const config::Config& config, telemetry::Metrics& metrics);

  /// Goes to the store, where one is configured. `member`: this process, and no other. bad_config: the password cannot be read.
  core::Result<void> open(const std::string& member, limits::Limiter& limiter, tokens::PacedGate& gate);
  /// Takes leave of the store; no call may leave afterwards.
  boost::asio::awaitable<void> close();

  /// For the limiter and the gate; after open().
  std::shared_ptr<limits::Pace> quota(const limits::LimitName& name, double per_second);
  std::shared_ptr<limits::Pace> token_requests(const std::string& app);

 private:
  std::shared_ptr<limits::Pace> shared(std::string name, double per_second, int members, std::function<std::size_t()> waiting);
  void switched(const std::string& limit, limits::SharedPace::Mode mode);

  boost::asio::any_io_executor loop_;
  core::Clock& clock_;
  const config::Config& config_;
  telemetry::Metrics& metrics_;
  limits::Limiter* limiter_ = nullptr;
  tokens::PacedGate* gate_ = nullptr;
  std::unique_ptr<limits::SharedLimits> shared_;
  int local_ = 0, all_ = 0;  ///< limits that could be shared: those kept alone now, all of them
};

}  // namespace stsync::sync
