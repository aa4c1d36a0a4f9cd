// Three workers that share one limit through a real Redis.
#include <csignal>
#include <numeric>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/page.hpp"
#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<Process> start_redis(const std::filesystem::path& folder) {
  auto redis = std::make_unique<Process>(
      std::vector<std::string>{"redis-server", "--port", "0", "--unixsocket", folder / "redis", "--save", "", "--dir", folder});
  const auto ready = [](const std::string& line) { return line.find("ccept") != std::string::npos; };
  EXPECT_TRUE(redis->wait_for(ready, 30s)) << "redis-server, installed by scripts/setup --test: " << redis->out();
  return redis;
}

struct Seen {
  double answered = 0, refused = 0, most = 0;
};

Seen ask(const Stage& stage) {
  const auto stats = stage.control("/__sim/stats");
  const auto members = codec::json_members(stats).value();
  Seen seen;
  for (const auto& row : json_rows(std::string(members.at("tenants")))) {
    seen.answered += std::stod(row.at("ok"));
    seen.refused += std::stod(row.at("refused_429"));
  }
  seen.most = std::stod(std::string(members.at("max_calls_in_one_second")));
  return seen;
}

/// Until so many further calls were answered.
void wait_for_calls(const Stage& stage, double calls) {
  const auto before = ask(stage).answered;
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (ask(stage).answered < before + calls) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "the workers stand still";
    std::this_thread::sleep_for(100ms);
  }
}

TEST(SharedLimits, ThreeWorkersKeepOneLimitAndGoOnWithoutTheStore) {
  const std::filesystem::path folder(::testing::TempDir() + "stsync-shared-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  auto redis = start_redis(folder);
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
  redis = start_redis(folder);
  for (auto& worker : workers) EXPECT_TRUE(worker->wait_for_text("limit_shared", 60s)) << worker->err();
  wait_for_calls(stage, 100);
  const auto seen = ask(stage);
  // Each alone would call 30 times a second. How exactly they keep it, scripts/bench shared measures on a quiet machine.
  EXPECT_LE(seen.most, 36);
  EXPECT_LE(seen.refused, seen.answered / 50);
  for (auto& worker : workers) worker->signal(SIGTERM);
  for (auto& worker : workers) EXPECT_EQ(worker->wait(60s), 0) << worker->err();
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace stsync::test
