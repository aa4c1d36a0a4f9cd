// Three workers that share one limit through a real Redis.
#include <csignal>
#include <numeric>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;

/// Until so many further calls were answered.
void wait_for_calls(const Stage& stage, double calls) {
  const auto before = stage.calls().all_answered();
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (stage.calls().all_answered() < before + calls) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "the workers stand still";
    std::this_thread::sleep_for(100ms);
  }
}

TEST(SharedLimits, ThreeWorkersKeepOneLimitAndGoOnWithoutTheStore) {
  const std::filesystem::path folder(::testing::TempDir() + "stsync-shared-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  auto redis = start_redis(folder / "redis");
  StageOptions options{.records = 3000, .rate = 30, .export_page = 10};
  options.tenants.resize(12);
  std::iota(options.tenants.begin(), options.tenants.end(), 1001);
  options.sets = {"limits.store=unix://" + (folder / "redis").string(), "limits.expected_workers=3"};
  options.sim = {"--rate-of", "app"};
  const Stage stage(std::move(options));
  std::vector<std::unique_ptr<Process>> workers;
  for (int i = 0; i < 3; ++i) workers.push_back(stage.start_worker({}, false));
  for (auto& worker : workers) ASSERT_TRUE(stage.wait_ready(*worker, 1)) << worker->err();
  for (int tenant = 1001; tenant < 1013; ++tenant) {
    const auto sent =
        stage.stsync({"sync", "--tenant", std::to_string(tenant), "--resource", "jpm.jobs,crm.customers", "--mode", "full"});
    ASSERT_EQ(sent.code, 0) << sent.err;
  }
  wait_for_calls(stage, 200);
  redis.reset();
  for (auto& worker : workers) EXPECT_TRUE(worker->wait_for_text("limit_local", 30s)) << worker->err();
  wait_for_calls(stage, 100);
  redis = start_redis(folder / "redis");
  for (auto& worker : workers) EXPECT_TRUE(worker->wait_for_text("limit_shared", 60s)) << worker->err();
  wait_for_calls(stage, 100);
  const auto calls = stage.calls();
  // Each alone would call 30 times a second. How exactly they keep it, scripts/bench shared measures on a quiet machine.
  EXPECT_LE(calls.most_in_one_second, 36);
  EXPECT_LE(calls.refused, calls.all_answered() / 50);
  for (auto& worker : workers) worker->signal(SIGTERM);
  for (auto& worker : workers) EXPECT_EQ(worker->wait(60s), 0) << worker->err();
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace stsync::test
