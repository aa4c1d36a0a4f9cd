// What is wrong is said, costs nothing else, and loses nothing.
#include <csignal>
#include <fstream>
#include <map>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kafka/client.hpp"
#include "kafka/producer.hpp"
#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

void send(const Stage& stage, std::vector<kafka::OwnedMessage> messages) {
  auto producer = kafka::make_producer(stage.cluster());
  ASSERT_TRUE(producer);
  const auto sent = (*producer)->send(messages, 20s);
  ASSERT_TRUE(sent) << sent.error().message();
}

std::string sync_command(const std::string& id, const std::string& resource = "jpm.jobs") {
  return fmt::format(R"({{"id":"{}","app":"acme","tenant":1001,"sync":{{"resource":"{}","mode":"full"}}}})", id, resource);
}

/// The types of the events of a job, in their order.
std::vector<std::string> events_of(const Stage& stage, const std::string& job) {
  std::vector<std::string> out;
  for (const auto& m : stage.read({"st.status"})) {
    const auto row = json_rows("[" + m.value.value_or("{}") + "]").front();
    if (row.contains("job") && row.at("job") == job) out.push_back(row.at("type"));
  }
  return out;
}

void expect_truth(const Stage& stage, const std::string& resource) {
  const auto checked = check_records(stage.read({"st." + resource}));
  EXPECT_TRUE(checked.problems.empty()) << checked.problems.front();
  const auto differences = compare_with_truth(checked, stage.control("/__sim/truth?resource=" + resource));
  EXPECT_TRUE(differences.empty()) << differences.front();
}

TEST(BadConfig, EveryProblemAtOnceWithItsPlace) {
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("stsync-bad-{}", ::getpid());
  std::filesystem::create_directories(folder);
  const auto file = (folder / "bad.yaml").string();
  std::ofstream(file) << "kafka:\n  bootstrap_server: x\n  partitions: many\nworker:\n  settle: 5 parsecs\n";
  const auto result = run({STSYNC_PROGRAM, "worker", "--config", file});
  std::filesystem::remove_all(folder);
  EXPECT_EQ(result.code, 78);
  for (const auto* place : {":2:", ":3:", ":5:", "bootstrap_servers"}) EXPECT_THAT(result.err, HasSubstr(place));
}

