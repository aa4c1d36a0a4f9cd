#include "servicetitan/catalogue.hpp"

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "servicetitan/plan.hpp"

namespace stsync::servicetitan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr std::int64_t kNow = 1'790'000'000'000;

const Catalogue& built_in() {
  static const auto catalogue = Catalogue::load("", "");
  return catalogue.value();
}

std::string error_of(const std::string& overrides) {
  const auto catalogue = Catalogue::load(overrides, "over.yaml");
  return catalogue ? "" : catalogue.error().message();
}

TEST(Catalogue, HoldsEveryReadableEndpointOnce) {
  std::set<std::string> paths;
  for (const auto& [name, r] : built_in().all())
    for (const auto& e : r.endpoints)
      for (const auto& path : {e.path, e.async_path, e.result_path})
        if (!path.empty()) EXPECT_TRUE(paths.insert(path).second) << name << ": " << path;
  EXPECT_EQ(paths.size(), 331u);
  EXPECT_EQ(built_in().all().size(), 203u);
}

TEST(Catalogue, EveryEntryMakesSense) {
  for (const auto& [name, r] : built_in().all()) {
    SCOPED_TRACE(name);
    EXPECT_EQ(r.name, name);
    EXPECT_EQ(name.substr(0, name.find('.')), r.api);
    EXPECT_FALSE(r.title.empty());
    EXPECT_LE(r.first_spec, r.last_spec);
    for (const auto& e : r.endpoints) {
      EXPECT_EQ(e.path.find("/tenant/{tenant}/"), e.path.find('{') - 8);
      EXPECT_EQ(e.path.find("/export") != std::string::npos, e.role == Role::export_feed) << e.path;
      if (!e.unique_sort.empty()) EXPECT_EQ((e.key ? *e.key : r.key).text(), "id") << "the order of an id that is a number";
    }
  }
}

TEST(Catalogue, EveryResourceCanBeReadInSomeMode) {
  for (auto [name, r] : built_in().all()) {
    v1::Sync all, by_id, report;
    by_id.set_mode(v1::ids);
    report.set_mode(v1::report);
    if (r.has_files())
      EXPECT_FALSE(check_mode(built_in(), r, all) || check_mode(built_in(), r, by_id)) << name << ": off by default";
    r.files = r.has_files();
    if (check_mode(built_in(), r, report)) continue;
    const auto planned = plan({built_in(), r, all, {}, kNow, kNow});
    EXPECT_TRUE(planned || check_mode(built_in(), r, by_id)) << name;
    if (!planned) continue;
    EXPECT_FALSE(planned->why.empty());
    const auto crawl = make_crawl(built_in(), r, planned->start, all).value();
    const auto request = crawl->next();
    EXPECT_EQ(crawl->state().SerializeAsString().empty(), false) << name;
    // Every place of the path is filled, and a list says how large its pages are.
    std::set<std::string> filled{"tenant"};
    for (const auto& [place, value] : request.places) filled.insert(place);
    for (auto at = request.endpoint->path.find('{'); at != std::string::npos; at = request.endpoint->path.find('{', at + 1))
      EXPECT_TRUE(filled.contains(request.endpoint->path.substr(at + 1, request.endpoint->path.find('}', at) - at - 1))) << name;
    const auto sizes =
        std::count_if(request.query.begin(), request.query.end(), [](const auto& p) { return p.first == "pageSize"; });
    EXPECT_EQ(sizes, request.endpoint->page_size > 0 ? 1 : 0) << name;
  }
}

TEST(Catalogue, ListsAskForInactiveRowsToo) {
  EXPECT_THAT(built_in().find("inventory.vendors")->endpoint(Role::list)->query, ElementsAre(Pair("active", "Any")));
  EXPECT_THAT(built_in().find("accounting.invoices")->endpoint(Role::list)->query, ElementsAre(Pair("activeState", "All")));
  EXPECT_THAT(built_in().find("dispatch.teams")->endpoint(Role::list)->query, ElementsAre(Pair("includeInactive", "true")));
}

TEST(Catalogue, KnowsWhereModifiedOnMayBeNull) {
  EXPECT_TRUE(built_in().find("accounting.invoices")->modified_nullable);
  EXPECT_FALSE(built_in().find("accounting.payments")->modified_nullable);
}

