#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>

#include "config/config.hpp"
#include "core/clock.hpp"
#include "core/rng.hpp"
#include "core/stop.hpp"
#include "core/task_group.hpp"
#include "servicetitan/api.hpp"
#include "servicetitan/catalogue.hpp"
#include "sync/lane.hpp"
#include "sync/limit_store.hpp"
#include "sync/surroundings.hpp"
#include "sync/token_watch.hpp"
#include "telemetry/metrics.hpp"
#include "tokens/http_source.hpp"
#include "tokens/tokens.hpp"

namespace stsync::sync {

/// How Kafka and a store of limits know a worker: by its static identity, where it has one.
inline std::string client_id(const std::string& instance_id) { return instance_id.empty() ? "stsync" : instance_id; }

/// Everything that `stsync worker` is: one member of the group with a lane a partition, shared managers, and the telemetry
/// server. Loop thread only.
class Worker final : public kafka::GroupListener {
 public:
  /// Everything but `instance_id` outlives it.
  Worker(boost::asio::any_io_executor loop, core::Clock& clock, core::Rng& rng, Surroundings& surroundings,
         const config::Config& config, const servicetitan::Catalogue& catalogue, telemetry::Metrics& metrics,
         std::string instance_id);
  ~Worker() override;

  /// Works until `stop`, then drains. Nothing: a clean end; bad_config: the topics are not as they must be; fenced: a twin with
  /// our identity took over.
  boost::asio::awaitable<core::Result<void>> run(core::StopToken stop);
  /// Where /metrics, /livez and /readyz are served; empty before run() has started it.
  std::string telemetry_url() const;

  void assigned(const std::vector<std::int32_t>& partitions) override;
  void revoked(bool lost) override;
  void messages() override;
  void error(const core::Error& error, bool fatal) override;

 private:
  boost::asio::awaitable<core::Result<void>> start(core::StopToken stop);
  boost::asio::awaitable<core::Result<void>> find_topics(core::StopToken stop);
  core::Result<void> make_clients();
  core::Result<void> start_telemetry();
  core::Result<void> make_consumer();
  boost::asio::awaitable<void> close_lanes();
  std::size_t open_jobs() const;
  bool own_ghost() const;
  boost::asio::awaitable<void> watch_loop();
  boost::asio::awaitable<void> drain_watch(core::StopToken stop);
  void update_metrics();
  bool ready() const;

  boost::asio::any_io_executor loop_;
  core::Clock& clock_;
  core::Rng& rng_;
  Surroundings& surroundings_;
  const config::Config& config_;
  const servicetitan::Catalogue& catalogue_;
  telemetry::Metrics& metrics_;
  const std::string instance_id_;
  core::Spool spool_;
  std::map<std::string, std::unique_ptr<http::Client>> clients_, storage_;
  std::unique_ptr<tokens::HttpTokenSource> token_source_;
  LimitStore limit_store_;
  tokens::PacedGate token_gate_;
  TokenWatch token_watch_;
  std::unique_ptr<tokens::Tokens> tokens_;
  limits::Limiter limiter_;
  const MemoryShares shares_;
  core::ByteBudget page_memory_;
  std::unique_ptr<servicetitan::Api> api_;
  std::map<std::string, RecordTopic> record_topics_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<kafka::GroupConsumer> consumer_;
  std::map<std::int32_t, std::unique_ptr<Lane>> lanes_;
  std::unique_ptr<core::TaskGroup> lane_tasks_;
  std::unique_ptr<core::Signal> tick_;
  core::StopSource ended_;  ///< the group is left
  core::StopSource fatal_;
  core::StopSource membership_;  ///< of the present consumer
  core::TimePoint expired_{};    ///< when the session last ran out by itself
  std::optional<core::Error> failure_;
  core::TaskGroup closings_;  ///< lanes on their way out after a rebalance
  core::TaskGroup tasks_;
};

}  // namespace stsync::sync
