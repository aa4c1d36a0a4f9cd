// A member of the group from joining to leaving, on the loop it shares with everything else.
#include "kafka/consumer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "broker.hpp"
#include "kafka/producer.hpp"

namespace stsync::kafka {
namespace {

using test::Broker;
using ::testing::UnorderedElementsAre;
using namespace std::chrono_literals;

struct Member final : GroupListener {
  explicit Member(const Broker& broker, std::size_t messages_wanted) : wanted(messages_wanted) {
    GroupOptions options;
    options.group = "stsync";
    options.topic = "st.commands";
    options.session_timeout = 6s;
    consumer = make_group_consumer(loop.get_executor(), *clock, broker.cluster(), std::move(options), *this).value();
  }
  void assigned(const std::vector<std::int32_t>& partitions) override { mine = partitions; }
  void revoked(bool) override {
    ++revocations;
    consumer->complete_revoke();
    mine.clear();
  }
  void messages() override {
    for (const auto partition : mine)
      while (auto m = consumer->poll(partition)) keys.push_back(*m->key);
    if (keys.size() >= wanted) stop.request_stop();
  }
  void error(const core::Error&, bool fatal) override { fatals += fatal; }
  /// Until it has what it wants; a limit far above what that takes.
  void run() {
    bool in_time = true;
    boost::asio::steady_timer limit(loop, 60s);
    limit.async_wait([&](boost::system::error_code ec) {
      if (ec) return;
      in_time = false;
      stop.request_stop();
    });
    boost::asio::co_spawn(loop, consumer->run(stop.token(), 10s), [&](const std::exception_ptr& e) {
      EXPECT_FALSE(e);
      limit.cancel();
    });
    loop.run();
    EXPECT_TRUE(in_time) << "it read " << keys.size() << " messages of " << wanted;
  }

  boost::asio::io_context loop;
  std::unique_ptr<core::Clock> clock = core::make_system_clock(loop.get_executor());
  core::StopSource stop;
  std::unique_ptr<GroupConsumer> consumer;
  std::size_t wanted;
  std::vector<std::int32_t> mine;
  std::vector<std::string> keys;
  int revocations = 0;
  int fatals = 0;
};

void send(const Broker& broker, std::vector<OwnedMessage> messages) {
  const auto sent = make_producer(broker.cluster()).value()->send(messages, 30s);
  ASSERT_TRUE(sent) << sent.error().message();
}

TEST(GroupConsumer, JoinsReadsEveryPartitionAndLeaves) {
  Broker broker;
  broker.create("st.commands", 3);
  send(broker, {{"st.commands", 0, "a", "1"}, {"st.commands", 1, "b", "2"}, {"st.commands", 2, "c", "3"}});
  Member member(broker, 3);
  const auto before = member.clock->now();
  member.run();
  EXPECT_THAT(member.keys, UnorderedElementsAre("a", "b", "c"));
  EXPECT_EQ(member.revocations, 1) << "it gave back what it had";
  EXPECT_EQ(member.fatals, 0);
  EXPECT_GT(member.consumer->last_heartbeat(), before) << "a lane calls the vendor only while this is young";
  EXPECT_FALSE(member.consumer->poll(0)) << "not ours any more";
  EXPECT_FALSE(member.consumer->poll(7)) << "never was";
}

}  // namespace
}  // namespace stsync::kafka
