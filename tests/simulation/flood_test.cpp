// More commands than anybody could work off, to a whole worker in virtual time.
#include <algorithm>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "codec/wire.hpp"
#include "kafka/client.hpp"
#include "simulation/checker.hpp"
#include "simulation/sim_worker.hpp"
#include "support/virtual_clock.hpp"
#include "sync/memory_shares.hpp"
#include "sync/names.hpp"

namespace stsync::simulation {
namespace {

using namespace std::chrono_literals;

constexpr int kPartitions = 4;
constexpr std::uint64_t kMaxMemory = 64u << 20;

std::int32_t place_of(std::int64_t tenant) { return kafka::partition_for(sync::tenant_key("acme", tenant), kPartitions); }

/// The first tenant after `tenant` that is on its partition, or is not.
std::int64_t next_tenant(std::int64_t tenant, bool beside) {
  auto other = tenant + 1;
  while ((place_of(other) == place_of(tenant)) != beside) ++other;
  return other;
}

struct Flood : ::testing::Test {
  static constexpr std::int64_t kFlooded = 1001;
  const std::int64_t neighbour = next_tenant(kFlooded, true), elsewhere = next_tenant(kFlooded, false);

  Flood() : config(config_of_all()) {
    const auto& t = config.kafka.topics;
    for (const auto& topic : {t.journal, t.status, t.usage, t.dlq, std::string("st.marketing.categories")})
      cluster.broker.create_topic(topic, kPartitions);
    cluster.broker.stamp = [this] { return clock.wall_now().time_since_epoch().count(); };
    cluster.broker.on_change = [this](const std::string&) {
      for (auto* fetcher : cluster.fetchers) fetcher->notify();
    };
    for (const auto& tenant : config.apps[0].tenants)
      vendor.make_list(tenant.id, "marketing/categories", ListModel::Kind::windowed).add(clock.wall_now());
    make_worker(kMaxMemory);
    clock.run_for(1h);
  }
  ~Flood() override {
    worker->stop();
    clock.run_until([this] { return worker->ended(); }, 1h);
    over = true;
    tasks.spawn("settle", cluster.network.settle());
    clock.run_for(10min);
  }
  config::Config config_of_all() const {
    auto c = make_config({kFlooded, neighbour, elsewhere});
    c.kafka.partitions = c.kafka.record_partitions = kPartitions;
    return c;
  }
  void make_worker(std::uint64_t max_memory) {
    config.worker.max_memory = max_memory;
    worker = std::make_unique<SimWorker>(cluster, vendor, config, catalogue, "", rng.next());
  }
  void start() {
    tasks.spawn("broker", [](Flood& self) -> boost::asio::awaitable<void> {
      while (!self.over) {
        self.cluster.broker.tick(self.clock.now());
        co_await self.clock.sleep_for(1s);
      }
    }(*this));
    worker->start(tasks);
  }
  void send(std::int64_t tenant, const std::string& id, const std::string& action) {
    Entry entry;
    entry.key = sync::tenant_key("acme", tenant);
    entry.value = fmt::format(R"({{"id":"{}","app":"acme","tenant":{},{}}})", id, tenant, action);
    cluster.broker.append(config.kafka.topics.commands, place_of(tenant), std::move(entry));
  }
  /// No two of them are alike.
  void send_window(std::int64_t tenant, const std::string& id, int number) {
    send(tenant, id,
         fmt::format(R"("sync":{{"resource":"marketing.categories","mode":"window","from":"2001-01-01T{:02}:{:02}:{:02}Z",)"
                     R"("to":"2001-01-02T00:00:00Z"}})",
                     number / 3600, number / 60 % 60, number % 60));
  }
  const StatusReader::History& told(std::int64_t tenant, const std::string& id) {
    statuses.read_on();
    return statuses.job(fmt::format("acme/{}/{}", tenant, id));
  }
  bool wait_for(std::int64_t tenant, const std::string& id, v1::StatusEvent::Type type, core::Duration limit) {
    const auto end = clock.now() + limit;
    while (clock.now() < end && first(told(tenant, id), type) == nullptr) clock.run_for(100ms);
    return first(told(tenant, id), type) != nullptr;
  }
  std::map<v1::StatusEvent::Type, int> outcomes(const std::string& prefix, int count) {
    std::map<v1::StatusEvent::Type, int> out;
    for (int i = 0; i < count; ++i)
      for (const auto& t : told(kFlooded, prefix + std::to_string(i)))
        if (t.event.type() == v1::StatusEvent::accepted || t.event.type() == v1::StatusEvent::rejected) ++out[t.event.type()];
    return out;
  }
  /// What a lane knew after each of its transactions.
  void for_each_memory(const std::function<void(const sync::Memory&)>& look) const {
    sync::Memory memory;
    std::uint64_t ended = 0;
    const auto slice = cluster.broker.log(config.kafka.topics.journal, place_of(kFlooded)).read(0, Isolation::read_committed);
    for (const auto& [offset, entry] : slice.seen) {
      if (entry->ended != ended) look(memory);
      ended = entry->ended;
      ASSERT_TRUE(memory.read(entry->key, entry->value));
    }
    look(memory);
  }

