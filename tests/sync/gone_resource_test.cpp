// A journal that names what the catalogue does not have any more, after a downgrade or a removed override: its job fails, the rest
// goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "job_play.hpp"

namespace stsync::sync {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kJob = job_journal_key("acme", 1001, "j1");

/// Runs a job that the journal has in the middle of `crawl`.
v1::JobState run_journalled(World& w, const std::string& resource, const v1::CrawlState& crawl) {
  v1::JobState state;
  *state.mutable_command() = sync_command();
  state.mutable_command()->mutable_sync()->set_resource(resource);
  state.set_phase(v1::JobState::running);
  *state.mutable_crawl() = crawl;
  w.log.push_back({"st.journal", 0, kJob, state.SerializeAsString(), {}});
  Life life(w);
  life.start(state.command());
  EXPECT_TRUE(life.run(std::chrono::minutes(1)));
  EXPECT_EQ(life.end, JobEnd::finished) << "its stream is free again";
  EXPECT_THAT(w.feed.asked, IsEmpty());
  EXPECT_EQ(w.statuses().back(), "failed");
  return *w.memory().job(kJob);
}

void expect_unknown(const v1::JobState& job, const std::string& text) {
  EXPECT_EQ(job.phase(), v1::JobState::failed);
  EXPECT_EQ(job.failure().code(), "unknown_resource");
  EXPECT_THAT(job.failure().message(), HasSubstr(text));
}

TEST(GoneResource, AJobOfOneFails) {
  World w;
  v1::CrawlState crawl;
  crawl.mutable_feed()->set_token("r10");
  crawl.set_role("export");
  expect_unknown(run_journalled(w, "crm.heads", crawl), "there is no resource 'crm.heads' any more");
}

TEST(GoneResource, AJobOfOneThatHasNotBegunFailsToo) {
  World w;
  auto command = sync_command();
  command.mutable_sync()->set_resource("crm.heads");
  Life life(w);
  life.start(command);
  ASSERT_TRUE(life.run(std::chrono::minutes(1)));
  expect_unknown(*w.memory().job(kJob), "crm.heads");
}

TEST(GoneResource, AJobOfAnEndpointThatIsGoneFails) {
  World w;
  v1::CrawlState crawl;
  crawl.mutable_feed()->set_token("r10");
  crawl.set_role("export");
  expect_unknown(run_journalled(w, "inventory.vendors", crawl), "inventory.vendors has no endpoint 'export' as it had");
}

TEST(GoneResource, AJobWhoseParentsLostTheirEndpointFails) {
  World w;
  v1::CrawlState crawl;
  crawl.set_role("children");
  auto& parents = *crawl.mutable_fanout()->mutable_parents();
  parents.mutable_feed();
  parents.set_role("export");
  expect_unknown(run_journalled(w, "crm.contact-relationships", crawl), "crm.contacts has no endpoint 'export'");
}

TEST(GoneResource, AJobOfStretchesOfTimeThatAreGoneFails) {
  World w;
  v1::CrawlState crawl;
  crawl.set_role("list");
  crawl.mutable_period()->set_end_ms(1000);
  expect_unknown(run_journalled(w, "inventory.vendors", crawl), "no endpoint 'list' as it had");
  World other;
  crawl.mutable_period()->set_variant(3);  // there are three
  expect_unknown(run_journalled(other, "marketing-ads.performance", crawl), "no endpoint 'list' as it had");
}

}  // namespace
}  // namespace stsync::sync
