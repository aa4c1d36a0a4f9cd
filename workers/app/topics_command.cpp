#include <algorithm>
#include <cstdio>
#include <map>

#include <fmt/format.h>

#include "app/setup.hpp"
#include "app/topics_migrate.hpp"
#include "kafka/admin.hpp"
#include "sync/cluster.hpp"
#include "sync/migration.hpp"
#include "sync/record_topics.hpp"

namespace stsync::app {
namespace {

using namespace std::chrono_literals;
constexpr auto kTimeout = 20s;

std::string days(int n) { return std::to_string(n * 86'400'000LL); }

/// Every topic the configuration needs, as stsync would make it (design 2).
std::vector<kafka::NewTopic> wanted_topics(const config::Config& config, const servicetitan::Catalogue& catalogue) {
  const auto& k = config.kafka;
  const int rf = k.replication_factor;
  const auto kept = [](int n) {
    return std::map<std::string, std::string>{{"cleanup.policy", "delete"}, {"retention.ms", days(n)}};
  };
  std::vector<kafka::NewTopic> out{
      {k.topics.commands, k.partitions, rf, kept(7)},
      {k.topics.journal,
       k.partitions,
       rf,
       {{"cleanup.policy", "compact"}, {"delete.retention.ms", days(1)}, {"segment.ms", "3600000"}}},
      {k.topics.status, k.record_partitions, rf, kept(30)},
      {k.topics.usage, k.record_partitions, rf, kept(90)},
      {k.topics.webhooks, k.record_partitions, rf, kept(7)},
      {k.topics.dlq, k.record_partitions, rf, kept(14)},
  };
  for (const auto& name : sync::record_topics(config, catalogue)) out.push_back({name, k.record_partitions, rf, {}});
  return out;
}

std::string describe(const kafka::NewTopic& t) {
  auto text = fmt::format("{} partitions={}", t.name, t.partitions);
  if (t.replication_factor > 0) text += fmt::format(" replication={}", t.replication_factor);
  for (const auto& [name, value] : t.config) text += fmt::format(" {}={}", name, value);
  return text;
}

/// What is there but not as delivery needs it. Nothing: fine.
std::string wrong_with(const kafka::NewTopic& wanted, const kafka::TopicInfo& found, const config::Kafka& k) {
  const bool owned = wanted.name == k.topics.commands || wanted.name == k.topics.journal;
  if (owned && found.partitions != wanted.partitions) return sync::wrong_partitions(found.partitions, wanted.partitions);
  const auto policy = found.config.find("cleanup.policy");
  if (policy == found.config.end()) return {};
  const bool compacted = policy->second.find("compact") != std::string::npos;
  if (wanted.name == k.topics.journal && !compacted) return "must have cleanup.policy=compact, it has " + policy->second;
  if (wanted.name == k.topics.commands && compacted) return "must not be compacted";
  return {};
}

}  // namespace

int run_topics(const TopicsOptions& o) {
  const auto setup = load_setup(o.config);
  if (!setup) return Exit::bad_config;
  if (o.action == "migrate") return migrate_topics(*setup, o);
  const auto cluster = sync::make_cluster(setup->config, "stsync-cli");
  if (!cluster) {
    complain(cluster.error().message());
    return exit_code(cluster.error());
  }
  const auto fail = [](const core::Error& e) {
    complain(e.message());
    return static_cast<int>(exit_code(e));
  };
  auto admin = kafka::make_admin(*cluster);
  if (!admin) return fail(admin.error());
  const auto wanted = wanted_topics(setup->config, setup->catalogue);
  std::vector<std::string> names;
  for (const auto& t : wanted) names.push_back(t.name);
  const auto found = (*admin)->describe(names, {"cleanup.policy"}, kTimeout);
  if (!found) return fail(found.error());
  std::vector<kafka::NewTopic> missing;
  int wrong = 0;
  for (const auto& t : wanted) {
    const auto it = found->find(t.name);
    if (it == found->end()) {
      missing.push_back(t);
      std::printf("%s %s\n", o.action == "check" ? "missing" : "create", describe(t).c_str());
    } else if (const auto text = wrong_with(t, it->second, setup->config.kafka); !text.empty()) {
      ++wrong;
      std::printf("wrong %s %s\n", t.name.c_str(), text.c_str());
    }
  }
  if (o.action == "create" && !missing.empty())
    if (auto ok = (*admin)->create(missing, kTimeout); !ok) return fail(ok.error());
  complain(fmt::format("{} topics, {} {}, {} wrong", wanted.size(), missing.size(), o.action == "create" ? "created" : "missing",
                       wrong));
  if (wrong > 0 || (o.action == "check" && !missing.empty())) return Exit::bad_config;
  return Exit::ok;
}

}  // namespace stsync::app
