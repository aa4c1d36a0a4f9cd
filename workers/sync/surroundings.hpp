#pragma once
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "config/config.hpp"
#include "core/crash_notes.hpp"
#include "core/error.hpp"
#include "http/client.hpp"
#include "http/server.hpp"
#include "kafka/admin.hpp"
#include "kafka/consumer.hpp"

namespace stsync::sync {

/// What a worker reaches beyond its own memory: Kafka, the vendor, its port, threads for heavy work. A simulation brings models of
/// them. Loop thread only.
class Surroundings {
 public:
  virtual ~Surroundings() = default;
  /// As kafka::Admin::describe(). bad_config: the cluster's settings cannot be used, or its secrets not be read.
  virtual boost::asio::awaitable<core::Result<std::map<std::string, kafka::TopicInfo>>> describe(
      std::vector<std::string> topics, std::vector<std::string> config_names, std::chrono::milliseconds timeout) = 0;
  virtual core::Result<std::unique_ptr<kafka::GroupConsumer>> join(kafka::GroupOptions options, kafka::GroupListener& listener) = 0;
  virtual core::Result<std::unique_ptr<http::Client>> client(http::ClientOptions options) = 0;
  virtual core::Result<std::unique_ptr<http::Server>> serve(http::ServerOptions options, http::Handler handler) = 0;
  /// For what would hold up the loop; `large_helpers` for bodies that take long.
  virtual boost::asio::any_io_executor helpers() = 0;
  virtual boost::asio::any_io_executor large_helpers() = 0;
  /// What earlier lives of this worker crashed at; nothing where that is not noted.
  virtual core::CrashNoteFile* crash_notes() { return nullptr; }
};

}  // namespace stsync::sync
