#pragma once
#include <librdkafka/rdkafka.h>

#include "kafka/message.hpp"

namespace stsync::kafka {

/// A message of librdkafka's as one of ours. For .cpp files of this module.
Message copy_message(const rd_kafka_message_t& m);

}  // namespace stsync::kafka
