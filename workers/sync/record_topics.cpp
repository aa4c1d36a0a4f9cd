#include "sync/record_topics.hpp"

#include <map>

#include <fmt/format.h>

#include "sync/names.hpp"

namespace stsync::sync {
namespace {

constexpr std::size_t kLongestTopic = 249;  ///< what brokers take

std::set<std::string> environments_of(const config::Config& config) {
  std::set<std::string> out;
  for (const auto& app : config.apps)
    for (const auto& tenant : app.tenants) out.insert(tenant.environment);
  return out;
}

class TopicChecks {
 public:
  TopicChecks(const config::Config& config, const servicetitan::LoadedCatalogue& loaded, config::Report& report)
      : config_(config), loaded_(loaded), report_(report), environments_(environments_of(config)) {
    if (environments_.empty()) environments_.insert("production");  // no tenants yet: names can be checked all the same
    const auto& t = config.kafka.topics;
    own_ = {{t.commands, "commands"}, {t.journal, "journal"},   {t.status, "status"},
            {t.usage, "usage"},       {t.webhooks, "webhooks"}, {t.dlq, "dlq"}};
  }

  /// The pattern of all others is checked with the configuration: here are those that have a topic of their own.
  void run() {
    for (const auto& [name, where] : loaded_.topic_places)
      if (const auto* resource = loaded_.catalogue.find(name)) check(*resource, where);
  }

 private:
  void check(const servicetitan::Resource& resource, const config::Where& where) {
    const auto error = [&](const std::string& message) {
      report_.error(where, fmt::format("resources.{}.topic: found '{}', {}", resource.name, resource.topic, message));
    };
    if (environments_.size() > 1 && resource.topic.find("{environment}") == std::string::npos)
      return error(
          fmt::format("expected {{environment}} in it: tenants of {} would share the topic", fmt::join(environments_, " and ")));
    for (const auto& environment : environments_) {
      const auto topic = records_topic(config_.kafka.topics, resource, environment);
      if (const auto own = own_.find(topic); own != own_.end())
        return error(fmt::format("which is also kafka.topics.{}", own->second));
      if (topic.size() > kLongestTopic || topic == "." || topic == "..") return error("which brokers do not take as a name");
      if (const auto other = elsewhere(resource, topic, environment); !other.empty())
        return error(fmt::format("which in environment '{}' is also the topic of {}", environment, other));
    }
  }

  /// Who writes to the topic in another environment: its records would be mixed with ours.
  std::string elsewhere(const servicetitan::Resource& resource, const std::string& topic, const std::string& environment) const {
    for (const auto& other : environments_) {
      if (other == environment) continue;
      for (const auto& [name, r] : loaded_.catalogue.all())
        if (name != resource.name && records_topic(config_.kafka.topics, r, other) == topic)
          return fmt::format("{} in environment '{}'", name, other);
    }
    return {};
  }

  const config::Config& config_;
  const servicetitan::LoadedCatalogue& loaded_;
  config::Report& report_;
  std::set<std::string> environments_;
  std::map<std::string, std::string> own_;
};

}  // namespace

std::set<std::string> record_topics(const config::Config& config, const servicetitan::Catalogue& catalogue) {
  std::set<std::string> out;
  for (const auto& environment : environments_of(config))
    for (const auto& [name, resource] : catalogue.all()) out.insert(records_topic(config.kafka.topics, resource, environment));
  return out;
}

void check_record_topics(const config::Config& config, const servicetitan::LoadedCatalogue& loaded, config::Report& report) {
  TopicChecks(config, loaded, report).run();
}

void check_hash_key(const config::Config& config, const servicetitan::LoadedCatalogue& loaded, config::Report& report) {
  if (config.catalogue_hash_key.set()) return;
  for (const auto& [name, where] : loaded.hash_places)
    report.warn(where,
                fmt::format("resources.{}.hash_fields: without catalogue.hash_key_file short values such as phone numbers can be "
                            "guessed from their hashes",
                            name));
}

}  // namespace stsync::sync