TEST(Catalogue, FindsAndExpands) {
  EXPECT_EQ(built_in().find("jpm.job"), nullptr);
  EXPECT_THAT(built_in().expand("jpm.job-t*"), ElementsAre("jpm.job-types"));
  EXPECT_THAT(built_in().expand("telecom.call*"), ElementsAre("telecom.calls")) << "files and twins have to be named";
  EXPECT_THAT(built_in().expand("crm.*-notes"), IsEmpty()) << "a call for every parent is not meant by a pattern";
  EXPECT_THAT(built_in().expand("telecom.call-recordings"), ElementsAre("telecom.call-recordings"));
  EXPECT_THAT(built_in().expand("*.*.*"), IsEmpty());
  EXPECT_THAT(built_in().expand(""), IsEmpty());
  EXPECT_EQ(built_in().expand(std::string(5000, '*')), built_in().expand("*"));
}

TEST(Catalogue, OverridesChangeFieldsAndAddResources) {
  const auto catalogue = Catalogue::load(
      "resources:\n"
      "  inventory.vendors: {topic: st.vendors, look_back: 2h, requests_per_second: 2.5, list: {page_size: 200, query: {active: "
      "\"True\", x: \"1,2\"}}}\n"
      "  crm.leads: {drop_fields: [idle, address.street], hash_fields: address.zip}\n"
      "  crm.heads: {export: {path: \"/crm/v2/tenant/{tenant}/export/heads\"}}\n",
      "over.yaml");
  ASSERT_TRUE(catalogue) << catalogue.error().message();
  const auto* vendors = catalogue->find("inventory.vendors")->endpoint(Role::list);
  EXPECT_EQ(vendors->page_size, 200);
  EXPECT_EQ(vendors->unique_sort, "+Id");
  EXPECT_THAT(vendors->query, ElementsAre(Pair("active", "True"), Pair("x", "1,2")));
  EXPECT_EQ(catalogue->find("inventory.vendors")->topic, "st.vendors");
  EXPECT_EQ(catalogue->find("inventory.vendors")->look_back, std::chrono::hours(2));
  EXPECT_EQ(catalogue->find("inventory.vendors")->requests_per_second, 2.5);
  EXPECT_EQ(catalogue->find("crm.heads")->topic, "");
  EXPECT_THAT(catalogue->find("crm.leads")->drop_fields, ElementsAre("idle", "address.street"));
  EXPECT_THAT(catalogue->find("crm.leads")->hash_fields, ElementsAre("address.zip"));
  ASSERT_NE(catalogue->find("crm.heads"), nullptr);
  EXPECT_EQ(catalogue->find("crm.heads")->api, "crm");
}

