#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <vector>

#include "stage/kafka_frame.hpp"

namespace stsync::test {

enum class KafkaFault {
  lose_answer,     ///< executed; the answer is thrown away and the connection is cut
  swallow_answer,  ///< executed; the answer is thrown away, the connection stays and the client waits
  cut_before,      ///< the connection is cut, the broker never sees the request
  delay_request,   ///< reaches the broker after `delay`, what the connection carries behind it too
  delay_answer,    ///< reaches the client after `delay`, the answers behind it too
  duplicate,       ///< reaches the broker twice; the second answer is thrown away
};

/// As a number of times: without end.
inline constexpr std::size_t kAlways = std::numeric_limits<std::size_t>::max();
/// As a delay: until the rule is released or removed.
inline constexpr std::chrono::milliseconds kUntilReleased = std::chrono::milliseconds::max();

/// Which requests meet which fault.
struct KafkaRule {
  std::optional<KafkaApi> api{};  ///< nothing: any
  KafkaFault fault = KafkaFault::lose_answer;
  std::size_t times = 1;  ///< so many matching requests, then none
  std::chrono::milliseconds delay{};
  /// With delay_request: the client's connection is cut at once, while the request still arrives later, over the connection to the
  /// broker that stays open for it. That is how a request of the past meets a client that has gone on.
  bool cut_client = false;
  /// Which of these requests; nothing: all. Asked of each that no earlier rule took, so it may count them. Called on the proxy's
  /// thread, which it must not call back.
  std::function<bool(const KafkaRequest&)> where{};
};

using KafkaRuleId = std::size_t;

/// What became of a rule so far.
struct KafkaRuleCount {
  std::size_t fired = 0;     ///< requests that met the fault
  std::size_t executed = 0;  ///< answers of the broker to them, whether the client saw them or not; two for each duplicate
};

/// The rules and what they and the requests came to. Decides, does nothing. One thread at a time.
class KafkaFaults {
 public:
  KafkaRuleId add(KafkaRule rule);
  /// Matches nothing any more; its counts stay.
  void remove(KafkaRuleId rule);
  /// Counts the request. The rule that it meets: of those that match the one added first.
  std::optional<KafkaRuleId> decide(const KafkaRequest& request);
  void executed(KafkaRuleId rule) { ++rules_.at(rule).count.executed; }

  const KafkaRule& rule(KafkaRuleId rule) const { return rules_.at(rule).rule; }
  KafkaRuleCount count(KafkaRuleId rule) const { return rules_.at(rule).count; }
  std::size_t requests(KafkaApi api) const;

 private:
  struct Row {
    KafkaRule rule;
    KafkaRuleCount count{};
  };
  std::vector<Row> rules_;  ///< by id
  std::map<KafkaApi, std::size_t> requests_;
};

}  // namespace stsync::test
