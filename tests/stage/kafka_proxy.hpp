#pragma once
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "stage/kafka_faults.hpp"

namespace stsync::test {

/// Stands between clients and one Kafka broker, passes requests and answers on unchanged and lets chosen ones go wrong: above all
/// "executed, but the answer is lost", which no broker can be asked for.
///
/// The broker has to tell its clients the proxy's address: `KAFKA_PROXY=<address()> scripts/kafka start DIR`, then
/// forward_to() with what DIR/bootstrap.proxied holds. A broker may die and come back: connections to it end on both sides, new
/// ones reach it as soon as it listens again. Only plain text, without TLS and SASL.
///
/// It works on a thread of its own. Every call may come from any thread but its own (see KafkaRule::where).
class KafkaProxy {
 public:
  /// Listens on a free port of 127.0.0.1. Throws where it cannot.
  KafkaProxy();
  /// Cuts everything; what is held never arrives.
  ~KafkaProxy();
  KafkaProxy(const KafkaProxy&) = delete;
  KafkaProxy& operator=(const KafkaProxy&) = delete;

  /// "127.0.0.1:port", for the clients.
  const std::string& address() const noexcept;
  /// "127.0.0.1:port" of the broker's listener; until this is called connections are closed at once. Throws what is no address.
  void forward_to(const std::string& broker);

  KafkaRuleId add(KafkaRule rule);
  /// Lets go what the rule holds, and meets nothing any more.
  void remove(KafkaRuleId rule);
  /// Lets go what the rule holds now; the connections that were cut meanwhile stay cut.
  void release(KafkaRuleId rule);

  /// Closes every connection, on both sides: requests on their way may or may not arrive, held ones never do.
  void cut_all();
  /// true: new connections are closed at once, as behind a partitioned network; those that are open stay.
  void refuse(bool on);

  KafkaRuleCount count(KafkaRuleId rule) const;
  /// Requests of this kind that came from clients, those that met a fault included.
  std::size_t requests(KafkaApi api) const;
  /// Open connections of clients.
  std::size_t connections() const;
  /// Whether the rule was met `times` times within `timeout`. Blocks.
  bool wait_for(KafkaRuleId rule, std::chrono::milliseconds timeout, std::size_t times = 1) const;
  /// Whether the broker answered `times` of the requests that met the rule within `timeout`. Blocks.
  bool wait_executed(KafkaRuleId rule, std::chrono::milliseconds timeout, std::size_t times = 1) const;

 private:
  class Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace stsync::test
