#include "stage/kafka_faults.hpp"

#include <utility>

namespace stsync::test {

KafkaRuleId KafkaFaults::add(KafkaRule rule) {
  rules_.push_back({std::move(rule)});
  return rules_.size() - 1;
}

void KafkaFaults::remove(KafkaRuleId rule) { rules_.at(rule).rule.times = 0; }

std::optional<KafkaRuleId> KafkaFaults::decide(const KafkaRequest& request) {
  ++requests_[request.api];
  for (KafkaRuleId id = 0; id < rules_.size(); ++id) {
    auto& [rule, count] = rules_[id];
    if (count.fired >= rule.times || rule.api.value_or(request.api) != request.api) continue;
    if (rule.where && !rule.where(request)) continue;
    ++count.fired;
    return id;
  }
  return std::nullopt;
}

std::size_t KafkaFaults::requests(KafkaApi api) const {
  const auto it = requests_.find(api);
  return it == requests_.end() ? 0 : it->second;
}

}  // namespace stsync::test
