// A producer of the loop: what its senders are told.
#include "kafka/async_producer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "broker.hpp"
#include "kafka/reader.hpp"

namespace stsync::kafka {
namespace {

namespace asio = boost::asio;
using core::ErrorKind;
using core::Result;
using test::Broker;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

asio::awaitable<void> into(asio::awaitable<Result<void>> task, std::optional<Result<void>>& out) { out = co_await std::move(task); }
asio::awaitable<void> then(asio::awaitable<void> task, bool& done) {
  co_await std::move(task);
  done = true;
}

struct AsyncProducerTest : ::testing::Test {
  AsyncProducerTest() {
    broker.create("events", 3);
    broker.create("commands", 1);
  }
  ~AsyncProducerTest() override {
    if (!producer) return;
    bool done = false;
    asio::co_spawn(loop, then(producer->close(), done), [](const std::exception_ptr&) {});
    run_until([&] { return done; });
    EXPECT_TRUE(done);
  }

  void make(AsyncProducerOptions options = {}, std::optional<Cluster> cluster = {}) {
    producer = std::move(make_async_producer(loop.get_executor(), *clock, cluster.value_or(broker.cluster()), options).value());
  }
  void run_until(const std::function<bool()>& done) {
    loop.restart();
    const auto end = std::chrono::steady_clock::now() + 60s;
    while (!done() && std::chrono::steady_clock::now() < end) loop.run_one_for(1s);
  }
  void run_for(core::Duration d) {
    loop.restart();
    loop.run_for(d);
  }
  Result<void> wait(asio::awaitable<Result<void>> task) {
    std::optional<Result<void>> out;
    asio::co_spawn(loop, into(std::move(task), out), [](const std::exception_ptr&) {});
    run_until([&] { return out.has_value(); });
    return out.value_or(core::fail(ErrorKind::internal, "it does not end"));
  }
  Result<void> send(std::vector<OwnedMessage> messages, core::Duration timeout = 30s) {
    return wait(producer->send(std::move(messages), timeout));
  }
  std::vector<Message> read(const std::string& topic, int partitions) {
    std::vector<Message> out;
    for (int p = 0; p < partitions; ++p)
      EXPECT_TRUE(read_to_end(broker.cluster(), topic, p, 30s, [&](Message m) { out.push_back(std::move(m)); }));
    return out;
  }

  Broker broker;
  asio::io_context loop;
  std::unique_ptr<core::Clock> clock = core::make_system_clock(loop.get_executor());
  std::unique_ptr<AsyncProducer> producer;
};

OwnedMessage message(std::string topic, std::string key, std::string value) {
  return {std::move(topic), kAnyPartition, std::move(key), std::move(value), {{"st-event", "e-1"}}};
}

TEST_F(AsyncProducerTest, ASendEndsOnceAllItsMessagesAreStored) {
  make();
  const auto sent = send({message("events", "acme:1001", "body"), message("commands", "acme:1001", "command")});
  ASSERT_TRUE(sent) << sent.error().message();
  const auto events = read("events", 3);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].key, "acme:1001");
  EXPECT_EQ(events[0].value, "body");
  EXPECT_EQ(*events[0].header("st-event"), "e-1");
  EXPECT_EQ(events[0].partition, partition_for("acme:1001", 3)) << "where Java's clients look for it";
  ASSERT_EQ(read("commands", 1).size(), 1u);
}

TEST_F(AsyncProducerTest, ManySendsShareTheWayAndEachHasItsAnswer) {
  make();
  constexpr std::size_t kSends = 500;
  std::vector<std::optional<Result<void>>> out(kSends);
  for (std::size_t i = 0; i < kSends; ++i)
    asio::co_spawn(loop, into(producer->send({message("events", std::to_string(i), "x")}, 30s), out[i]),
                   [](const std::exception_ptr&) {});
  run_until([&] { return std::all_of(out.begin(), out.end(), [](const auto& o) { return o.has_value(); }); });
  for (const auto& o : out) ASSERT_TRUE(o && *o);
  EXPECT_EQ(read("events", 3).size(), kSends);
}

