#pragma once
#include <memory>
#include <string>

#include "kafka/client.hpp"
#include "stage/stage.hpp"

namespace stsync::bench {

/// Puts commands on their topic, as another system would, many a second.
class CommandWriter {
 public:
  CommandWriter(const kafka::Cluster& cluster, const std::string& topic);
  ~CommandWriter();
  CommandWriter(const CommandWriter&) = delete;
  CommandWriter& operator=(const CommandWriter&) = delete;
  /// `action`: a member of the command, as `"sync":{…}`. Throws when the broker refuses it.
  void write(std::int64_t tenant, const std::string& id, const std::string& action);
  /// Waits until the broker has them all.
  void flush();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A full sync of some resources of a tenant. Throws when the command is not taken.
void send_full(const test::Stage& stage, std::int64_t tenant, const std::string& resources);

}  // namespace stsync::bench