TEST(Catalogue, BadOverridesAreAllReportedWithTheirPlace) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"resource: {}\n", "over.yaml:1:1: unknown key 'resource', did you mean 'resources'?"},
      {"resources: {jpm.jobs: {page: 5}}\n", "over.yaml:1:24: unknown key 'page' in resources.jpm.jobs"},
      {"resources:\n  jpm.job-types:\n    list: {page_size: 6000}\n",
       "over.yaml:3:23: resources.jpm.job-types.list.page_size: found 6000, expected at most max_page_size (5000)"},
      {"resources: {jpm.jobs: {export: {page_size: 10}}}\n", "an export feed has no page size"},
      {"resources: {jpm.jobs: {list: {page_size: 0}}}\n", "expected a whole number from 1 to 25000"},
      {"resources: {jpm.jobs: {list: {path: \"/jpm/jobs\"}}}\n", "found '/jpm/jobs', expected a path"},
      {"resources: {jpm.jobs: {list: {path: \"/jpm/{tenant}/{id}\"}}}\n", "nothing fills {id}: it is not in 'bind'"},
      {"resources: {jpm.jobs: {list: {path: \"https://evil/{tenant}/x\"}}}\n", "expected a path"},
      {"resources: {jpm.jobs: {list: {path: \"/jpm/{tenant}/x?y=1\"}}}\n", "expected a path"},
      {"resources: {jpm.jobs: {list: {shape: pge}}}\n", "(did you mean 'page'?)"},
      {"resources: {jpm.jobs: {list: {query: {from: x}}}}\n", "stsync sends this parameter itself"},
      {"resources: {jpm.jobs: {key: \"a b\"}}\n", "expected fields, $parameters, #row or #hash"},
      {"resources: {jpm.jobbs: {title: x}}\n",
       "over.yaml:1:13: resources.jpm.jobbs: it has no endpoint (no such resource is built in); did you mean 'jpm.jobs'?"},
      {"resources: {crm.leads: {files: true}}\n", "over.yaml:1:32: resources.crm.leads.files: its records are no files"},
      {"resources: {crm.leads: {max_file: 1MiB}}\n", "resources.crm.leads.max_file: its records are no files"},
      {"resources: {pricebook.images: {files: true, max_file: 1GiB}}\n",
       "max_file: found '1GiB', expected a size (64KiB, 16MiB, 2GiB) from 1KiB to 15MiB"},
      {"resources: {pricebook.images: {files: true, hash_fields: [a]}}\n",
       "hash_fields: its records are files, they have no fields"},
      {"resources: {crm.leads: {drop_fields: [a..b]}}\n",
       "over.yaml:1:39: resources.crm.leads.drop_fields[0]: found 'a..b', expected a path of names"},
      {"resources: {crm.leads: {drop_fields: [a, id]}}\n",
       "over.yaml:1:42: resources.crm.leads.drop_fields[1]: found 'id', which is part of the record's key ('id')"},
      {"resources: {crm.leads: {hash_fields: [modifiedOn]}}\n",
       "found 'modifiedOn', which is the time of the record's last change"},
      {"resources: {telecom.calls: {drop_fields: [leadCall]}}\n",
       "found 'leadCall', which is part of the record's key ('leadCall.id')"},
      {"resources: {crm.leads: {key: a+b.c, hash_fields: b.c.d}}\n", "found 'b.c.d', which is part of the record's key ('b.c')"},
      {"resources: {crm.leads: {drop_fields: [a.b], hash_fields: [a]}}\n",
       "hash_fields[0]: found 'a', which is or leads through 'a.b' of resources.crm.leads.drop_fields[0]"},
      {"resources: {crm.leads: {drop_fields: [a, a]}}\n", "drop_fields[1]: found 'a', which is or leads through 'a'"},
      {"resources: {crm.leads: {drop_fields: {a: b}}}\n", "drop_fields: found a mapping, expected a list of texts"},
      {"resources: {jpm.jobs: {topic: \"a b\"}}\n", "over.yaml:1:31: resources.jpm.jobs.topic: found 'a b', expected a topic name"},
      {"resources: {jpm.jobs: {topic: \"st.{tenant}\"}}\n", "expected a topic name"},
      {"resources: {inventory.vendors: {look_back: 5}}\n", "look_back: found '5', expected a duration"},
      {"resources: {jpm.jobs: {look_back: 1h}}\n",
       "over.yaml:1:35: resources.jpm.jobs.look_back: an export feed is not read by windows"},
      {"resources: {crm.contact-preference-types: {look_back: 1h}}\n", "this resource is not read by windows of time"},
      {"resources:\n  inventory.vendors:\n    list: {max_page_size: 100}\n",
       "over.yaml:3:11: resources.inventory.vendors.list.page_size: found 500, expected at most max_page_size (100)"},
      {"resources: {crm.booking-contacts: {children: {parent: crm.booking-contacts}}}\n",
       "the parents of crm.booking-contacts lead back to it"},
      {"resources:\n  crm.contacts: {list: {ids_only: true}, children: {path: \"/a/{tenant}/b\", parent: crm.contact-methods, "
       "bind: {i: id}}}\n"
       "  crm.contact-methods: {list: {ids_only: true}}\n",
       "the parents of crm.contact-methods lead back to it"},
      {"resources: {crm.booking-contacts: {children: {parent: crm.booking-provider-bookings}}}\n",
       "'crm.booking-provider-bookings' has no rows: neither export, list nor children"},
      {"resources: {Jobs: {export: {path: \"/a/{tenant}/b\"}}}\n", "expected a name such as jpm.jobs"},
      {"resources: {a.b: {list: {path: \"/a/{tenant}/b\"}}}\n", "page_size and max_page_size are missing"},
      {"resources: {a.b: {children: {path: \"/a/{tenant}/b\"}}}\n", "'parent' and 'bind' are missing"},
      {"resources: {a.b: {children: {path: \"/a/{tenant}/b\", parent: x.y, bind: {i: id}}}}\n", "there is no resource 'x.y'"},
      {"resources: [1]\n", "expected a mapping"},
      {"{", "over.yaml:1:"},
  };
  for (const auto& [text, expected] : cases) EXPECT_THAT(error_of(text), HasSubstr(expected)) << text;
  EXPECT_THAT(error_of("resources:\n  jpm.jobs: {a: 1}\n  crm.customers: {b: 1}\n"),
              ::testing::ContainsRegex("over.yaml:2:.*\n.*over.yaml:3:"));
}

/// STSYNC_UPDATE=1 writes the page instead of comparing it.
TEST(Catalogue, TheReferenceIsUpToDate) {
  const std::string path = STSYNC_SOURCE_DIR "/docs/reference/catalogue.md";
  if (std::getenv("STSYNC_UPDATE") != nullptr) std::ofstream(path, std::ios::binary) << catalogue_reference();
  std::ostringstream page;
  page << std::ifstream(path, std::ios::binary).rdbuf();
  EXPECT_EQ(page.str(), catalogue_reference()) << "run servicetitan_test with STSYNC_UPDATE=1";
}

}  // namespace
}  // namespace stsync::servicetitan
