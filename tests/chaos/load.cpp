#include "load.hpp"

#include <map>
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

std::set<std::string> send_full(const test::Stage& stage) {
  std::vector<kafka::OwnedMessage> commands;
  std::set<std::string> ids;
  const std::string all = test::kBulk;
  for (std::int64_t tenant = kFirstTenant; tenant < kFirstTenant + static_cast<std::int64_t>(kTenants); ++tenant)
    for (std::size_t at = 0; at < all.size();) {
      const auto end = std::min(all.find(',', at), all.size());
      const auto resource = all.substr(at, end - at);
      const auto id = fmt::format("{}-{}", tenant, resource);
      commands.push_back(command(tenant, id, fmt::format(R"("sync":{{"resource":"{}","mode":"full"}})", resource)));
      ids.insert(id);
      at = end + 1;
    }
  send(stage, commands);
  return ids;
}

void send_control(const test::Stage& stage, const std::string& action, std::int64_t tenant) {
  static int n = 0;
  send(stage, {command(tenant, fmt::format("{}-{}-{}", action, tenant, ++n), fmt::format(R"("{}":{{}})", action))});
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
    out.ended.insert(job);
    if (type != "completed" && row.contains("failure")) out.failed.insert(job + ": " + row.at("failure"));
  }
  return out;
}

}  // namespace stsync::chaos
