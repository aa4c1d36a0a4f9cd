#include "commands.hpp"

#include <array>
#include <stdexcept>

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

namespace stsync::bench {

struct CommandWriter::Impl {
  rd_kafka_t* producer = nullptr;
  rd_kafka_topic_t* topic = nullptr;
};

CommandWriter::CommandWriter(const kafka::Cluster& cluster, const std::string& topic) : impl_(std::make_unique<Impl>()) {
  auto* conf = rd_kafka_conf_new();
  std::array<char, 256> why{};
  rd_kafka_conf_set(conf, "bootstrap.servers", cluster.bootstrap_servers.c_str(), why.data(), why.size());
  rd_kafka_conf_set(conf, "partitioner", "murmur2_random", why.data(), why.size());
  impl_->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why.data(), why.size());
  if (impl_->producer == nullptr) throw std::runtime_error(why.data());
  impl_->topic = rd_kafka_topic_new(impl_->producer, topic.c_str(), nullptr);
}

CommandWriter::~CommandWriter() {
  rd_kafka_topic_destroy(impl_->topic);
  rd_kafka_destroy(impl_->producer);
}

void CommandWriter::write(std::int64_t tenant, const std::string& id, const std::string& action) {
  const auto key = fmt::format("acme:{}", tenant);
  auto value = fmt::format(R"({{"id":"{}","app":"acme","tenant":{},{}}})", id, tenant, action);
  while (rd_kafka_produce(impl_->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value.data(), value.size(), key.data(),
                          key.size(), nullptr) != 0) {
    if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) throw std::runtime_error(rd_kafka_err2str(rd_kafka_last_error()));
    rd_kafka_poll(impl_->producer, 100);
  }
  rd_kafka_poll(impl_->producer, 0);
}

void CommandWriter::flush() {
  if (rd_kafka_flush(impl_->producer, 120'000) != RD_KAFKA_RESP_ERR_NO_ERROR)
    throw std::runtime_error("commands are not acknowledged");
}

void send_full(const test::Stage& stage, std::int64_t tenant, const std::string& resources) {
  const auto sent = stage.stsync({"sync", "--tenant", std::to_string(tenant), "--resource", resources, "--mode", "full"});
  if (sent.code != 0) throw std::runtime_error("the command was not taken: " + sent.err);
}

}  // namespace stsync::bench
