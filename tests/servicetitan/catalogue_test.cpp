#include "servicetitan/catalogue.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stsync::servicetitan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

const Catalogue& built_in() {
  static const auto catalogue = Catalogue::load("", "");
  return catalogue.value();
}

std::string error_of(const std::string& overrides) {
  const auto catalogue = Catalogue::load(overrides, "over.yaml");
  return catalogue ? "" : catalogue.error().message();
}

TEST(Catalogue, HoldsTheResources) {
  std::vector<std::string> feeds, lists;
  for (const auto& [name, resource] : built_in().all()) (resource.feed == Feed::export_feed ? feeds : lists).push_back(name);
  EXPECT_THAT(feeds, ElementsAre("accounting.invoices", "accounting.payments", "crm.bookings", "crm.customers", "crm.locations",
                                 "dispatch.appointment-assignments", "jpm.appointments", "jpm.jobs", "jpm.projects",
                                 "memberships.memberships", "settings.employees", "settings.technicians"));
  EXPECT_THAT(lists, ElementsAre("inventory.vendors", "jpm.job-types", "marketing.campaigns", "settings.business-units"));
}

TEST(Catalogue, EveryEntryMakesSense) {
  for (const auto& [name, r] : built_in().all()) {
    EXPECT_EQ(r.name, name);
    EXPECT_EQ(name.substr(0, name.find('.')), r.api);
    EXPECT_TRUE(r.path.starts_with("/" + r.api + "/v2/tenant/{tenant}/")) << name;
    EXPECT_EQ(r.path.find("/export/") != std::string::npos, r.feed == Feed::export_feed) << name;
    EXPECT_EQ(r.key, "id");
    EXPECT_EQ(r.modified, "modifiedOn");
    EXPECT_FALSE(r.title.empty());
  }
}

TEST(Catalogue, ListsAskForInactiveRowsToo) {
  for (const auto& [name, r] : built_in().all()) {
    if (r.feed == Feed::export_feed) continue;
    EXPECT_THAT(r.query, ElementsAre(Pair("active", "Any"))) << name;
    EXPECT_GT(r.page_size, 0);
    EXPECT_EQ(r.max_page_size, 5000);
  }
  EXPECT_EQ(built_in().find("inventory.vendors")->unique_sort, "+Id");
  EXPECT_EQ(built_in().find("settings.business-units")->unique_sort, "");
}

TEST(Catalogue, KnowsWhereModifiedOnMayBeNull) {
  EXPECT_TRUE(built_in().find("accounting.invoices")->modified_nullable);
  EXPECT_FALSE(built_in().find("accounting.payments")->modified_nullable);
}

TEST(Catalogue, FindsAndExpands) {
  EXPECT_EQ(built_in().find("jpm.job"), nullptr);
  EXPECT_THAT(built_in().expand("jpm.job*"), ElementsAre("jpm.job-types", "jpm.jobs"));
  EXPECT_THAT(built_in().expand("*.*s"), ::testing::SizeIs(16));
  EXPECT_THAT(built_in().expand("crm.customers"), ElementsAre("crm.customers"));
  EXPECT_THAT(built_in().expand("*.*.*"), IsEmpty());
  EXPECT_THAT(built_in().expand(""), IsEmpty());
  EXPECT_THAT(built_in().expand(std::string(5000, '*')), ::testing::SizeIs(16));
}

TEST(Catalogue, OverridesChangeFieldsAndAddResources) {
  const auto catalogue = Catalogue::load(
      "resources:\n"
      "  inventory.vendors: {page_size: 200, query: {active: \"True\", ids: \"1,2\"}}\n"
      "  crm.leads: {feed: export, path: \"/crm/v2/tenant/{tenant}/export/leads\"}\n",
      "over.yaml");
  ASSERT_TRUE(catalogue) << catalogue.error().message();
  const auto* vendors = catalogue->find("inventory.vendors");
  EXPECT_EQ(vendors->page_size, 200);
  EXPECT_EQ(vendors->unique_sort, "+Id");
  EXPECT_THAT(vendors->query, ElementsAre(Pair("active", "True"), Pair("ids", "1,2")));
  ASSERT_NE(catalogue->find("crm.leads"), nullptr);
  EXPECT_EQ(catalogue->find("crm.leads")->api, "crm");
}

TEST(Catalogue, BadOverridesAreAllReportedWithTheirPlace) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"resource: {}\n", "over.yaml:1:1: unknown key 'resource', did you mean 'resources'?"},
      {"resources: {jpm.jobs: {page: 5}}\n", "over.yaml:1:24: unknown key 'page' in resources.jpm.jobs"},
      {"resources:\n  jpm.job-types:\n    page_size: 6000\n",
       "over.yaml:3:16: resources.jpm.job-types.page_size: found 6000, expected at most max_page_size (5000)"},
      {"resources: {jpm.jobs: {page_size: 10}}\n", "an export feed has no page size"},
      {"resources: {jpm.jobs: {page_size: 0}}\n", "expected a whole number from 1 to 25000"},
      {"resources: {jpm.jobs: {path: \"/jpm/jobs\"}}\n", "found '/jpm/jobs', expected a path with {tenant}"},
      {"resources: {jpm.jobs: {path: \"/jpm/{tenant}/{id}\"}}\n", "expected a path with {tenant}"},
      {"resources: {jpm.jobs: {path: \"https://evil/{tenant}/x\"}}\n", "expected a path with {tenant}"},
      {"resources: {jpm.jobs: {path: \"/jpm/{tenant}/x?y=1\"}}\n", "expected a path with {tenant}"},
      {"resources: {jpm.jobs: {feed: lst}}\n", "(did you mean 'list'?)"},
      {"resources: {jpm.jobs: {query: {from: x}}}\n", "stsync sends this parameter itself"},
      {"resources: {jpm.jobs: {key: \"a b\"}}\n", "expected a field name"},
      {"resources: {jpm.jobbs: {title: x}}\n", "resources.jpm.jobbs: 'path' is missing (no such resource is built in)"},
      {"resources: {Jobs: {feed: export, path: \"/a/{tenant}/b\"}}\n", "expected a name such as jpm.jobs"},
      {"resources: {a.b: {feed: list, path: \"/a/{tenant}/b\"}}\n", "page_size and max_page_size are missing"},
      {"resources: [1]\n", "expected a mapping"},
      {"{", "over.yaml:1:"},
  };
  for (const auto& [text, expected] : cases) EXPECT_THAT(error_of(text), HasSubstr(expected)) << text;
  EXPECT_THAT(error_of("resources:\n  jpm.jobs: {a: 1}\n  crm.customers: {b: 1}\n"),
              ::testing::ContainsRegex("over.yaml:2:.*\n.*over.yaml:3:"));
}

}  // namespace
}  // namespace stsync::servicetitan