TEST(BadCommand, E1_IsRejectedToTheDeadLettersAndTheNextOneRuns) {
  Stage stage({.records = 20, .partitions = 1});
  const auto worker = stage.start_worker();
  const std::string key = "acme:1001";
  const auto with = [](const std::string& text) { return "{\"id\":\"x\",\"app\":\"acme\",\"tenant\":1001," + text + "}"; };
  const std::vector<std::pair<std::string, std::string>> bad{
      {"not json", "bad_command"},
      {std::string(300'000, '['), "too_large"},
      {std::string(5'000, '['), "bad_command"},
      {with(R"("url":"http://evil.example","sync":{"resource":"jpm.jobs"})"), "bad_command"},
      {with(R"("sync":{"resource":"../../etc/passwd"})"), "unknown_resource"},
      {with(R"("sync":{"resource":"jpm.*"})"), "unknown_resource"},
      {with(R"("sync":{"resource":"jpm.jobs","mode":"window"})"), "bad_window"},
      {R"({"id":"x","app":"nobody","tenant":1001,"sync":{"resource":"jpm.jobs"}})", "unknown_app"},
      {R"({"id":"x","app":"acme","tenant":7,"sync":{"resource":"jpm.jobs"}})", "unknown_tenant"},
      {R"({"id":"a b","app":"acme","tenant":1001,"sync":{"resource":"jpm.jobs"}})", "bad_id"},
      {R"({"id":"x","app":"acme","tenant":1001})", "no_action"},
      {with(R"("cancel":{"job":"unheard-of"})"), "not_found"},
  };
  std::vector<kafka::OwnedMessage> messages{{"st.commands", 0, key, std::nullopt}};
  for (const auto& [text, code] : bad) messages.push_back({"st.commands", 0, key, text});
  messages.push_back({"st.commands", 0, key, sync_command("good")});
  send(stage, messages);
  // Sent again it is a duplicate, whose end is the end of the first.
  const auto follow = stage.stsync({"sync", "--resource", "jpm.jobs", "--mode", "full", "--id", "good", "--wait"});
  EXPECT_EQ(follow.code, 0) << follow.err;
  std::vector<std::string> codes;
  for (const auto& m : stage.read({"st.status"})) {
    const auto row = json_rows("[" + m.value.value() + "]").front();
    if (row.at("type") == "rejected") codes.push_back(json_rows("[" + row.at("failure") + "]").front().at("code"));
  }
  std::vector<std::string> expected{"empty"};
  for (const auto& [text, code] : bad) expected.push_back(code);
  EXPECT_THAT(codes, ::testing::UnorderedElementsAreArray(expected));
  const auto letters = stage.read({"st.dlq"});
  ASSERT_EQ(letters.size(), bad.size());  // a control command that found nothing is no dead letter, a null value is one
  EXPECT_EQ(*letters[1].header("__connect.errors.topic"), "st.commands");
  EXPECT_EQ(*letters[1].header("__connect.errors.offset"), "1");
  EXPECT_EQ(*letters[1].header("st-error-code"), "bad_command");
  EXPECT_EQ(letters[1].value, "not json");
  expect_truth(stage, "jpm.jobs");

  const auto latest = stage.stsync({"dlq", "list", "--last", "2", "--output", "json"});
  std::multimap<std::int64_t, std::string> by_time;
  for (const auto& m : letters) by_time.emplace(m.timestamp_ms, fmt::format("{}:{}", m.partition, m.offset));
  const auto last = std::prev(by_time.end());
  std::vector<std::string> shown;
  for (const auto& row : json_rows(latest.out)) shown.push_back(row.at("letter"));
  EXPECT_THAT(shown, ::testing::ElementsAre(std::prev(last)->second, last->second)) << latest.out;
  EXPECT_THAT(latest.err, HasSubstr(fmt::format("{} older ones are left out", letters.size() - 2)));
  EXPECT_EQ(stage.stsync({"dlq", "replay", "--code", "bad_command"}).code, 65) << "they are no commands";
  EXPECT_EQ(stage.read({"st.dlq"}).size(), letters.size()) << "so none was sent";
  const auto again = stage.stsync({"dlq", "replay", "--code", "unknown_tenant", "--wait"});
  EXPECT_EQ(again.code, 65) << again.err;
  std::vector<std::string> chain;
  for (const auto& m : stage.read({"st.dlq"}))
    if (const auto* origin = m.header("st-replay-of")) chain.push_back(*m.header("st-error-code") + " " + *origin);
  EXPECT_THAT(chain, ::testing::ElementsAre(::testing::StartsWith("unknown_tenant st.dlq/")));
}

TEST(BadCommand, E3_OnTheWrongPartitionIsForwardedOnce) {
  Stage stage({.records = 20});
  const auto worker = stage.start_worker();
  const auto right = kafka::partition_for("acme:1001", 3);
  send(stage, {{"st.commands", (right + 1) % 3, "some-other-key", sync_command("astray")},
               {"st.commands", (right + 1) % 3, "acme:1001", sync_command("lost"), {{"st-forwarded", "1"}}}});
  const auto follow = stage.stsync({"sync", "--resource", "jpm.jobs", "--mode", "full", "--id", "astray", "--wait"});
  EXPECT_EQ(follow.code, 0) << follow.err;
  const auto late = stage.stsync({"sync", "--resource", "jpm.jobs", "--mode", "full", "--id", "astray", "--wait"});
  EXPECT_EQ(late.code, 0) << "the end of a job is told to whoever asks again: " << late.err;
  EXPECT_THAT(events_of(stage, "lost"), Contains("rejected"));
  expect_truth(stage, "jpm.jobs");
}

TEST(BadCommand, E4_TheSameIdWithAnotherBodyIsAConflict) {
  Stage stage({.records = 20});
  const auto worker = stage.start_worker();
  EXPECT_EQ(stage.stsync({"sync", "--resource", "jpm.jobs", "--mode", "full", "--id", "one", "--wait"}).code, 0);
  const auto other = stage.stsync({"sync", "--resource", "crm.customers", "--id", "one", "--wait"});
  EXPECT_EQ(other.code, 65);
  EXPECT_THAT(other.err, HasSubstr("conflict"));
}

TEST(BadCredentials, WaitAndOthersGoOn) {
  Stage stage({.tenants = {1001, 1002}, .records = 50});
  // Break the second tenant's secret.
  std::string text;
  {
    std::ifstream in(stage.config_file());
    text.assign(std::istreambuf_iterator<char>(in), {});
  }
  const auto at = text.find("client_secret", text.find("id: 1002"));
  text.insert(text.find("cs1.", at) + 4, "wrong");
  std::ofstream(stage.config_file()) << text;
  const auto worker = stage.start_worker();
  Process refused(stage.command(
      {"sync", "--tenant", "1002", "--resource", "jpm.jobs,jpm.projects,jpm.appointments", "--mode", "full", "--wait"}));
  EXPECT_TRUE(refused.wait_for_text("auth_failed", 30s, 3)) << refused.err();
  EXPECT_EQ(
      stage.stsync({"sync", "--tenant", "1001", "--resource", "jpm.jobs,jpm.projects,jpm.appointments", "--mode", "full", "--wait"})
          .code,
      0);
  EXPECT_FALSE(refused.wait(0ms)) << "a job without credentials waits";
  const auto stats = json_rows("[" + stage.control("/__sim/stats") + "]").front();
  EXPECT_LE(std::stoi(stats.at("token_calls")), 4) << "a token storm";
  EXPECT_EQ(worker->err().find("cs1."), std::string::npos) << "a secret in the log";
}

TEST(BadPage, ThatNeverParsesFailsTheJobAndKeepsTheCursor) {
  Stage stage({.records = 300, .export_page = 50});
  const auto worker = stage.start_worker();
  ASSERT_EQ(stage.stsync({"sync", "--resource", "jpm.jobs", "--mode", "full", "--wait"}).code, 0);
  stage.control("/__sim/touch", R"({"tenant":1001,"resource":"jpm.jobs","count":5})");
  stage.control("/__sim/faults", R"({"garbage":true,"count":100,"path_contains":"export/jobs"})");
  const auto failed = stage.stsync({"sync", "--resource", "jpm.jobs", "--wait"});
  EXPECT_EQ(failed.code, 1);
  EXPECT_THAT(failed.out, HasSubstr("\"code\":\"malformed\""));
  stage.control("/__sim/faults", R"({"clear":true})");
  const auto again = stage.stsync({"sync", "--resource", "jpm.jobs", "--wait"});
  EXPECT_EQ(again.code, 0);
  EXPECT_THAT(again.out, HasSubstr("\"records\":5"));
}

TEST(BadPage, ThatRepeatsItsTokenEndsAsNoProgress) {
  Stage stage({.records = 300, .export_page = 50});
  const auto worker = stage.start_worker();
  stage.control("/__sim/faults", R"({"repeat_token":true,"count":1000,"path_contains":"export/jobs"})");
  const auto failed = stage.stsync({"sync", "--resource", "jpm.jobs", "--mode", "full", "--wait"});
  EXPECT_EQ(failed.code, 1);
  EXPECT_THAT(failed.out, HasSubstr("\"code\":\"no_progress\""));
}

TEST(BadPage, CutResetAndRefusedCallsAreRepeatedWithoutADuplicate) {
  Stage stage({.records = 300, .export_page = 50});
  const auto worker = stage.start_worker();
  for (const auto* fault : {R"({"path_contains":"export/jobs","cut_body":1000,"count":2})",
                            R"({"path_contains":"export/jobs","status":500,"body":"html","count":2})",
                            R"({"path_contains":"export/jobs","status":429,"retry_after":"1","count":1})",
                            R"({"path_contains":"export/jobs","status":401,"count":1})", R"({"status":409,"count":0})"})
    stage.control("/__sim/faults", fault);
  const auto result = stage.stsync({"sync", "--resource", "jpm.jobs", "--mode", "full", "--wait"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("retrying"));
  expect_truth(stage, "jpm.jobs");
}

TEST(BadRecord, A15_TooLargeForItsTopicGoesToTheDeadLettersInTheSameTransaction) {
  Stage stage({.records = 300, .export_page = 50});
  stage.control("/__sim/faults", R"({"oversize_record":1200000,"resource":"jpm.jobs"})");
  const auto worker = stage.start_worker();
  const auto result = stage.stsync({"sync", "--resource", "jpm.jobs", "--mode", "full", "--wait"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("\"records\":299"));
  EXPECT_THAT(result.out, HasSubstr("\"dead_letters\":1"));
  const auto letters = stage.read({"st.dlq"});
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(*letters[0].header("st-error-code"), "too_large");
  EXPECT_EQ(letters[0].value->size(), 512u << 10);
  EXPECT_NE(letters[0].header("st-truncated"), nullptr);
  EXPECT_NE(letters[0].header("st-sha256"), nullptr);
  const auto checked = check_records(stage.read({"st.jpm.jobs"}));
  EXPECT_TRUE(checked.problems.empty()) << checked.problems.front();
  EXPECT_EQ(checked.records, 299u);

  // Once the cause is gone the letter says how to read the record.
  stage.control("/__sim/faults", R"({"oversize_record":0,"resource":"jpm.jobs"})");
  const auto name = fmt::format("{}:{}", letters[0].partition, letters[0].offset);
  const auto list = stage.stsync({"dlq", "list", "--output", "json"});
  EXPECT_THAT(list.out, MatchesRegex(fmt::format(R"(\[\{{"letter":"{}","time":"20[^"]+","code":"too_large","stage":"[^"]+",)"
                                                 R"("message":"[^"]+","topic":"st.jpm.jobs","key":"{}","source":"[^"]+",)"
                                                 R"("bytes":524288\}}\])"
                                                 "\n",
                                                 name, letters[0].key.value())))
      << list.err;
  EXPECT_EQ(stage.stsync({"dlq", "replay", "9:9"}).code, 3);
  const auto replay = stage.stsync({"dlq", "replay", name, "--wait"});
  EXPECT_EQ(replay.code, 0) << replay.err;
  std::size_t there = 0;
  for (const auto& m : stage.read({"st.jpm.jobs"})) there += m.key == letters[0].key;
  EXPECT_EQ(there, 1u) << "as its own endpoint tells it";
}

void expect_everything_once(const Stage& stage, Process& worker) {
  const auto checked = check_records(stage.read(stage.record_topics()));
  EXPECT_TRUE(checked.problems.empty()) << checked.problems.front();
  const auto differences = compare_with_truth(checked, stage.control(std::string("/__sim/truth?resource=") + kBulk));
  EXPECT_TRUE(differences.empty()) << differences.front();
  EXPECT_EQ(worker.err().find("bug"), std::string::npos);
}

TEST(Broker, A1_AbsentAtStartAndLostLaterRecoversByItself) {
  Stage stage({.records = 2000, .rate = 20, .export_page = 100});
  stage.stop_broker();
  const auto worker = stage.start_worker({}, false);
  EXPECT_TRUE(worker->wait_for_text("kafka_unreachable", 30s)) << worker->err();
  stage.start_broker();
  ASSERT_TRUE(stage.wait_ready(*worker)) << worker->err();
  Process follower(stage.command({"sync", "--resource", kBulk, "--mode", "full", "--wait"}));
  ASSERT_TRUE(follower.wait_for_text("progress", 60s, 5)) << follower.err();
  stage.stop_broker();
  stage.start_broker();
  EXPECT_EQ(follower.wait(240s), 0) << follower.err() << "\nworker:\n" << worker->err();
  expect_everything_once(stage, *worker);
}

TEST(Broker, A1_AwayForLongerThanTheSessionLosesTheWorkerOnlyItsPartitions) {
  Stage stage({.records = 1000, .rate = 20, .export_page = 100});
  const auto worker = stage.start_worker();
  Process follower(stage.command({"sync", "--resource", kBulk, "--mode", "full", "--wait"}));
  ASSERT_TRUE(follower.wait_for_text("progress", 60s, 5)) << follower.err();
  stage.stop_broker();
  ASSERT_TRUE(worker->wait_for_text("partitions lost", 30s)) << worker->err();
  EXPECT_THROW(fetch(telemetry_url(*worker) + "/readyz"), std::runtime_error);
  stage.start_broker();
  EXPECT_EQ(follower.wait(240s), 0) << follower.err() << "\nworker:\n" << worker->err();
  EXPECT_EQ(fetch(telemetry_url(*worker) + "/readyz"), "ok\n");
  EXPECT_FALSE(worker->wait(0ms)) << "the process stays";
  expect_everything_once(stage, *worker);
}

}  // namespace
}  // namespace stsync::test