  boost::asio::io_context loop;
  test::VirtualClock clock{loop};
  core::Rng rng{1};
  config::Config config;
  SimCluster cluster{loop.get_executor(), clock, rng, config.kafka.topics.commands, kPartitions};
  VendorModel vendor{clock, rng};
  StatusReader statuses{cluster.broker, config.kafka.topics.status};
  const servicetitan::Catalogue catalogue = servicetitan::Catalogue::load("", "").value();
  core::TaskGroup tasks{loop.get_executor(), clock};
  std::unique_ptr<SimWorker> worker;
  bool over = false;
};

TEST_F(Flood, E12_OfOneTenantDelaysOthersASecondAndTakesNoMoreThanItsShare) {
  constexpr int kCommands = 5000;
  for (int i = 0; i < kCommands; ++i) send_window(kFlooded, "f" + std::to_string(i), i);
  send_window(neighbour, "behind", 0);
  send_window(elsewhere, "elsewhere", 0);
  start();
  EXPECT_TRUE(wait_for(elsewhere, "elsewhere", v1::StatusEvent::completed, 20s)) << "another partition has nothing to do with it";
  EXPECT_TRUE(wait_for(neighbour, "behind", v1::StatusEvent::accepted, 10s)) << "the partition is read, whatever stands on it";
  EXPECT_TRUE(wait_for(neighbour, "behind", v1::StatusEvent::completed, 20s)) << "a tenant's jobs do not wait for another's";
  EXPECT_EQ(first(told(kFlooded, "f900"), v1::StatusEvent::completed), nullptr) << "the flood is far from worked off";
  const auto told = outcomes("f", kCommands);
  EXPECT_EQ(told.at(v1::StatusEvent::accepted) + told.at(v1::StatusEvent::rejected), kCommands) << "each has its answer";
  EXPECT_GE(told.at(v1::StatusEvent::accepted), 1000);
  EXPECT_LE(told.at(v1::StatusEvent::accepted), 1200) << "those that have begun since make room";
  send(kFlooded, "stop", R"("cancel":{})");
  EXPECT_TRUE(wait_for(kFlooded, "stop", v1::StatusEvent::completed, 10s)) << "there is a way out of it";
  EXPECT_TRUE(wait_for(kFlooded, "f900", v1::StatusEvent::cancelled, 10s));
  for_each_memory([](const sync::Memory& m) { ASSERT_LE(m.jobs().load("acme", kFlooded).waiting, 1000u); });
}

TEST_F(Flood, E12_WhileKafkaTakesNoAnswersCommandsStayInIt) {
  constexpr int kCommands = 5000;
  start();
  send_window(neighbour, "first", 0);
  ASSERT_TRUE(wait_for(neighbour, "first", v1::StatusEvent::completed, 1min));
  cluster.broker.moving_until = clock.now() + 20s;
  for (int i = 0; i < kCommands; ++i) send_window(kFlooded, "f" + std::to_string(i), i);
  EXPECT_TRUE(wait_for(kFlooded, "f4999", v1::StatusEvent::rejected, 2min));
  const auto bytes = sync::MemoryShares(kMaxMemory).commands(kPartitions);
  std::size_t most = 0;
  for (const auto& [number, batch] : cluster.batches) most = std::max(most, batch.messages);
  constexpr std::size_t kOfACommand = 600;  // bytes at least, with its answer
  EXPECT_LE(most, bytes / kOfACommand * 2 + 100) << "a status and an entry or a dead letter for each";
}

TEST_F(Flood, E12_LargeJobsStayInTheirShareAndAreAllTakenOver) {
  make_worker(4 * kMaxMemory);
  std::string ids;
  for (int i = 0; i < 5000; ++i) ids += fmt::format("{}{}", i == 0 ? "" : ",", 100'000'000 + i);
  const auto large = fmt::format(R"("sync":{{"resource":"jpm.jobs","mode":"ids","ids":[{}],"deadline":)", ids);
  const auto send_large = [&](int n) {  // the ones before may end too early to stand for it
    send(kFlooded, "l" + std::to_string(n), large + fmt::format(R"("2099-01-01T00:{:02}:{:02}Z"}})", n / 60, n % 60));
  };
  send(kFlooded, "pause", R"("pause":{})");
  for (int n = 0; n < 200; ++n) send_large(n);
  start();
  ASSERT_TRUE(wait_for(kFlooded, "l199", v1::StatusEvent::rejected, 2min));
  const auto accepted = outcomes("l", 200).at(v1::StatusEvent::accepted);
  std::size_t most = 0;
  for_each_memory([&](const sync::Memory& m) { most = std::max(most, m.jobs().open_bytes()); });
  const auto share = sync::MemoryShares(config.worker.max_memory).free_for_jobs(0);
  EXPECT_LE(most, share / 2) << "half of it is left to others";
  EXPECT_GE(most, share / 2 - 2 * most / static_cast<std::size_t>(accepted));

  worker->kill();
  clock.run_until([this] { return worker->ended(); }, 1h);
  make_worker(kMaxMemory);
  worker->start(tasks);
  EXPECT_GT(most, sync::MemoryShares(kMaxMemory).free_for_jobs(0)) << "more than this one has for them";
  send_large(200);
  ASSERT_TRUE(wait_for(kFlooded, "l200", v1::StatusEvent::rejected, 2min)) << "there is no room";
  send(kFlooded, "cancel", R"("cancel":{})");
  ASSERT_TRUE(wait_for(kFlooded, "cancel", v1::StatusEvent::completed, 1min));
  int cancelled = 0;
  for (int n = 0; n < 200; ++n) cancelled += first(told(kFlooded, "l" + std::to_string(n)), v1::StatusEvent::cancelled) != nullptr;
  EXPECT_EQ(cancelled, accepted) << "it knew them all";
  EXPECT_THAT(worker->metrics(),
              ::testing::HasSubstr(fmt::format("stsync_jobs_ended_total{{app=\"acme\",outcome=\"cancelled\"}} {}\n", accepted)));
  send_large(201);
  EXPECT_TRUE(wait_for(kFlooded, "l201", v1::StatusEvent::accepted, 1min)) << "now there is";
}

TEST_F(Flood, E12_OfControlCommandsTheLastAreRemembered) {
  constexpr int kCommands = 6000;
  for (int i = 0; i < kCommands; ++i) send(kFlooded, "c" + std::to_string(i), i % 2 == 0 ? R"("pause":{})" : R"("resume":{})");
  send_window(kFlooded, "after", 0);
  start();
  EXPECT_TRUE(wait_for(kFlooded, "after", v1::StatusEvent::completed, 1min)) << "the last word was resume";
  EXPECT_NE(first(told(kFlooded, "c5999"), v1::StatusEvent::completed), nullptr);
  const auto share = sync::MemoryShares(kMaxMemory).finished_jobs(kPartitions);
  std::size_t most = 0, of_one = 0;
  for_each_memory([&](const sync::Memory& m) {
    most = std::max(most, m.jobs().size());
    if (const auto* job = m.job(sync::job_journal_key("acme", kFlooded, "c1"))) of_one = sync::memory_of(*job);
  });
  ASSERT_GT(of_one, 0u);
  EXPECT_GT(share / of_one, 500u);
  EXPECT_LT(share / of_one, kCommands / 2u);
  EXPECT_LE(most, share / of_one + 1000) << "as they come, so they go";
}

}  // namespace
}  // namespace stsync::simulation