TEST_F(AsyncProducerTest, F7_WithoutABrokerItSaysSoAndTheLoopGoesOn) {
  Cluster nowhere;
  nowhere.bootstrap_servers = "127.0.0.1:1";
  make({.message_timeout = 1s}, nowhere);
  const auto begin = std::chrono::steady_clock::now();
  std::optional<Result<void>> first;
  asio::co_spawn(loop, into(producer->send({message("events", "k", "v")}, 30s), first), [](const std::exception_ptr&) {});
  EXPECT_EQ(send({message("events", "k", "v")}, 10ms).error().kind(), ErrorKind::timeout) << "the sender's own time counts, too";
  run_until([&] { return first.has_value(); });
  ASSERT_TRUE(first && !*first);
  EXPECT_EQ(first->error().kind(), ErrorKind::broker);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s);
  EXPECT_EQ(wait(producer->probe({"events"}, 300ms)).error().kind(), ErrorKind::broker);
}

TEST_F(AsyncProducerTest, F7_AMessageThatIsNotAcknowledgedIsNotStoredFromASendersView) {
  make({.message_timeout = 2s});
  ASSERT_TRUE(send({message("events", "k", "before")}));
  broker.lose_topic("commands");
  const auto sent = send({message("events", "k", "event"), message("commands", "k", "command")});
  ASSERT_FALSE(sent) << "one of two is not enough";
  broker.find_topic("commands");
  const auto again = send({message("events", "k", "event"), message("commands", "k", "command")});
  EXPECT_TRUE(again) << again.error().message();
  EXPECT_EQ(read("commands", 1).size(), 1u) << "what was given up does not follow later";
}

TEST_F(AsyncProducerTest, AFatalErrorIsTheEndOfOneProducerNotOfItsSenders) {
  broker.refuse(Broker::init_producer_id, {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED});
  make();
  EXPECT_FALSE(send({message("events", "k", "1")}));
  Result<void> sent;
  const auto end = clock->now() + 60s;
  do sent = send({message("events", "k", "2")});  // until the next producer is there
  while (!sent && clock->now() < end);
  EXPECT_TRUE(sent) << sent.error().message();
}

TEST_F(AsyncProducerTest, AFullQueueIsAnAnswerAtOnce) {
  make({.message_timeout = 20s, .queue_bytes = 8u << 10});
  broker.lose_topic("commands");
  std::optional<Result<void>> waiting;
  asio::co_spawn(loop, into(producer->send({message("commands", "k", std::string(7u << 10, 'x'))}, 2s), waiting),
                 [](const std::exception_ptr&) {});
  const auto full = send({message("commands", "k", std::string(7u << 10, 'x'))}, 20s);
  ASSERT_FALSE(full);
  EXPECT_THAT(full.error().message(), HasSubstr("QUEUE_FULL"));
  EXPECT_FALSE(waiting) << "nobody waited for it";
  run_until([&] { return waiting.has_value(); });
}

TEST_F(AsyncProducerTest, AProbeSaysWhatIsMissing) {
  make();
  EXPECT_EQ(wait(producer->probe({"events"}, 10s)).error().kind(), ErrorKind::broker) << "it has no id yet";
  ASSERT_TRUE(send({message("events", "k", "v")}));
  Result<void> ready;
  const auto end = clock->now() + 60s;
  do {
    run_for(100ms);
    ready = wait(producer->probe({"events", "commands"}, 10s));
  } while (!ready && clock->now() < end);
  EXPECT_TRUE(ready) << ready.error().message();
  broker.refuse_topic("events", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
  const auto missing = wait(producer->probe({"commands", "events"}, 10s));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::not_found) << missing.error().message();
  EXPECT_THAT(missing.error().message(), HasSubstr("events"));
  broker.lose_topic("commands");
  const auto leaderless = wait(producer->probe({"commands"}, 10s));
  ASSERT_FALSE(leaderless);
  EXPECT_EQ(leaderless.error().kind(), ErrorKind::broker) << leaderless.error().message();
}

}  // namespace
}  // namespace stsync::kafka
