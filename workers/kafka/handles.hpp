#pragma once
// librdkafka's objects with owners. Included by .cpp files of this module only.
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>

#include <librdkafka/rdkafka.h>

#include "core/error.hpp"
#include "kafka/client.hpp"

namespace stsync::kafka {

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* p) const noexcept {
    if (p != nullptr) Free(p);
  }
};

using ClientHandle = std::unique_ptr<rd_kafka_t, Freer<rd_kafka_destroy>>;
using ConfHandle = std::unique_ptr<rd_kafka_conf_t, Freer<rd_kafka_conf_destroy>>;
using EventHandle = std::unique_ptr<rd_kafka_event_t, Freer<rd_kafka_event_destroy>>;
using QueueHandle = std::unique_ptr<rd_kafka_queue_t, Freer<rd_kafka_queue_destroy>>;
using ErrorHandle = std::unique_ptr<rd_kafka_error_t, Freer<rd_kafka_error_destroy>>;
using MessageHandle = std::unique_ptr<rd_kafka_message_t, Freer<rd_kafka_message_destroy>>;
using PartitionsHandle = std::unique_ptr<rd_kafka_topic_partition_list_t, Freer<rd_kafka_topic_partition_list_destroy>>;

using Property = std::pair<const char*, std::string>;

/// Cluster settings, then `properties`, into a new configuration. bad_config names the property librdkafka refuses.
core::Result<ConfHandle> make_conf(const Cluster& cluster, std::initializer_list<Property> properties);
core::Result<ClientHandle> make_client(rd_kafka_type_t type, ConfHandle conf);

/// "text (NAME)"
std::string describe(rd_kafka_resp_err_t code);
core::Error to_error(rd_kafka_resp_err_t code, const std::string& what);

inline PartitionsHandle one_partition(const std::string& topic, std::int32_t partition,
                                      std::int64_t offset = RD_KAFKA_OFFSET_INVALID) {
  PartitionsHandle list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = offset;
  return list;
}

}  // namespace stsync::kafka
