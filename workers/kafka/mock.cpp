#include "kafka/mock.hpp"

#include "kafka/handles.hpp"

#include <librdkafka/rdkafka_mock.h>  // needs rdkafka.h before it

namespace stsync::kafka {
namespace {

class Mock final : public MockCluster {
 public:
  core::Result<void> open() {
    auto conf = make_conf(cluster_, {});
    if (!conf) return core::fail(conf.error());
    auto client = make_client(RD_KAFKA_PRODUCER, std::move(*conf));
    if (!client) return core::fail(client.error());
    client_ = std::move(*client);
    mock_.reset(rd_kafka_mock_cluster_new(client_.get(), 1));
    if (!mock_) return core::fail(core::ErrorKind::internal, "the embedded broker does not start");
#if RD_KAFKA_VERSION >= 0x02060000
    rd_kafka_mock_group_initial_rebalance_delay_ms(mock_.get(), 0);  // before 2.6 it is 3 s, whatever one does
#endif
    rd_kafka_brokers_add(client_.get(), bootstrap_servers().c_str());
    return {};
  }
  std::string bootstrap_servers() const override { return rd_kafka_mock_cluster_bootstraps(mock_.get()); }
  std::map<std::string, std::string> client_properties() const override {
    return {
        // What is asked over the same connection waits behind a fetch: a lane on its way up does so twice.
        {"fetch.wait.max.ms", "50"},
#if RD_KAFKA_VERSION >= 0x02050000
        // A client that ends may miss the end of its last push and wait a second for it.
        {"enable.metrics.push", "false"},
#endif
    };
  }
  core::Result<void> create_topic(const std::string& name, int partitions) override {
    const auto code = rd_kafka_mock_topic_create(mock_.get(), name.c_str(), partitions, 1);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return core::fail(to_error(code, name));
    return settle();
  }

 private:
  /// The broker's thread answers a call first and then empties its wake-up pipe: a call made in between is forgotten until
  /// something else wakes the thread, up to a second later. Once it has answered a request over the network, the pipe is empty.
  core::Result<void> settle() {
    const struct rd_kafka_metadata* metadata = nullptr;
    const auto code = rd_kafka_metadata(client_.get(), 0, nullptr, &metadata, 10'000);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return core::fail(to_error(code, "the embedded broker"));
    rd_kafka_metadata_destroy(metadata);
    return {};
  }

  const Cluster cluster_{};
  ClientHandle client_;
  std::unique_ptr<rd_kafka_mock_cluster_t, Freer<rd_kafka_mock_cluster_destroy>> mock_;
};

}  // namespace

core::Result<std::unique_ptr<MockCluster>> start_mock_cluster() {
  auto mock = std::make_unique<Mock>();
  if (auto ok = mock->open(); !ok) return core::fail(ok.error());
  return mock;
}

}  // namespace stsync::kafka
