// More partitions for commands and journal: what was done, under way, waiting and unread before goes on behind it.
#include <csignal>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kafka/admin.hpp"
#include "kafka/client.hpp"
#include "kafka/group.hpp"
#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::int64_t> some_tenants() {
  std::vector<std::int64_t> out;
  for (std::int64_t t = 1001; t < 1010; ++t) out.push_back(t);
  return out;
}

struct Migrate : ::testing::Test {
  Stage stage{{.tenants = some_tenants(), .records = 300, .export_page = 10, .partitions = 3, .kafka_proxy = true}};

  /// `stsync topics migrate` to 8 partitions.
  Finished migrate(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"topics", "migrate"});
    return run(stage.command(more, {"kafka.partitions=8"}), 120s);
  }
  /// One that meets a fault of the proxy and is killed as soon as it has.
  void killed_at(KafkaRule rule) const {
    auto& proxy = stage.kafka_proxy();
    const auto fault = proxy.add(std::move(rule));
    Process tool(stage.command({"topics", "migrate"}, {"kafka.partitions=8", "kafka.bootstrap_servers=" + proxy.address()}));
    EXPECT_TRUE(proxy.wait_for(fault, 60s)) << tool.err();
    if (proxy.count(fault).fired > 0) tool.signal(SIGKILL);
    EXPECT_EQ(tool.wait(30s), 128 + SIGKILL) << tool.err();
    proxy.remove(fault);
  }
  std::pair<int, int> counts() const {
    const auto admin = kafka::make_admin(stage.cluster()).value();
    const auto topics = admin->describe({"st.commands", "st.journal"}, {}, 20s).value();
    return {topics.at("st.commands").partitions, topics.at("st.journal").partitions};
  }
  /// A member that was killed is one until its session is over.
  void wait_until_nobody_is_in_the_group() const {
    const auto group = kafka::make_group(stage.cluster(), "stsync").value();
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (!group->members(20s).value().empty()) ASSERT_LT(std::chrono::steady_clock::now(), deadline);
  }
  Finished sync(std::int64_t tenant, const std::string& resource, const std::string& mode, const std::string& id,
                bool wait = true) const {
    std::vector<std::string> args{"sync", "--tenant", std::to_string(tenant), "--resource", resource, "--mode", mode, "--id", id};
    if (wait) args.emplace_back("--wait");
    return stage.stsync(args, 180s);
  }
};

KafkaRule ending(const std::string& id, KafkaFault fault) {
  return {.api = KafkaApi::end_txn, .fault = fault, .times = kAlways, .where = [id](const KafkaRequest& r) {
            return r.transactional_id == id;
          }};
}

