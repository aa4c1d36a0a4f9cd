#pragma once
#include <functional>
#include <string>

#include "config/config.hpp"
#include "core/error.hpp"
#include "kafka/message.hpp"

namespace stsync::app {

/// Every committed message of a topic as it stands now, one partition after the other, in the order of each. not_found: there is no
/// such topic. Blocks, a minute at most where Kafka does not answer.
core::Result<void> read_topic(const config::Config& config, const std::string& topic,
                              const std::function<void(const kafka::Message&)>& each);

}  // namespace stsync::app
