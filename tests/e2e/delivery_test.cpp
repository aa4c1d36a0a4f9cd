// The delivery promise on a real broker, with the real program.
#include <csignal>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;

void expect_everything_once(const Stage& stage) {
  const auto checked = check_records(stage.read(stage.record_topics()));
  EXPECT_TRUE(checked.problems.empty()) << checked.problems.size() << " problems, first: " << checked.problems.front();
  const auto differences = compare_with_truth(checked, stage.control(std::string("/__sim/truth?resource=") + kBulk));
  EXPECT_TRUE(differences.empty()) << differences.size() << " differences, first: " << differences.front();
}

std::vector<std::string> full_sync(std::int64_t tenant) {
  return {"sync", "--tenant", std::to_string(tenant), "--resource", kBulk, "--mode", "full", "--wait"};
}

TEST(Delivery, EveryResourceOnceAndByteForByte) {
  Stage stage({.tenants = {1001, 1002}, .records = 1200});
  const auto worker = stage.start_worker();
  for (const auto tenant : {1001, 1002}) EXPECT_EQ(stage.stsync(full_sync(tenant)).code, 0);
  expect_everything_once(stage);
}

TEST(Delivery, ACommandMayComeRightAfterItsTopicsAndBeforeAnyWorker) {
  Stage stage({.records = 50, .partitions = 12});
  Process follower(stage.command(full_sync(1001)));
  ASSERT_TRUE(follower.wait_for_text("sent, waiting", 30s)) << follower.err();
  const auto worker = stage.start_worker();
  EXPECT_EQ(follower.wait(60s), 0) << follower.err();
  expect_everything_once(stage);
}

TEST(Delivery, IncrementalGoesOnAfterARestart) {
  Stage stage({.records = 300});
  auto worker = stage.start_worker();
  ASSERT_EQ(stage.stsync(full_sync(1001)).code, 0);
  worker->signal(SIGTERM);
  ASSERT_EQ(worker->wait(30s), 0);
  stage.control("/__sim/touch", R"({"tenant":1001,"resource":"jpm.jobs","count":7})");
  stage.control("/__sim/touch", R"({"tenant":1001,"resource":"marketing.campaigns","count":3,"minutes_ago":0})");
  worker = stage.start_worker({"worker.settle=0s"});
  const auto jobs = stage.stsync({"sync", "--resource", "jpm.jobs", "--wait"});
  EXPECT_EQ(jobs.code, 0) << jobs.err;
  EXPECT_NE(jobs.out.find("\"records\":7"), std::string::npos) << jobs.out;
  const auto again = stage.stsync({"sync", "--resource", "jpm.jobs", "--wait"});
  EXPECT_NE(again.out.find("\"records\":0"), std::string::npos) << again.out;
  const auto campaigns = stage.stsync({"sync", "--resource", "marketing.campaigns", "--wait"});
  EXPECT_NE(campaigns.out.find("\"records\":3"), std::string::npos) << campaigns.out;
}

TEST(Delivery, SingleRowsByTheirIds) {
  Stage stage({.records = 60});
  const auto worker = stage.start_worker();
  ASSERT_EQ(stage.stsync({"sync", "--resource", "inventory.vendors", "--mode", "full", "--wait"}).code, 0);
  std::string ids = "999";
  for (const auto& m : stage.read({"st.inventory.vendors"}))
    if (std::count(ids.begin(), ids.end(), ',') < 55) ids += "," + m.key->substr(m.key->find(':') + 1);
  const auto some = stage.stsync({"sync", "--resource", "inventory.vendors", "--ids", ids, "--id", "some", "--wait"});
  EXPECT_EQ(some.code, 0) << some.err;
  EXPECT_NE(some.out.find("\"records\":55"), std::string::npos) << some.out;
  EXPECT_NE(some.out.find("\"calls\":2"), std::string::npos) << "50 a call: " << some.out;
  EXPECT_NE(some.err.find("1 of 56 ids were not found"), std::string::npos) << some.err;
}

/// Kills the worker at random moments while three tenants are read.
void kill_again_and_again(std::uint64_t seed) {
  // Slow enough that twenty kills happen while there is work: about 45 s of calls for each tenant.
  constexpr int kKills = 20;
  Stage stage({.tenants = {1001, 1002, 1003}, .records = 4167, .rate = 20, .export_page = 50, .sets = {"kafka.partitions=3"}});
  std::mt19937_64 random(seed);
  auto worker = stage.start_worker();
  std::vector<std::unique_ptr<Process>> followers;
  for (const auto tenant : {1001, 1002, 1003}) followers.push_back(std::make_unique<Process>(stage.command(full_sync(tenant))));
  for (const auto& f : followers) ASSERT_TRUE(f->wait_for_text("started", 60s, 16)) << f->err();
  int working_kills = 0;
  for (int i = 0; i < kKills; ++i) {
    const auto pause = std::chrono::milliseconds(std::uniform_int_distribution<int>(200, 2500)(random));
    const auto early = worker->wait(pause);
    ASSERT_FALSE(early) << worker->err();
    working_kills += std::any_of(followers.begin(), followers.end(), [](auto& f) { return !f->wait(0ms); });
    worker->signal(SIGKILL);
    ASSERT_EQ(worker->wait(10s), 128 + SIGKILL);
    // Some deaths come while the lanes are still restoring.
    worker = stage.start_worker({}, i % 4 != 3);
  }
  EXPECT_EQ(working_kills, kKills) << "the work ended before the kills did";
  for (const auto& f : followers) EXPECT_EQ(f->wait(300s), 0) << f->err();
  expect_everything_once(stage);
  std::int64_t refetched = 0;
  for (const auto& row : json_rows(stage.control("/__sim/fetches"))) {
    const auto extra = std::stoll(row.at("requests")) - std::stoll(row.at("distinct"));
    EXPECT_LE(extra, 2 * kKills) << row.at("tenant") << " " << row.at("resource");
    refetched += extra;
  }
  std::printf("seed %llu: records 200016, kills %d, pages fetched again %lld\n", static_cast<unsigned long long>(seed), kKills,
              static_cast<long long>(refetched));
}

TEST(Delivery, C1_to_C8_KilledTwentyTimesNothingLostOrDoubled) { kill_again_and_again(20261123); }

class Kills : public ::testing::TestWithParam<std::uint64_t> {};
TEST_P(Kills, C1_to_C8_AtOtherMomentsNothingLostOrDoubled) { kill_again_and_again(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Long, Kills, ::testing::Values(1, 2, 3, 4, 5));

}  // namespace
}  // namespace stsync::test