TEST_F(Migrate, LosesAndDoublesNothingThoughItIsKilledAgainAndAgain) {
  const auto tenants = some_tenants();
  std::set<std::int32_t> left;
  for (const auto t : tenants)
    if (const auto key = fmt::format("acme:{}", t); kafka::partition_for(key, 3) != kafka::partition_for(key, 8))
      left.insert(kafka::partition_for(key, 3));
  ASSERT_EQ(left.size(), 3u) << "tenants move from every partition";

  auto worker = stage.start_worker({"worker.settle=0s"});
  std::vector<std::unique_ptr<Process>> followers;
  const auto follow = [&](std::int64_t tenant, const char* resource, const char* mode, const std::string& id) {
    followers.push_back(std::make_unique<Process>(
        stage.command({"sync", "--tenant", std::to_string(tenant), "--resource", resource, "--mode", mode, "--id", id, "--wait"})));
    return followers.back().get();
  };
  for (const auto t : tenants) follow(t, "jpm.jobs", "full", fmt::format("done-{}", t));
  for (const auto& f : followers) ASSERT_EQ(f->wait(120s), 0) << f->err();
  stage.control("/__sim/faults", R"({"delay_ms":300,"count":100000})");
  for (const auto t : tenants)
    ASSERT_TRUE(follow(t, "crm.customers", "full", fmt::format("running-{}", t))->wait_for_text("started", 60s));
  for (const auto t : tenants)
    ASSERT_TRUE(follow(t, "crm.customers", "incremental", fmt::format("waiting-{}", t))->wait_for_text("accepted", 60s));
  EXPECT_EQ(migrate().code, 69) << "a worker runs";
  worker->signal(SIGKILL);
  worker->wait(10s);
  stage.control("/__sim/faults", R"({"clear":true})");
  for (const auto t : tenants) {
    sync(t, "marketing.campaigns", "full", fmt::format("unread-{}", t), false);
    sync(t, "settings.employees", "full", fmt::format("first-{}", t), false);
    stage.stsync({"cancel", "--tenant", std::to_string(t), "--job", fmt::format("first-{}", t)});
  }
  wait_until_nobody_is_in_the_group();

  const auto plan = migrate({"--dry-run"});
  EXPECT_EQ(plan.code, 0) << plan.err;
  for (const auto* part :
       {"grow st.journal from 3 to 8", "entries of st.journal", "grow st.commands from 3 to 8", "unread commands"})
    EXPECT_THAT(plan.out, HasSubstr(part));
  EXPECT_EQ(counts(), std::pair(3, 3)) << "nothing was changed";

  killed_at(ending("stsync.1", KafkaFault::swallow_answer));
  EXPECT_EQ(counts(), std::pair(3, 8));
  for (const auto* partitions : {"kafka.partitions=3", "kafka.partitions=8"}) {
    const auto refusing = stage.start_worker({partitions}, false);
    EXPECT_EQ(refusing->wait(60s), 78) << partitions << refusing->err();
  }
  killed_at(ending("stsync.2", KafkaFault::cut_before));
  EXPECT_EQ(counts(), std::pair(3, 8));
  killed_at({.api = KafkaApi::create_partitions, .fault = KafkaFault::swallow_answer});
  killed_at(ending("stsync.0", KafkaFault::cut_before));
  EXPECT_EQ(counts(), std::pair(8, 8));
  const auto last = migrate();
  EXPECT_EQ(last.code, 0) << last.err;
  EXPECT_THAT(last.out, HasSubstr("unread commands"));
  EXPECT_EQ(migrate().out, "") << "there is nothing left to do";
  EXPECT_EQ(run(stage.command({"topics", "migrate"}, {"kafka.partitions=3"})).code, 78) << "topics do not shrink";

  worker = stage.start_worker({"kafka.partitions=8", "worker.settle=0s"}, true, 8);
  for (const auto& f : followers) EXPECT_EQ(f->wait(180s), 0) << f->err();
  for (const auto t : tenants) {
    for (const auto* id : {"done", "running", "waiting", "unread"}) {
      const auto again = sync(t,
                              id == std::string("done")     ? "jpm.jobs"
                              : id == std::string("unread") ? "marketing.campaigns"
                                                            : "crm.customers",
                              id == std::string("waiting") ? "incremental" : "full", fmt::format("{}-{}", id, t));
      EXPECT_EQ(again.code, 0) << again.err;
      EXPECT_THAT(again.err, HasSubstr("duplicate"));
    }
    const auto cancelled = sync(t, "settings.employees", "full", fmt::format("first-{}", t));
    EXPECT_THAT(cancelled.out, HasSubstr("cancelled")) << "its cancel came after it";
    EXPECT_EQ(sync(t, "settings.employees", "full", fmt::format("second-{}", t)).code, 0);
    const auto incremental = sync(t, "jpm.jobs", "incremental", fmt::format("next-{}", t));
    EXPECT_THAT(incremental.out, Not(HasSubstr("\"records\":300"))) << "it goes on from the cursor: " << incremental.out;
  }
  const auto checked = check_records(stage.read({"st.jpm.jobs", "st.crm.customers", "st.marketing.campaigns"}));
  EXPECT_TRUE(checked.problems.empty()) << checked.problems.front();
  const auto differences =
      compare_with_truth(checked, stage.control("/__sim/truth?resource=jpm.jobs,crm.customers,marketing.campaigns"));
  EXPECT_TRUE(differences.empty()) << differences.front();
}

}  // namespace
}  // namespace stsync::test
