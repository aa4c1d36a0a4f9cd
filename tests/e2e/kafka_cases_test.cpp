// What becomes of the work when something about the cluster is not as it should be; ids as in docs/reliability.md.
#include <array>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include "kafka/admin.hpp"
#include "kafka/client.hpp"
#include "kafka/producer.hpp"
#include "kafka/reader.hpp"
#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using Client = std::unique_ptr<rd_kafka_t, Freer<rd_kafka_destroy>>;

/// A client of somebody else's.
Client stranger(const Stage& stage, const std::vector<std::pair<const char*, std::string>>& settings = {}) {
  auto* conf = rd_kafka_conf_new();
  std::array<char, 256> why{};
  rd_kafka_conf_set(conf, "bootstrap.servers", stage.cluster().bootstrap_servers.c_str(), why.data(), why.size());
  for (const auto& [name, value] : settings) rd_kafka_conf_set(conf, name, value.c_str(), why.data(), why.size());
  return Client(rd_kafka_new(RD_KAFKA_PRODUCER, conf, why.data(), why.size()));
}

/// What an administrator does: `begin` puts a request on the queue.
void administer(const Stage& stage, const std::function<void(rd_kafka_t*, rd_kafka_queue_t*)>& begin) {
  const auto client = stranger(stage);
  const std::unique_ptr<rd_kafka_queue_t, Freer<rd_kafka_queue_destroy>> queue(rd_kafka_queue_new(client.get()));
  begin(client.get(), queue.get());
  const std::unique_ptr<rd_kafka_event_t, Freer<rd_kafka_event_destroy>> event(rd_kafka_queue_poll(queue.get(), 30'000));
  ASSERT_NE(event, nullptr);
  ASSERT_EQ(rd_kafka_event_error(event.get()), RD_KAFKA_RESP_ERR_NO_ERROR) << rd_kafka_event_error_string(event.get());
}

void delete_topic(const Stage& stage, const char* name) {
  administer(stage, [name](rd_kafka_t* client, rd_kafka_queue_t* queue) {
    auto* topic = rd_kafka_DeleteTopic_new(name);
    rd_kafka_DeleteTopics(client, &topic, 1, nullptr, queue);
    rd_kafka_DeleteTopic_destroy(topic);
  });
}

void forbid(const Stage& stage, const char* topic, rd_kafka_AclOperation_t operation) {
  administer(stage, [=](rd_kafka_t* client, rd_kafka_queue_t* queue) {
    std::array<char, 256> why{};
    const auto acl = [&](rd_kafka_AclOperation_t what, rd_kafka_AclPermissionType_t permission) {
      return rd_kafka_AclBinding_new(RD_KAFKA_RESOURCE_TOPIC, topic, RD_KAFKA_RESOURCE_PATTERN_LITERAL, "User:ANONYMOUS", "*", what,
                                     permission, why.data(), why.size());
    };
    std::array<rd_kafka_AclBinding_t*, 2> acls{acl(RD_KAFKA_ACL_OPERATION_ALL, RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW),
                                               acl(operation, RD_KAFKA_ACL_PERMISSION_TYPE_DENY)};
    rd_kafka_CreateAcls(client, acls.data(), acls.size(), nullptr, queue);
    rd_kafka_AclBinding_destroy_array(acls.data(), acls.size());
  });
}

void delete_commands_before(const Stage& stage, std::int32_t partition, std::int64_t offset) {
  administer(stage, [=](rd_kafka_t* client, rd_kafka_queue_t* queue) {
    auto* list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "st.commands", partition)->offset = offset;
    auto* request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_DeleteRecords(client, &request, 1, nullptr, queue);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
  });
}

/// An open transaction in which somebody has written to a topic, until it is destroyed or ended.
class Hung {
 public:
  Hung(const Stage& stage, const char* topic, std::int32_t partition)
      : client_(stranger(stage, {{"transactional.id", fmt::format("somebody-{}", topic)}})) {
    expect(rd_kafka_init_transactions(client_.get(), 60'000));
    expect(rd_kafka_begin_transaction(client_.get()));
    const std::unique_ptr<rd_kafka_topic_t, Freer<rd_kafka_topic_destroy>> handle(
        rd_kafka_topic_new(client_.get(), topic, nullptr));
    std::string value = "x";
    EXPECT_EQ(rd_kafka_produce(handle.get(), partition, RD_KAFKA_MSG_F_COPY, value.data(), value.size(), "somebody", 8, nullptr),
              0);
    EXPECT_EQ(rd_kafka_flush(client_.get(), 30'000), RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  void abort() { expect(rd_kafka_abort_transaction(client_.get(), 60'000)); }

 private:
  static void expect(rd_kafka_error_t* error) {
    EXPECT_EQ(error, nullptr) << rd_kafka_error_string(error);
    if (error != nullptr) rd_kafka_error_destroy(error);
  }
  Client client_;
};

std::size_t times(const std::string& text, const std::string& what) {
  std::size_t n = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

Finished sync(const Stage& stage, const std::string& resource, const std::string& id = "") {
  std::vector<std::string> args{"sync", "--resource", resource, "--mode", "full", "--wait"};
  if (!id.empty()) args.insert(args.end(), {"--id", id});
  return stage.stsync(args, 180s);
}

void expect_truth(const Stage& stage, const std::string& resource) {
  const auto checked = check_records(stage.read({"st." + resource}));
  EXPECT_TRUE(checked.problems.empty()) << checked.problems.front();
  const auto differences = compare_with_truth(checked, stage.control("/__sim/truth?resource=" + resource));
  EXPECT_TRUE(differences.empty()) << differences.front();
}

constexpr const char* kWithAcls =
    "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\nallow.everyone.if.no.acl.found=true\n";

TEST(KafkaCases, A13_AJobWhoseTopicMayNotBeWrittenFailsAndOthersRun) {
  Stage stage({.records = 50, .partitions = 1, .kafka_settings = kWithAcls});
  forbid(stage, "st.crm.customers", RD_KAFKA_ACL_OPERATION_WRITE);
  const auto worker = stage.start_worker();
  Process other(stage.command({"sync", "--resource", "jpm.jobs", "--mode", "full", "--wait"}));
  const auto refused = sync(stage, "crm.customers");
  EXPECT_EQ(refused.code, 1) << refused.err << "\nworker:\n" << worker->err();
  EXPECT_THAT(refused.out, HasSubstr("\"code\":\"forbidden\""));
  EXPECT_THAT(refused.out, HasSubstr("st.crm.customers"));
  EXPECT_EQ(other.wait(60s), 0) << other.err();
  EXPECT_EQ(sync(stage, "marketing.campaigns").code, 0);
  expect_truth(stage, "jpm.jobs");
}

TEST(KafkaCases, A14_AJobWhoseTopicIsGoneFailsAndOthersRun) {
  Stage stage({.records = 50, .partitions = 1, .kafka_proxy = true});
  const auto worker = stage.start_worker();
  ASSERT_EQ(sync(stage, "crm.customers").code, 0);
  delete_topic(stage, "st.crm.customers");
  // The lane begins anew, and finds the topic missing.
  stage.kafka_proxy().add({.api = KafkaApi::end_txn, .fault = KafkaFault::lose_answer});
  EXPECT_EQ(sync(stage, "marketing.campaigns").code, 0);
  ASSERT_TRUE(worker->wait_for_text("lane_ready", 60s, 2)) << worker->err();
  const auto refused = sync(stage, "crm.customers");
  EXPECT_EQ(refused.code, 1) << refused.err << "\nworker:\n" << worker->err();
  EXPECT_THAT(refused.out, HasSubstr("\"code\":\"not_found\""));
  EXPECT_THAT(refused.out, HasSubstr("st.crm.customers"));
  EXPECT_EQ(sync(stage, "jpm.jobs").code, 0);
  expect_truth(stage, "jpm.jobs");
}

TEST(KafkaCases, A14_ATopicOfRecordsMayGrow) {
  Stage stage({.records = 200, .export_page = 50, .partitions = 1});
  const auto worker = stage.start_worker();
  const auto grown = kafka::make_admin(stage.cluster()).value()->grow("st.jpm.jobs", 5, 30s);
  ASSERT_TRUE(grown) << grown.error().message();
  ASSERT_EQ(sync(stage, "jpm.jobs").code, 0);
  std::vector<kafka::Message> all;
  for (std::int32_t p = 0; p < 5; ++p)
    ASSERT_TRUE(kafka::read_to_end(stage.cluster(), "st.jpm.jobs", p, 30s, [&](kafka::Message m) { all.push_back(std::move(m)); }));
  const auto checked = check_records(all);
  EXPECT_TRUE(checked.problems.empty()) << checked.problems.front();
  EXPECT_EQ(checked.records, 200u);
}

TEST(KafkaCases, A14_AWorkerEndsWhenCommandsAndJournalHaveGrownUnderIt) {
  Stage stage({.records = 20});
  const auto worker = stage.start_worker({"kafka.instance_id=first"});
  const auto admin = kafka::make_admin(stage.cluster()).value();
  ASSERT_TRUE(admin->grow("st.journal", 8, 30s));
  ASSERT_TRUE(admin->grow("st.commands", 8, 30s));
  const auto second = stage.start_worker({"kafka.instance_id=second", "kafka.partitions=8"}, false);
  EXPECT_EQ(worker->wait(60s), 78) << worker->err();
  EXPECT_THAT(worker->err(), HasSubstr("has 8 partitions now, not 3"));
  EXPECT_TRUE(stage.wait_ready(*second, 8)) << second->err();
}

TEST(KafkaCases, A17_CommandsThatExpiredUnreadAreCountedAndTheNextAreRead) {
  Stage stage({.records = 50, .partitions = 1});
  auto worker = stage.start_worker();
  ASSERT_EQ(sync(stage, "jpm.jobs").code, 0);
  worker->signal(SIGTERM);
  ASSERT_EQ(worker->wait(30s), 0);
  for (const auto* id : {"expired-1", "expired-2"})
    ASSERT_EQ(stage.stsync({"sync", "--resource", "crm.customers", "--id", id}).code, 0);
  std::int64_t end = 0;
  ASSERT_TRUE(kafka::read_to_end(stage.cluster(), "st.commands", 0, 30s, [&](const kafka::Message& m) { end = m.offset + 1; }));
  delete_commands_before(stage, 0, end);
  worker = stage.start_worker();
  EXPECT_THAT(metrics_of(*worker), HasSubstr("stsync_commands_expired_total 2\n"));
  EXPECT_THAT(worker->err(), HasSubstr("commands_expired"));
  EXPECT_EQ(sync(stage, "marketing.campaigns").code, 0);
  expect_truth(stage, "marketing.campaigns");
}

TEST(KafkaCases, A17_CommandsOfATopicThatWasMadeAnewAreRead) {
  Stage stage({.records = 50, .partitions = 1});
  auto worker = stage.start_worker();
  for (int i = 0; i < 3; ++i) ASSERT_EQ(sync(stage, "jpm.jobs", fmt::format("before-{}", i)).code, 0);
  worker->signal(SIGTERM);
  ASSERT_EQ(worker->wait(30s), 0);
  delete_topic(stage, "st.commands");
  ASSERT_EQ(stage.stsync({"topics", "create"}).code, 0);
  worker = stage.start_worker();
  EXPECT_THAT(worker->err(), HasSubstr("commands_made_anew"));
  EXPECT_EQ(sync(stage, "marketing.campaigns", "after").code, 0);
  worker->signal(SIGTERM);
  ASSERT_EQ(worker->wait(30s), 0);
  worker = stage.start_worker();
  EXPECT_THAT(worker->err(), Not(HasSubstr("commands_made_anew"))) << "once";
  EXPECT_THAT(sync(stage, "marketing.campaigns", "after").err, HasSubstr("duplicate"));
}

TEST(KafkaCases, A21_AWrongPasswordIsToldWithoutEndAndWithoutAFlood) {
  Stage stage({.records = 20, .partitions = 1, .kafka_auth = true});
  auto sets = stage.sasl_sets("PLAIN");
  sets.emplace_back("kafka.sasl.password=wrong");
  const auto worker = stage.start_worker(sets, false);
  EXPECT_TRUE(worker->wait_for_text("uthentication", 60s)) << worker->err();
  EXPECT_EQ(worker->wait(15s), std::nullopt) << "it goes on trying";
  EXPECT_EQ(times(worker->err(), "\"kafka_FAIL\""), 1u) << worker->err();
  worker->signal(SIGTERM);
  EXPECT_EQ(worker->wait(30s), 0) << worker->err();
}

TEST(KafkaCases, A21_AnUnknownCaIsToldWithoutEndAndWithoutAFlood) {
  Stage stage({.records = 20, .partitions = 1, .kafka_auth = true});
  auto sets = stage.sasl_sets("PLAIN");
  sets.emplace_back("kafka.tls.ca_file=" + stage.config_file() + ".ca.pem");  // the simulator's
  const auto worker = stage.start_worker(sets, false);
  EXPECT_TRUE(worker->wait_for_text("certificate", 60s)) << worker->err();
  EXPECT_EQ(worker->wait(15s), std::nullopt) << "it goes on trying";
  EXPECT_EQ(times(worker->err(), "\"kafka_FAIL\""), 1u) << worker->err();
  worker->signal(SIGTERM);
  EXPECT_EQ(worker->wait(30s), 0) << worker->err();
}

TEST(KafkaCases, TlsWithAPasswordIsOneOfTheWaysIn) {
  Stage stage({.records = 50, .partitions = 1, .kafka_auth = true});
  const auto worker = stage.start_worker(stage.sasl_sets("PLAIN"));
  EXPECT_EQ(sync(stage, "jpm.jobs").code, 0);
  expect_truth(stage, "jpm.jobs");
}

TEST(KafkaCases, ScramWorksWhereItIsNotWarnedOf) {
  Stage stage({.records = 50, .partitions = 1, .kafka_auth = true});
  const auto sets = stage.sasl_sets("SCRAM-SHA-512");
  const auto check = run(stage.command({"check"}, sets));
  EXPECT_EQ(check.code, 0) << check.err;
  kafka::Cluster scram;
  scram.properties["sasl.mechanism"] = "SCRAM-SHA-512";
  const auto limit = kafka::known_limit(scram);
  if (!limit.empty()) EXPECT_THAT(check.err, HasSubstr("warning: " + limit));
  const auto* version = std::getenv("KAFKA_VERSION");
  const bool fails = !limit.empty() && version != nullptr && version[0] >= '4';
  const auto worker = stage.start_worker(sets, false);
  if (fails) {
    EXPECT_TRUE(worker->wait_for_text("invalid credentials", 60s)) << worker->err();
    EXPECT_THAT(worker->err(), HasSubstr("kafka_library"));
    return;
  }
  ASSERT_TRUE(stage.wait_ready(*worker)) << worker->err();
  EXPECT_EQ(sync(stage, "jpm.jobs").code, 0);
  expect_truth(stage, "jpm.jobs");
}

TEST(KafkaCases, A23_WhatSomebodyElseLeftOpenHoldsUpNothingOfOurs) {
  const auto mine = kafka::partition_for("acme:1001", 3);
  std::int64_t tenant = 1002;
  while (kafka::partition_for(fmt::format("acme:{}", tenant), 3) == mine) ++tenant;
  Stage stage({.tenants = {1001, tenant}, .records = 50});
  const auto worker = stage.start_worker();
  Hung records(stage, "st.jpm.jobs", 0), commands(stage, "st.commands", mine);
  ASSERT_EQ(stage.stsync({"sync", "--tenant", "1001", "--resource", "jpm.jobs", "--mode", "full", "--id", "behind"}).code, 0);
  const auto other =
      stage.stsync({"sync", "--tenant", std::to_string(tenant), "--resource", "jpm.jobs", "--mode", "full", "--wait"}, 30s);
  EXPECT_EQ(other.code, 0) << "its records go to the topic with the open transaction: " << other.err;
  EXPECT_THAT(metrics_of(*worker), HasSubstr(fmt::format("stsync_command_lag{{partition=\"{}\"}} 2\n", mine)))
      << "theirs and the command behind it";
  EXPECT_THAT(worker->err(), Not(HasSubstr("behind")));
  commands.abort();
  records.abort();
  const auto late =
      stage.stsync({"sync", "--tenant", "1001", "--resource", "jpm.jobs", "--mode", "full", "--id", "behind", "--wait"});
  EXPECT_EQ(late.code, 0) << late.err;
  expect_truth(stage, "jpm.jobs");
}

}  // namespace
}  // namespace stsync::test
