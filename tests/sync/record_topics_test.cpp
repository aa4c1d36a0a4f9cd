// Topics that overrides give to resources, and what keys look like on them.
#include "sync/record_topics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sync/names.hpp"

namespace stsync::sync {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

config::Config config_with(const std::vector<std::string>& environments) {
  config::Config c;
  for (const auto* name : {"production", "integration"}) c.environments[name] = {name, "", "", ""};
  auto& app = c.apps.emplace_back();
  app.name = "acme";
  for (const auto& environment : environments) {
    auto& tenant = app.tenants.emplace_back();
    tenant.id = 1001;
    tenant.environment = environment;
  }
  return c;
}

servicetitan::Catalogue catalogue_of(const std::string& overrides) {
  return servicetitan::Catalogue::load(overrides, "over.yaml").value();
}

std::string problems(const config::Config& config, const std::string& overrides) {
  config::Report report;
  check_record_topics(config, servicetitan::Catalogue::read(overrides, "over.yaml"), report);
  std::string out;
  for (const auto& problem : report.errors()) out += problem.text() + "\n";
  return out;
}

std::string prefix(const config::Config& config, const servicetitan::Catalogue& catalogue, const char* resource) {
  return record_key_prefix(config, catalogue, *catalogue.find(resource), 7);
}

TEST(RecordTopics, AResourceMayHaveOneOfItsOwn) {
  const auto config = config_with({"integration"});
  const auto catalogue = catalogue_of("resources: {crm.leads: {topic: \"leads.{environment}\"}}");
  EXPECT_EQ(records_topic(config.kafka.topics, *catalogue.find("crm.leads"), "integration"), "leads.integration");
  EXPECT_EQ(records_topic(config.kafka.topics, *catalogue.find("crm.contacts"), "integration"), "st.crm.contacts");
  EXPECT_THAT(record_topics(config, catalogue), AllOf(Contains("leads.integration"), Not(Contains("st.crm.leads"))));
  EXPECT_EQ(prefix(config, catalogue, "crm.leads"), "7:");
  EXPECT_EQ(problems(config, "resources: {crm.leads: {topic: \"leads.{environment}\"}}"), "");
}

TEST(RecordTopics, KeysNameTheResourceWhereTwoShareATopic) {
  const auto config = config_with({"integration"});
  const auto catalogue = catalogue_of("resources: {crm.leads: {topic: st.people}, crm.contacts: {topic: st.people}}");
  EXPECT_EQ(prefix(config, catalogue, "crm.leads"), "7:crm.leads:");
  EXPECT_EQ(prefix(config, catalogue, "crm.contacts"), "7:crm.contacts:");
  EXPECT_EQ(prefix(config, catalogue, "crm.customers"), "7:");
}

TEST(RecordTopics, TheHostOfATopicThatAnotherJoinsIsNamedToo) {
  const auto config = config_with({"integration"});
  const auto catalogue = catalogue_of("resources: {crm.leads: {topic: st.crm.customers}}");
  EXPECT_EQ(prefix(config, catalogue, "crm.leads"), "7:crm.leads:");
  EXPECT_EQ(prefix(config, catalogue, "crm.customers"), "7:crm.customers:");
}

TEST(RecordTopics, TheFormOfKeysDoesNotDependOnWhichTenantsThereAre) {
  const auto catalogue =
      catalogue_of("resources: {crm.leads: {topic: st.integration}, crm.contacts: {topic: \"st.{environment}\"}}");
  EXPECT_EQ(prefix(config_with({"production"}), catalogue, "crm.leads"), "7:crm.leads:");
}

TEST(RecordTopics, OneTopicForAnApiStaysSharedAndAnExceptionHasItsOwn) {
  auto config = config_with({"integration"});
  config.kafka.topics.records = "st.{api}";
  const auto catalogue = catalogue_of("resources: {crm.leads: {topic: st.leads}}");
  EXPECT_EQ(prefix(config, catalogue, "crm.contacts"), "7:crm.contacts:");
  EXPECT_EQ(prefix(config, catalogue, "crm.leads"), "7:");
}

TEST(RecordTopics, OneOfStsyncsOwnIsAProblem) {
  EXPECT_EQ(problems(config_with({}), "resources: {crm.leads: {topic: st.status}}"),
            "over.yaml:1:32: resources.crm.leads.topic: found 'st.status', which is also kafka.topics.status\n");
}

TEST(RecordTopics, TenantsOfTwoEnvironmentsMustNotShareOne) {
  auto config = config_with({"integration", "production"});
  config.kafka.topics.records = "st.{environment}.{api}.{resource}";
  EXPECT_THAT(problems(config, "resources: {crm.leads: {topic: st.leads}}"),
              HasSubstr("expected {environment} in it: tenants of integration and production would share the topic"));
  EXPECT_THAT(problems(config, "resources: {crm.leads: {topic: \"st.{environment}.leads\"}}"), IsEmpty());
  config.environments["a"] = {"a", "", "", ""};
  config.environments["a.crm"] = {"a.crm", "", "", ""};
  config.apps[0].tenants[0].environment = "a";
  config.apps[0].tenants[1].environment = "a.crm";
  EXPECT_THAT(problems(config, "resources: {crm.leads: {topic: \"st.{environment}.crm.crm.contacts\"}}"),
              HasSubstr("which in environment 'a' is also the topic of"))
      << "st.a.crm.crm.contacts, once by each";
}

TEST(RecordTopics, WhatBrokersRefuseIsAProblem) {
  EXPECT_THAT(problems(config_with({}), "resources: {crm.leads: {topic: \"..\"}}"), HasSubstr("brokers do not take"));
  std::string many;
  for (int i = 0; i < 20; ++i) many += "{resource}{api}";
  EXPECT_THAT(problems(config_with({}), "resources: {inventory.purchase-order-markups: {topic: \"" + many + "\"}}"),
              HasSubstr("brokers do not take"));
}

TEST(HashKey, HashesThatCouldBeGuessedAreWarnedAboutWhereTheyAreAskedFor) {
  const std::string overrides = "resources:\n  crm.leads: {drop_fields: [a]}\n  crm.contacts:\n    hash_fields: [b]\n";
  auto config = config_with({});
  config::Report without, with;
  check_hash_key(config, servicetitan::Catalogue::read(overrides, "over.yaml"), without);
  ASSERT_EQ(without.warnings().size(), 1u);
  EXPECT_THAT(without.warnings()[0].text(),
              HasSubstr("over.yaml:4:18: resources.crm.contacts.hash_fields: without catalogue.hash_key_file"));
  config.catalogue_hash_key.file = "key";
  check_hash_key(config, servicetitan::Catalogue::read(overrides, "over.yaml"), with);
  EXPECT_THAT(with.warnings(), IsEmpty());
}

}  // namespace
}  // namespace stsync::sync
