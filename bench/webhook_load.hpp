#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/secret.hpp"
#include "sim/webhook_events.hpp"

namespace stsync::bench {

/// Webhook events of the simulator's rows, any number of them, each with an id of its own. Immutable, any thread.
class EventMaker {
 public:
  /// Bodies have `bytes` bytes, a fifth up or down.
  EventMaker(const std::vector<std::int64_t>& tenants, std::size_t bytes);

  /// Which event: the connection that sends it, and its number there.
  using Which = std::pair<std::uint32_t, std::uint64_t>;
  /// The same for the same event.
  std::string body(Which which) const;
  static std::string id(Which which);
  /// Nothing when no event has this id.
  static std::optional<Which> which(std::string_view id);

 private:
  std::vector<sim::WebhookEvent> events_;  // of which the others differ in their ids
};

struct LoadOptions {
  std::string url, ca_file;
  core::Secret secret;
  std::uint32_t connections = 64;
  int seconds = 60;
  double rate = 0;  ///< events a second in all; 0: as many as are answered
};

struct Load {
  std::vector<std::vector<bool>> acknowledged;  ///< by connection and number
  std::vector<double> milliseconds;             ///< to each acknowledgement; with a rate from when it should have been sent
  std::map<int, std::uint64_t> refused;         ///< by status
  std::uint64_t broken = 0;                     ///< connections
  std::string problem;                          ///< of one that broke
  double wall_seconds = 0;
};
/// Sends signed events over keep-alive connections, a thread each, one after the other; what comes before all of them are
/// acknowledged once is not measured. Throws when one never is.
Load send_events(const EventMaker& events, const LoadOptions& options);

}  // namespace stsync::bench
