#include "kafka/admin.hpp"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "kafka/handles.hpp"

namespace stsync::kafka {
namespace {

using core::ErrorKind;
using std::chrono::milliseconds;

class ClusterAdmin final : public Admin {
 public:
  explicit ClusterAdmin(Cluster cluster) : cluster_(std::move(cluster)) {}

  core::Result<void> open() {
    auto conf = make_conf(cluster_, {});
    if (!conf) return core::fail(conf.error());
    auto client = make_client(RD_KAFKA_PRODUCER, std::move(*conf));
    if (!client) return core::fail(client.error());
    client_ = std::move(*client);
    queue_.reset(rd_kafka_queue_new(client_.get()));
    return {};
  }
  ~ClusterAdmin() override { queue_.reset(); }

  core::Result<std::map<std::string, TopicInfo>> describe(const std::vector<std::string>& names,
                                                          const std::vector<std::string>& config_names,
                                                          milliseconds timeout) override {
    const struct rd_kafka_metadata* metadata = nullptr;
    const auto code = rd_kafka_metadata(client_.get(), 1, nullptr, &metadata, static_cast<int>(timeout.count()));
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return core::fail(to_error(code, "metadata"));
    const std::set<std::string> wanted(names.begin(), names.end());
    std::map<std::string, TopicInfo> out;
    for (int i = 0; i < metadata->topic_cnt; ++i)
      if (wanted.contains(metadata->topics[i].topic)) out[metadata->topics[i].topic].partitions = metadata->topics[i].partition_cnt;
    const auto broker = any_broker(*metadata);
    rd_kafka_metadata_destroy(metadata);
    if (!config_names.empty() && !out.empty())
      if (auto ok = read_configs(out, config_names, broker, timeout); !ok) return core::fail(ok.error());
    return out;
  }

  core::Result<void> create(const std::vector<NewTopic>& topics, milliseconds timeout) override {
    std::vector<std::unique_ptr<rd_kafka_NewTopic_t, Freer<rd_kafka_NewTopic_destroy>>> owned;
    std::vector<rd_kafka_NewTopic_t*> list;
    for (const auto& t : topics) {
      std::array<char, 256> why{};
      owned.emplace_back(rd_kafka_NewTopic_new(t.name.c_str(), t.partitions, t.replication_factor, why.data(), why.size()));
      if (!owned.back()) return core::fail(ErrorKind::bad_config, fmt::format("topic {}: {}", t.name, why.data()));
      for (const auto& [name, value] : t.config) rd_kafka_NewTopic_set_config(owned.back().get(), name.c_str(), value.c_str());
      list.push_back(owned.back().get());
    }
    const auto options = admin_options(RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout);
    rd_kafka_CreateTopics(client_.get(), list.data(), list.size(), options.get(), queue_.get());
    const EventHandle event(rd_kafka_queue_poll(queue_.get(), static_cast<int>(timeout.count()) + 1000));
    if (!event) return core::fail(ErrorKind::broker, "creating topics: no answer");
    if (rd_kafka_event_error(event.get()) != RD_KAFKA_RESP_ERR_NO_ERROR)
      return core::fail(to_error(rd_kafka_event_error(event.get()), "creating topics"));
    std::size_t count = 0;
    const auto* results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
    for (std::size_t i = 0; i < count; ++i) {
      const auto code = rd_kafka_topic_result_error(results[i]);
      if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return core::fail(
            to_error(code, fmt::format("creating topic {}: {}", rd_kafka_topic_result_name(results[i]), text_of(results[i]))));
    }
    return {};
  }

  core::Result<void> grow(const std::string& topic, int partitions, milliseconds timeout) override {
    std::array<char, 256> why{};
    const NewPartitions wanted(
        rd_kafka_NewPartitions_new(topic.c_str(), static_cast<std::size_t>(partitions), why.data(), why.size()));
    if (!wanted) return core::fail(ErrorKind::bad_config, fmt::format("topic {}: {}", topic, why.data()));
    auto* list = wanted.get();
    const auto options = admin_options(RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, timeout);
    rd_kafka_CreatePartitions(client_.get(), &list, 1, options.get(), queue_.get());
    const EventHandle event(rd_kafka_queue_poll(queue_.get(), static_cast<int>(timeout.count()) + 1000));
    if (!event) return core::fail(ErrorKind::broker, "growing topic " + topic + ": no answer");
    if (rd_kafka_event_error(event.get()) != RD_KAFKA_RESP_ERR_NO_ERROR)
      return core::fail(to_error(rd_kafka_event_error(event.get()), "growing topic " + topic));
    std::size_t count = 0;
    const auto* results = rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event.get()), &count);
    for (std::size_t i = 0; i < count; ++i)
      if (const auto code = rd_kafka_topic_result_error(results[i]); code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return core::fail(to_error(code, fmt::format("growing topic {}: {}", topic, text_of(results[i]))));
    return {};
  }

