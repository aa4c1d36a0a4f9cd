// Overrides of the catalogue, with the real program: where records go, and what of them.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/page.hpp"
#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

std::string write_overrides(const std::string& text) {
  const auto path = testing::TempDir() + "stsync-overrides-" + std::to_string(::getpid()) + ".yaml";
  std::ofstream(path) << text;
  return path;
}

TEST(Overrides, GiveAResourceATopicAndTakeFieldsOut) {
  const auto file = write_overrides(
      "resources:\n"
      "  crm.customers: {topic: people, drop_fields: [address.street], hash_fields: [name]}\n"
      "  crm.leads: {topic: people}\n");
  Stage stage({.records = 40, .sets = {"catalogue.overrides=" + file}});
  const auto check = stage.stsync({"check"});
  EXPECT_EQ(check.code, 0) << check.err;
  EXPECT_THAT(check.err, HasSubstr(file + ":2:78: resources.crm.customers.hash_fields: without catalogue.hash_key_file"));
  const auto plan = stage.stsync({"topics", "check"});
  EXPECT_EQ(plan.code, 0) << plan.out << plan.err;
  const auto worker = stage.start_worker();
  ASSERT_EQ(stage.stsync({"sync", "--resource", "crm.customers,crm.locations", "--mode", "full", "--wait"}).code, 0);
  const auto people = stage.read({"people"});
  ASSERT_THAT(people, SizeIs(40));
  for (const auto& m : people) {
    EXPECT_EQ(m.key->substr(0, 19), "1001:crm.customers:");
    EXPECT_THAT(std::string(codec::json_field(*m.value, "name")), HasSubstr("\"sha256:"));
    EXPECT_THAT(std::string(codec::json_field(*m.value, "address.street")), IsEmpty());
    EXPECT_THAT(std::string(codec::json_field(*m.value, "address")), Not(IsEmpty()));
  }
  EXPECT_THAT(stage.read({"st.crm.locations"}), SizeIs(40));

  write_overrides("resources:\n  crm.custmers: {title: x}\n  crm.leads: {topic: st.status}\n");
  const auto bad = run(stage.command({"check"}, {"kafka.gruop=x"}));
  EXPECT_EQ(bad.code, 78);
  for (const auto* problem :
       {"unknown key 'gruop'", ":2:3: resources.crm.custmers: it has no endpoint", "did you mean 'crm.customers'?",
        ":3:22: resources.crm.leads.topic: found 'st.status', which is also kafka.topics.status"})
    EXPECT_THAT(bad.err, HasSubstr(problem)) << "all of them at once";
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace stsync::test
