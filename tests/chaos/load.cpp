#include "load.hpp"

#include <algorithm>
#include <map>
#include <sstream>
#include <stdexcept>

#include <fmt/format.h>

#include "kafka/producer.hpp"

namespace stsync::chaos {
namespace {

using namespace std::chrono_literals;

void send(const test::Stage& stage, const std::vector<kafka::OwnedMessage>& commands) {
  auto producer = kafka::make_producer(stage.cluster());
  if (!producer) throw std::runtime_error(producer.error().message());
  if (const auto sent = (*producer)->send(commands, 60s); !sent) throw std::runtime_error(sent.error().message());
}

kafka::OwnedMessage command(std::int64_t tenant, const std::string& id, const std::string& action) {
  return {"st.commands", kafka::kAnyPartition, fmt::format("acme:{}", tenant),
          fmt::format(R"({{"id":"{}","app":"acme","tenant":{},{}}})", id, tenant, action)};
}

bool is_end(const std::string& type) {
  return type == "completed" || type == "failed" || type == "cancelled" || type == "rejected";
}

/// Nothing: it may follow.
std::string illegal(const std::string& before, const std::string& type) {
  if (is_end(before)) return type == before ? "" : "after its end";
  if (before.empty()) return type == "accepted" || is_end(type) ? "" : "without accepted";
  if (type == "accepted") return "twice accepted";
  if (before == "paused" && (type == "started" || type == "progress" || type == "completed")) return "while paused";
  return "";
}

}  // namespace

const std::vector<std::string>& resources() {
  static const auto all = [] {
    std::vector<std::string> out;
    std::istringstream names(test::kBulk);
    for (std::string name; std::getline(names, name, ',');) out.push_back(name);
    return out;
  }();
  return all;
}

std::string job_id(int round, std::int64_t tenant, const std::string& resource) {
  return fmt::format("{}-{}-{}", round, tenant, resource);
}

std::set<std::string> send_round(const test::Stage& stage, int round) {
  std::vector<kafka::OwnedMessage> commands;
  std::set<std::string> ids;
  for (std::int64_t tenant = kFirstTenant; tenant < kFirstTenant + static_cast<std::int64_t>(kTenants); ++tenant)
    for (const auto& resource : resources()) {
      const auto& id = *ids.insert(job_id(round, tenant, resource)).first;
      commands.push_back(command(tenant, id, fmt::format(R"("sync":{{"resource":"{}","mode":"full"}})", resource)));
    }
  send(stage, commands);
  return ids;
}

void send_controls(const test::Stage& stage, std::int64_t tenant, const std::vector<Control>& controls) {
  static int n = 0;
  std::vector<kafka::OwnedMessage> commands;
  for (const auto& c : controls)
    commands.push_back(command(tenant, fmt::format("{}-{}-{}", c.action, tenant, ++n), fmt::format(R"("{}":{})", c.action, c.of)));
  send(stage, commands);
}

bool Told::all_ended(const std::set<std::string>& jobs) const {
  return std::all_of(jobs.begin(), jobs.end(), [this](const auto& job) { return ended.contains(job); });
}

Told read_statuses(const test::Stage& stage) {
  Told out;
  std::map<std::string, std::string> last;
  for (const auto& m : stage.read({"st.status"})) {
    const auto row = test::json_rows("[" + m.value.value_or("{}") + "]").front();
    const auto& job = row.at("job");
    const auto& type = row.at("type");
    if (type == "duplicate") continue;
    auto& before = last[job];
    if (const auto why = illegal(before, type); !why.empty())
      out.illegal.push_back(fmt::format("{}: {} behind {}: {}", job, type, before, why));
    before = type;
    out.last[job] = *m.value;
    if (!is_end(type)) continue;
    out.ended.emplace(job, type);
    if (type == "cancelled") out.cancelled.emplace(job, m.timestamp_ms);
    if (type != "completed" && row.contains("failure")) out.failed[job] = row.at("failure");
  }
  return out;
}

}  // namespace stsync::chaos
