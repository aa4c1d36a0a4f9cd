#pragma once
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "rounds.hpp"
#include "workers.hpp"

namespace stsync::chaos {

/// Everything that may go wrong, drawn from a seed. Each fault lasts seconds and is over when strike() returns, or by itself.
class Faults {
 public:
  /// `only`: kinds of faults; empty: all. Throws what is none.
  Faults(const test::Stage& stage, Workers& workers, const Rounds& rounds, std::uint64_t seed, std::vector<std::string> only);

  /// Does the next one and waits a moment. Its name.
  std::string strike();
  /// How often each happened.
  const std::map<std::string, int>& happened() const noexcept { return happened_; }
  int kills() const noexcept { return kills_; }
  /// Jobs that somebody asked to be cancelled.
  const std::set<std::string>& cancelled() const noexcept { return cancelled_; }
  /// Nothing goes wrong or is held any more.
  void clear();

 private:
  struct Kind {
    const char* name;
    int weight;
    void (Faults::*act)();
  };
  static const Kind kKinds[];
  int weight(const Kind& kind) const;

  void kill();
  void terminate();
  void freeze();
  void crash_broker();
  void lose_answers();
  void delay_commit();
  void cut_all();
  void partition();
  void throttle();
  void break_calls();
  void break_tokens();
  void pause_and_resume();
  void control_burst();
  void nothing() {}

  std::size_t some_worker() { return between(0, workers_.size() - 1); }
  std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    return std::uniform_int_distribution<std::uint64_t>(low, high)(random_);
  }
  void at_vendor(const std::string& fault);
  void at_proxy(test::KafkaRule rule) { rules_.push_back(stage_.kafka_proxy().add(rule)); }
  void sleep(std::uint64_t low_ms, std::uint64_t high_ms);

  std::int64_t some_tenant() { return kFirstTenant + static_cast<std::int64_t>(between(0, kTenants - 1)); }
  const std::string& some_resource() { return resources()[between(0, resources().size() - 1)]; }

  const test::Stage& stage_;
  Workers& workers_;
  const Rounds& rounds_;
  std::mt19937_64 random_;
  std::vector<std::string> only_;
  std::map<std::string, int> happened_;
  std::vector<test::KafkaRuleId> rules_;  ///< of the proxy; some wait for a request that seldom comes
  std::set<std::string> cancelled_;
  int kills_ = 0;
};

}  // namespace stsync::chaos
