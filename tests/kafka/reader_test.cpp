// Reading topics without a group: to the real end, from the place asked for, and errors as values.
#include "kafka/reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker.hpp"
#include "kafka/admin.hpp"
#include "kafka/mock.hpp"
#include "kafka/producer.hpp"

namespace stsync::kafka {
namespace {

using core::ErrorKind;
using test::Broker;
using Clock = std::chrono::steady_clock;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

void send(const Broker& broker, const std::string& topic, std::int32_t partition, const std::vector<std::string>& keys) {
  auto producer = make_producer(broker.cluster()).value();
  std::vector<OwnedMessage> messages;
  for (const auto& key : keys) messages.push_back({topic, partition, key, "v"});
  const auto sent = producer->send(messages, 30s);
  ASSERT_TRUE(sent) << sent.error().message();
}

TEST(ReadToEnd, GivesEveryMessageOfThePartitionInOrder) {
  Broker broker;
  broker.create("journal", 2);
  std::vector<std::string> keys;
  for (int i = 0; i < 500; ++i) keys.push_back(std::to_string(i));
  send(broker, "journal", 1, keys);
  send(broker, "journal", 0, {"other"});
  std::vector<std::string> read;
  std::int64_t next = 0;
  ASSERT_TRUE(read_to_end(broker.cluster(), "journal", 1, 30s, [&](const Message& m) {
    EXPECT_EQ(m.offset, next++);
    EXPECT_EQ(m.topic, "journal");
    EXPECT_EQ(m.partition, 1);
    read.push_back(*m.key);
  }));
  EXPECT_EQ(read, keys);
}

TEST(ReadToEnd, OfAnEmptyPartitionEndsAtOnce) {
  Broker broker;
  broker.create("journal");
  int count = 0;
  EXPECT_TRUE(read_to_end(broker.cluster(), "journal", 0, 30s, [&](const Message&) { ++count; }));
  EXPECT_EQ(count, 0);
}

TEST(ReadToEnd, SaysWhichPartitionItCannotRead) {
  Broker broker;
  broker.create("journal");
  const auto wrong = read_to_end(broker.cluster(), "journal", 7, 2s, [](const Message&) {});
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message(), HasSubstr("journal-7"));
  Cluster nobody;
  nobody.bootstrap_servers = "127.0.0.1:1";
  const auto away = read_to_end(nobody, "journal", 0, 200ms, [](const Message&) {});
  ASSERT_FALSE(away);
  EXPECT_EQ(away.error().kind(), ErrorKind::broker);
}

TEST(Reader, StartsAtTheEndOrTheBeginning) {
  Broker broker;
  broker.create("status", 3);
  for (int p = 0; p < 3; ++p) send(broker, "status", p, {"old"});
  auto all = make_reader(broker.cluster(), {"status"}, From::beginning, 30s).value();
  auto later = make_reader(broker.cluster(), {"status"}, From::end, 30s).value();
  send(broker, "status", 1, {"new"});
  const auto take = [](Reader& reader, std::size_t count) {
    std::vector<std::string> keys;
    while (keys.size() < count) {
      const auto m = reader.next(10s).value();
      if (!m) break;
      keys.push_back(*m->key);
    }
    return keys;
  };
  EXPECT_THAT(take(*later, 1), ElementsAre("new"));
  EXPECT_THAT(take(*all, 4), ::testing::UnorderedElementsAre("old", "old", "old", "new"));
  EXPECT_FALSE(all->next(0ms).value()) << "nothing more is no error";
}

TEST(Reader, OfATopicThatDoesNotExistSaysSo) {
  Broker broker;
  broker.create("status");
  const auto reader = make_reader(broker.cluster(), {"status", "statsu"}, From::end, 10s);
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().kind(), ErrorKind::not_found);
  EXPECT_EQ(reader.error().message(), "topic statsu does not exist");
}

TEST(CheckSettings, NamesThePropertyThatIsRefused) {
  Cluster cluster;
  cluster.bootstrap_servers = "localhost:9092";
  EXPECT_TRUE(check_settings(cluster));
  cluster.properties["no.such.property"] = "1";
  auto checked = check_settings(cluster);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().kind(), ErrorKind::bad_config);
  EXPECT_THAT(checked.error().message(), HasSubstr("no.such.property"));
  cluster.properties = {{"socket.timeout.ms", "soon"}};
  checked = check_settings(cluster);
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().message(), HasSubstr("socket.timeout.ms"));
  cluster.properties = {{"security.protocol", "ssl"}, {"ssl.ca.location", "/no/such/file"}};
  EXPECT_FALSE(check_settings(cluster)) << "a file that cannot be read is found before the first connection";
}

TEST(CheckSettings, NeverRepeatsAPassword) {
  Cluster cluster;
  cluster.bootstrap_servers = "localhost:9092";
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
           {"sasl.password", "geheim"}, {"ssl.key.password", "geheim"}, {"ssl.key.pem", "geheim"}}) {
    cluster.properties = {{"security.protocol", "sasl_ssl"}, {"sasl.mechanism", "no-such"}, {name, value}};
    const auto checked = check_settings(cluster);
    ASSERT_FALSE(checked) << name;
    EXPECT_EQ(checked.error().message().find("geheim"), std::string::npos) << checked.error().message();
  }
}

TEST(Admin, DescribesTheTopicsThatExist) {
  Broker broker;
  broker.create("st.commands", 12);
  const auto admin = make_admin(broker.cluster()).value();
  const auto topics = admin->describe({"st.commands", "st.journal"}, {}, 10s);
  ASSERT_TRUE(topics) << topics.error().message();
  ASSERT_EQ(topics->size(), 1u);
  EXPECT_EQ(topics->at("st.commands").partitions, 12);
}

TEST(Admin, DoesNotWaitForAControllerThatIsNotThere) {
  Broker broker;  // it names a controller that does not exist, and cannot tell settings
  broker.create("st.journal", 3);
  const auto admin = make_admin(broker.cluster()).value();
  const auto start = Clock::now();
  const auto topics = admin->describe({"st.journal"}, {"cleanup.policy"}, 60s);
  EXPECT_LT(Clock::now() - start, 30s);
  ASSERT_TRUE(topics) << topics.error().message();
  EXPECT_EQ(topics->at("st.journal").partitions, 3);
  EXPECT_THAT(topics->at("st.journal").config, IsEmpty());
}

TEST(Admin, SaysThatTheBrokerIsAway) {
  Cluster nobody;
  nobody.bootstrap_servers = "127.0.0.1:1";
  const auto admin = make_admin(nobody).value();
  const auto topics = admin->describe({"st.commands"}, {}, 200ms);
  ASSERT_FALSE(topics);
  EXPECT_EQ(topics.error().kind(), ErrorKind::broker);
}

TEST(MockCluster, IsABrokerForTheDemo) {
  const auto mock = start_mock_cluster().value();
  ASSERT_TRUE(mock->create_topic("t", 4));
  Cluster cluster;
  cluster.bootstrap_servers = mock->bootstrap_servers();
  cluster.properties = mock->client_properties();
  EXPECT_EQ(make_admin(cluster).value()->describe({"t"}, {}, 10s).value().at("t").partitions, 4);
}

TEST(MockCluster, ForgetsNoCallForASecond) {
  const auto mock = start_mock_cluster().value();
  const auto start = Clock::now();
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(mock->create_topic("t" + std::to_string(i), 6));
  EXPECT_LT(Clock::now() - start, 5s);
}

}  // namespace
}  // namespace stsync::kafka
