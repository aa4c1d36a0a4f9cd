#include "app/surroundings.hpp"

#include <optional>

#include "core/run_on.hpp"
#include "sync/cluster.hpp"
#include "telemetry/log.hpp"

namespace stsync::app {
namespace {

using core::Result;

class Real final : public sync::Surroundings {
 public:
  Real(boost::asio::any_io_executor loop, core::Clock& clock, const config::Config& config, std::string client_id,
       core::CrashNoteFile* crash_notes)
      : loop_(std::move(loop)), clock_(clock), config_(config), client_id_(std::move(client_id)), crash_notes_(crash_notes) {}

  boost::asio::awaitable<Result<std::map<std::string, kafka::TopicInfo>>> describe(std::vector<std::string> topics,
                                                                                   std::vector<std::string> config_names,
                                                                                   std::chrono::milliseconds timeout) override {
    const auto cluster = this->cluster();
    if (!cluster) co_return core::fail(cluster.error());
    auto ask = [cluster = *cluster, topics = std::move(topics), names = std::move(config_names),
                timeout]() -> Result<std::map<std::string, kafka::TopicInfo>> {
      auto admin = kafka::make_admin(*cluster);
      if (!admin) return core::fail(admin.error());
      return (*admin)->describe(topics, names, timeout);
    };
    co_return co_await core::run_on(admin_thread_.executor(), std::move(ask));
  }
  Result<std::unique_ptr<kafka::GroupConsumer>> join(kafka::GroupOptions options, kafka::GroupListener& listener) override {
    const auto cluster = this->cluster();
    if (!cluster) return core::fail(cluster.error());
    return kafka::make_group_consumer(loop_, clock_, **cluster, std::move(options), listener);
  }
  Result<std::unique_ptr<http::Client>> client(http::ClientOptions options) override {
    return http::make_client(loop_, clock_, std::move(options));
  }
  Result<std::unique_ptr<http::Server>> serve(http::ServerOptions options, http::Handler handler) override {
    return http::start_server(loop_, clock_, std::move(options), std::move(handler));
  }
  boost::asio::any_io_executor helpers() override { return helpers_.executor(); }
  boost::asio::any_io_executor large_helpers() override { return large_helpers_.executor(); }
  core::CrashNoteFile* crash_notes() override { return crash_notes_; }

 private:
  Result<const kafka::Cluster*> cluster() {
    if (cluster_) return &*cluster_;
    auto made = sync::make_cluster(config_, client_id_);
    if (!made) return core::fail(made.error());
    if (const auto limit = kafka::known_limit(*made); !limit.empty())
      telemetry::log(telemetry::Level::warn, "kafka_library", limit);
    return &cluster_.emplace(std::move(*made));
  }

  boost::asio::any_io_executor loop_;
  core::Clock& clock_;
  const config::Config& config_;
  const std::string client_id_;
  core::CrashNoteFile* const crash_notes_;
  std::optional<kafka::Cluster> cluster_;
  core::ThreadPool helpers_{"helper", 1};
  core::ThreadPool large_helpers_{"helper-large", 1};
  core::ThreadPool admin_thread_{"admin", 1};
};

}  // namespace

std::unique_ptr<sync::Surroundings> make_surroundings(boost::asio::any_io_executor loop, core::Clock& clock,
                                                      const config::Config& config, std::string client_id,
                                                      core::CrashNoteFile* crash_notes) {
  return std::make_unique<Real>(std::move(loop), clock, config, std::move(client_id), crash_notes);
}

}  // namespace stsync::app
