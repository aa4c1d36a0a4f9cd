#include "faults.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>

namespace stsync::chaos {

using test::KafkaApi;
using test::KafkaFault;
using namespace std::chrono_literals;

namespace {

/// Of the workers' sessions (kafka.session_timeout of a stage).
constexpr std::uint64_t kSessionMs = 6000;

constexpr std::pair<const char*, KafkaApi> kAnswers[] = {
    {"EndTxn", KafkaApi::end_txn},
    {"Produce", KafkaApi::produce},
    {"TxnOffsetCommit", KafkaApi::txn_offset_commit},
    {"AddPartitionsToTxn", KafkaApi::add_partitions_to_txn},
    {"InitProducerId", KafkaApi::init_producer_id},
    {"JoinGroup", KafkaApi::join_group},
    {"Heartbeat", KafkaApi::heartbeat},
    {"Fetch", KafkaApi::fetch},
};

}  // namespace

const Faults::Kind Faults::kKinds[] = {
    {"kill", 5, &Faults::kill},
    {"terminate", 2, &Faults::terminate},
    {"freeze", 2, &Faults::freeze},
    {"broker crash", 2, &Faults::crash_broker},
    {"lost answers", 6, &Faults::lose_answers},
    {"late EndTxn", 3, &Faults::delay_commit},
    {"all connections cut", 2, &Faults::cut_all},
    {"partition", 1, &Faults::partition},
    {"429", 2, &Faults::throttle},
    {"broken calls", 3, &Faults::break_calls},
    {"broken tokens", 1, &Faults::break_tokens},
    {"pause and resume", 2, &Faults::pause_and_resume},
    {"control burst", 3, &Faults::control_burst},
    {"nothing", 2, &Faults::nothing},
};

Faults::Faults(const test::Stage& stage, Workers& workers, const Rounds& rounds, std::uint64_t seed, std::vector<std::string> only)
    : stage_(stage), workers_(workers), rounds_(rounds), random_(seed), only_(std::move(only)) {
  for (const auto& name : only_)
    if (std::none_of(std::begin(kKinds), std::end(kKinds), [&](const Kind& k) { return name == k.name; }))
      throw std::runtime_error(fmt::format("'{}' is no kind of fault", name));
}

int Faults::weight(const Kind& kind) const {
  return only_.empty() || std::find(only_.begin(), only_.end(), kind.name) != only_.end() ? kind.weight : 0;
}

std::string Faults::strike() {
  const int all = std::accumulate(std::begin(kKinds), std::end(kKinds), 0, [&](int sum, const Kind& k) { return sum + weight(k); });
  auto draw = static_cast<int>(between(0, static_cast<std::uint64_t>(all) - 1));
  const auto* kind = std::begin(kKinds);
  for (; draw >= weight(*kind); ++kind) draw -= weight(*kind);
  ++happened_[kind->name];
  (this->*kind->act)();
  sleep(500, 3500);
  return kind->name;
}

void Faults::sleep(std::uint64_t low_ms, std::uint64_t high_ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(between(low_ms, high_ms)));
}

void Faults::kill() {
  ++kills_;
  workers_.kill(some_worker());
}

void Faults::terminate() {
  ++kills_;
  workers_.replace(some_worker());
}

/// Longer than its session half of the time.
void Faults::freeze() {
  ++kills_;
  const auto which = some_worker();
  workers_.freeze(which);
  sleep(kSessionMs / 2, 2 * kSessionMs);
  workers_.thaw(which);
}

void Faults::crash_broker() {
  kills_ += static_cast<int>(workers_.size());
  stage_.stop_broker();
  sleep(0, 2000);
  stage_.start_broker();
}

void Faults::lose_answers() {
  ++kills_;
  const auto& [name, api] = kAnswers[between(0, std::size(kAnswers) - 1)];
  constexpr KafkaFault kHow[] = {KafkaFault::lose_answer, KafkaFault::lose_answer, KafkaFault::swallow_answer,
                                 KafkaFault::cut_before, KafkaFault::duplicate};
  at_proxy({.api = api, .fault = kHow[between(0, std::size(kHow) - 1)], .times = between(1, 3)});
}

/// As Jepsen has it: it arrives when its producer has long given up.
void Faults::delay_commit() {
  ++kills_;
  at_proxy({.api = KafkaApi::end_txn,
            .fault = KafkaFault::delay_request,
            .delay = std::chrono::milliseconds(between(500, 15'000)),
            .cut_client = true});
}

void Faults::cut_all() {
  kills_ += static_cast<int>(workers_.size());
  stage_.kafka_proxy().cut_all();
}

void Faults::partition() {
  kills_ += static_cast<int>(workers_.size());
  stage_.kafka_proxy().refuse(true);
  stage_.kafka_proxy().cut_all();
  sleep(1000, 2 * kSessionMs);
  stage_.kafka_proxy().refuse(false);
}

/// In the place of what was left of the last one: where there is little work it would last for ever.
void Faults::at_vendor(const std::string& fault) {
  stage_.control("/__sim/faults", R"({"clear":true})");
  stage_.control("/__sim/faults", fault);
}

void Faults::throttle() {
  at_vendor(
      fmt::format(R"({{"status":429,"retry_after":"{}","every":{},"count":{}}})", between(1, 3), between(1, 5), between(1, 30)));
}

void Faults::break_calls() {
  const std::string how[] = {
      R"("status":503,"body":"html")",  R"("status":500)",   R"("cut_body":200)", R"("garbage":true)", R"("reset":true)",
      R"("reset":true,"cut_body":300)", R"("delay_ms":1500)"};
  at_vendor(fmt::format(R"({{{},"every":{},"count":{}}})", how[between(0, std::size(how) - 1)], between(2, 6), between(1, 12)));
}

void Faults::break_tokens() {
  at_vendor(fmt::format(R"({{"status":503,"path_contains":"/connect/token","count":{}}})", between(1, 6)));
}

void Faults::pause_and_resume() {
  const auto tenant = some_tenant();
  send_controls(stage_, tenant, {{"pause"}});
  sleep(200, 3000);
  send_controls(stage_, tenant, {{"resume"}});
}

/// Of the tenant, its resources and its jobs, in any order; at its end everything goes on but what was cancelled.
void Faults::control_burst() {
  const auto tenant = some_tenant();
  std::vector<Control> burst;
  std::vector<Control> end{{"resume"}};
  for (auto n = between(2, 30); n > 0; --n) {
    const auto resource = some_resource();
    const auto job = job_id(rounds_.number(), tenant, resource);
    const auto kind = between(0, 9);
    Control control{between(0, 1) == 0 ? "pause" : "resume"};
    if (kind > 2) control.of = fmt::format(R"({{"resource":"{}"}})", resource);
    if (kind > 5) control.of = fmt::format(R"({{"job":"{}"}})", job);
    if (kind > 2) end.push_back({"resume", control.of});
    if (kind == 9) {
      control.action = "cancel";
      cancelled_.insert(job);
    }
    burst.push_back(std::move(control));
  }
  burst.insert(burst.end(), end.begin(), end.end());
  send_controls(stage_, tenant, burst);
}

void Faults::clear() {
  stage_.control("/__sim/faults", R"({"clear":true})");
  stage_.kafka_proxy().refuse(false);
  for (const auto rule : rules_) stage_.kafka_proxy().remove(rule);
  rules_.clear();
  for (std::int64_t t = kFirstTenant; t < kFirstTenant + static_cast<std::int64_t>(kTenants); ++t)
    send_controls(stage_, t, {{"resume"}});
}

}  // namespace stsync::chaos