 private:
  using NewPartitions = std::unique_ptr<rd_kafka_NewPartitions_t, Freer<rd_kafka_NewPartitions_destroy>>;
  using Options = std::unique_ptr<rd_kafka_AdminOptions_t, Freer<rd_kafka_AdminOptions_destroy>>;

  Options admin_options(rd_kafka_admin_op_t op, milliseconds timeout) const {
    Options options(rd_kafka_AdminOptions_new(client_.get(), op));
    std::array<char, 128> why{};
    rd_kafka_AdminOptions_set_request_timeout(options.get(), static_cast<int>(timeout.count()), why.data(), why.size());
    return options;
  }

  static const char* text_of(const rd_kafka_topic_result_t* result) {
    const char* text = rd_kafka_topic_result_error_string(result);
    return text == nullptr ? "" : text;
  }

  /// Best the one that has just answered; -1: none is known.
  static std::int32_t any_broker(const rd_kafka_metadata_t& metadata) {
    if (metadata.orig_broker_id >= 0 || metadata.broker_cnt == 0) return metadata.orig_broker_id;
    return metadata.brokers[0].id;
  }

  core::Result<void> read_configs(std::map<std::string, TopicInfo>& topics, const std::vector<std::string>& names,
                                  std::int32_t broker, milliseconds timeout) {
    std::vector<std::unique_ptr<rd_kafka_ConfigResource_t, Freer<rd_kafka_ConfigResource_destroy>>> owned;
    std::vector<rd_kafka_ConfigResource_t*> list;
    for (const auto& [name, info] : topics) {
      owned.emplace_back(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name.c_str()));
      list.push_back(owned.back().get());
    }
    const auto options = admin_options(RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout);
    // Every broker can answer. The library would wait for the controller, and a cluster may name one that is not there.
    std::array<char, 128> why{};
    if (broker >= 0) rd_kafka_AdminOptions_set_broker(options.get(), broker, why.data(), why.size());
    rd_kafka_DescribeConfigs(client_.get(), list.data(), list.size(), options.get(), queue_.get());
    const EventHandle event(rd_kafka_queue_poll(queue_.get(), static_cast<int>(timeout.count()) + 1000));
    if (!event) return core::fail(ErrorKind::broker, "reading topic settings: no answer");
    const auto code = rd_kafka_event_error(event.get());
    if (code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE) return {};  // an embedded broker: its topics have no settings
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return core::fail(to_error(code, "reading topic settings"));
    std::size_t count = 0;
    const auto** resources = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event.get()), &count);
    for (std::size_t i = 0; i < count; ++i) {
      // A topic made a moment ago may be unknown to the broker that answers: it then has no settings here.
      if (rd_kafka_ConfigResource_error(resources[i]) != RD_KAFKA_RESP_ERR_NO_ERROR) continue;
      std::size_t entries = 0;
      const auto** list_of = rd_kafka_ConfigResource_configs(resources[i], &entries);
      auto& info = topics[rd_kafka_ConfigResource_name(resources[i])];
      for (std::size_t e = 0; e < entries; ++e) {
        const std::string name = rd_kafka_ConfigEntry_name(list_of[e]);
        const char* value = rd_kafka_ConfigEntry_value(list_of[e]);
        if (value != nullptr && std::find(names.begin(), names.end(), name) != names.end()) info.config[name] = value;
      }
    }
    return {};
  }

  const Cluster cluster_;
  ClientHandle client_;
  QueueHandle queue_;
};

}  // namespace

core::Result<std::unique_ptr<Admin>> make_admin(const Cluster& cluster) {
  auto admin = std::make_unique<ClusterAdmin>(cluster);
  if (auto ok = admin->open(); !ok) return core::fail(ok.error());
  return admin;
}

}  // namespace stsync::kafka
