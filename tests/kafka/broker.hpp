#pragma once
#include <array>
#include <initializer_list>
#include <memory>
#include <string>

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <librdkafka/rdkafka_mock.h>  // needs rdkafka.h before it
#include "kafka/client.hpp"

namespace stsync::kafka::test {

/// A broker inside this process that fails on demand. It models neither isolation nor fencing: those need a real one.
class Broker {
 public:
  enum Api : std::int16_t {
    produce = 0,
    init_producer_id = 22,
    add_partitions_to_txn = 24,
    add_offsets_to_txn = 25,
    end_txn = 26,
    txn_offset_commit = 28
  };

  Broker() {
    std::array<char, 256> why{};
    auto* conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "3", why.data(), why.size());
    client_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why.data(), why.size());
    mock_ = rd_kafka_mock_cluster_new(client_, 1);
    EXPECT_NE(mock_, nullptr);
  }
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;
  ~Broker() {
    rd_kafka_mock_cluster_destroy(mock_);
    rd_kafka_destroy(client_);
  }

  Cluster cluster() const {
    Cluster c;
    c.bootstrap_servers = rd_kafka_mock_cluster_bootstraps(mock_);
    return c;
  }
  void create(const char* topic, int partitions = 1) {
    EXPECT_EQ(rd_kafka_mock_topic_create(mock_, topic, partitions, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  /// The next requests of this kind are answered with these errors, one each.
  void refuse(Api api, std::initializer_list<rd_kafka_resp_err_t> errors) {
    rd_kafka_mock_push_request_errors_array(mock_, api, errors.size(), errors.begin());
  }
  void refuse_topic(const char* topic, rd_kafka_resp_err_t error) { rd_kafka_mock_topic_set_error(mock_, topic, error); }
  /// No leader for its partition 0, and back.
  void lose_topic(const char* topic) { rd_kafka_mock_partition_set_leader(mock_, topic, 0, -1); }
  void find_topic(const char* topic) { rd_kafka_mock_partition_set_leader(mock_, topic, 0, 1); }

 private:
  rd_kafka_t* client_ = nullptr;
  rd_kafka_mock_cluster_t* mock_ = nullptr;
};

}  // namespace stsync::kafka::test
