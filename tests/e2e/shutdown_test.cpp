// How a worker ends and how another takes its place.
#include <csignal>

#include <gtest/gtest.h>

#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;

TEST(Shutdown, C10_IdleEndsCleanly) {
  Stage stage({});
  auto worker = stage.start_worker();
  worker->signal(SIGTERM);
  EXPECT_EQ(worker->wait(30s), 0) << worker->err();
}

TEST(Shutdown, C10_InMidPageEndsCleanlyAndLosesNothing) {
  Stage stage({.records = 3000, .rate = 20, .export_page = 100});
  auto worker = stage.start_worker();
  Process follower(stage.command({"sync", "--resource", kBulk, "--mode", "full", "--wait"}));
  ASSERT_TRUE(follower.wait_for_text("progress", 60s, 5)) << follower.err();
  stage.control("/__sim/faults", R"({"delay_ms":3000,"count":100})");  // a page is under way for sure
  worker->signal(SIGTERM);
  EXPECT_EQ(worker->wait(30s), 0) << worker->err();
  stage.control("/__sim/faults", R"({"clear":true})");
  worker = stage.start_worker();
  EXPECT_EQ(follower.wait(180s), 0) << follower.err();
  const auto checked = check_records(stage.read(stage.record_topics()));
  EXPECT_TRUE(checked.problems.empty()) << checked.problems.front();
  EXPECT_TRUE(compare_with_truth(checked, stage.control(std::string("/__sim/truth?resource=") + kBulk)).empty());
}

TEST(Shutdown, AnInterruptedFollowerLeavesItsJobGoing) {
  Stage stage({.records = 2000, .rate = 20, .export_page = 100, .partitions = 1});
  const auto worker = stage.start_worker();
  Process follower(stage.command({"sync", "--resource", "jpm.jobs", "--mode", "full", "--wait"}));
  ASSERT_TRUE(follower.wait_for_text("started", 60s)) << follower.err();
  follower.signal(SIGINT);
  EXPECT_EQ(follower.wait(10s), 130);
  EXPECT_TRUE(worker->wait_for_text("job_completed", 60s)) << worker->err();
}

TEST(Shutdown, C10_WithTheBrokerGoneEndsWithinTheDrainTimeout) {
  Stage stage({.records = 3000, .rate = 20, .export_page = 100});
  auto worker = stage.start_worker({"worker.drain_timeout=10s"});
  Process follower(stage.command({"sync", "--resource", kBulk, "--mode", "full", "--wait"}));
  ASSERT_TRUE(follower.wait_for_text("progress", 60s, 5)) << follower.err();
  stage.stop_broker();
  worker->signal(SIGTERM);
  EXPECT_EQ(worker->wait(12s), 0) << worker->err();
}

TEST(Shutdown, C10_AtAnyMomentOfItsStartEndsCleanly) {
  Stage stage({.partitions = 1});
  int clean = 0;
  for (const auto pause : {30ms, 60ms, 120ms, 250ms, 500ms, 1000ms, 2000ms}) {
    const auto worker = stage.start_worker({}, false);
    EXPECT_FALSE(worker->wait(pause)) << worker->err();
    worker->signal(SIGTERM);
    const auto code = worker->wait(30s);
    ASSERT_TRUE(code) << worker->err();
    // Before it listens for signals it has begun nothing.
    const bool too_early = code == 128 + SIGTERM && worker->err().find("worker_started") == std::string::npos;
    EXPECT_TRUE(code == 0 || too_early) << *code << worker->err();
    clean += code == 0;
  }
  EXPECT_GE(clean, 3);
}

TEST(Shutdown, C11_EverySignalHasItsMeaning) {
  Stage stage({.records = 1000, .rate = 20, .export_page = 50, .partitions = 1});
  for (const int ends_it : {SIGINT, SIGHUP}) {
    const auto worker = stage.start_worker();
    worker->signal(SIGPIPE);
    worker->signal(SIGPIPE);
    worker->signal(ends_it);
    EXPECT_EQ(worker->wait(30s), 0) << worker->err();
    EXPECT_NE(worker->err().find("partitions_revoked"), std::string::npos) << "it drained: " << worker->err();
  }
  auto worker = stage.start_worker();
  Process follower(stage.command({"sync", "--resource", "jpm.jobs", "--mode", "full", "--wait"}));
  ASSERT_TRUE(follower.wait_for_text("progress", 60s)) << follower.err();
  stage.stop_broker();  // it has something to wait for
  worker->signal(SIGTERM);
  EXPECT_FALSE(worker->wait(1s)) << worker->err();
  worker->signal(SIGTERM);
  EXPECT_EQ(worker->wait(5s), 130) << "the second one does not wait: " << worker->err();
  stage.start_broker();
  worker = stage.start_worker();
  EXPECT_EQ(follower.wait(120s), 0) << follower.err() << worker->err();
  const auto checked = check_records(stage.read({"st.jpm.jobs"}));
  EXPECT_TRUE(checked.problems.empty()) << checked.problems.front();
  EXPECT_TRUE(compare_with_truth(checked, stage.control("/__sim/truth?resource=jpm.jobs")).empty());
}

TEST(Shutdown, A7_ATwinWithTheSameIdentityTakesOver) {
  Stage stage({.partitions = 1});
  auto first = stage.start_worker({"kafka.instance_id=twin"});
  auto second = stage.start_worker({"kafka.instance_id=twin"}, false);
  EXPECT_EQ(first->wait(60s), 69) << first->err();
  EXPECT_TRUE(stage.wait_ready(*second)) << second->err();
}

TEST(Shutdown, A9_AStaticWorkerThatLeavesIsReplacedWithinTheSession) {
  Stage stage({.tenants = {1001, 1002, 1003}, .records = 2000, .rate = 20, .export_page = 100});
  auto first = stage.start_worker({"kafka.instance_id=first"}, true, 1);
  auto second = stage.start_worker({"kafka.instance_id=second"}, true, 1);
  std::vector<std::unique_ptr<Process>> followers;
  for (const auto* tenant : {"1001", "1002", "1003"})
    followers.push_back(
        std::make_unique<Process>(stage.command({"sync", "--tenant", tenant, "--resource", kBulk, "--mode", "full", "--wait"})));
  for (const auto& f : followers) ASSERT_TRUE(f->wait_for_text("progress", 60s, 3)) << f->err();
  const auto owned_before = [&] {
    std::size_t n = 0;
    for (std::size_t at = 0; (at = second->err().find("lane_ready", at)) != std::string::npos; ++at) ++n;
    return n;
  }();
  first->signal(SIGTERM);
  ASSERT_EQ(first->wait(30s), 0) << first->err();
  // Static members do not say goodbye: their work moves when the session (6 s) is over, 15 s later at the latest.
  EXPECT_TRUE(second->wait_for_text("lane_ready", 6s + 15s, owned_before + 3)) << second->err();
  for (const auto& f : followers) EXPECT_EQ(f->wait(180s), 0) << f->err();
  const auto checked = check_records(stage.read(stage.record_topics()));
  EXPECT_TRUE(checked.problems.empty()) << checked.problems.front();
  EXPECT_TRUE(compare_with_truth(checked, stage.control(std::string("/__sim/truth?resource=") + kBulk)).empty());
}

}  // namespace
}  // namespace stsync::test
