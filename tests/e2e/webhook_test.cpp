// The webhook ingress with a real Kafka and a real worker.
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hook.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

std::vector<kafka::Message> wait_for(const Stage& stage, const std::string& topic,
                                     const std::function<bool(const std::vector<kafka::Message>&)>& wanted) {
  std::vector<kafka::Message> out;
  for (const auto end = std::chrono::steady_clock::now() + 60s; std::chrono::steady_clock::now() < end;) {
    out = stage.read({topic});
    if (wanted(out)) return out;
  }
  ADD_FAILURE() << topic << " does not get what is waited for";
  return out;
}

TEST(Webhook, F7_AnEventBecomesTheRecordItNamesOnceHoweverOftenItIsSent) {
  Stage stage({.records = 20});
  const auto none = stage.stsync({"webhook"});
  EXPECT_EQ(none.code, 78) << "no app has a secret";
  EXPECT_THAT(none.err, HasSubstr("webhook_secret_files"));
  const auto worker = stage.start_worker({"telemetry.log_level=debug"});
  ASSERT_EQ(stage.stsync({"sync", "--resource", "jpm.jobs", "--mode", "full", "--wait"}).code, 0);
  const auto before = stage.read({"st.jpm.jobs"});
  ASSERT_FALSE(before.empty());
  const auto key = before.front().key.value();
  const auto body = event_of_job(key.substr(key.find(':') + 1), "event-1");

  Hook hook(stage);
  ASSERT_EQ(hook.post_again_and_again(body), 200);
  const auto events = stage.read({"st.webhooks"});
  ASSERT_GE(events.size(), 1u) << "stored when it is acknowledged";
  EXPECT_EQ(events[0].key, "acme:1001");
  EXPECT_EQ(events[0].value, body);
  EXPECT_EQ(*events[0].header("st-event"), "event-1");
  const auto command = *events[0].header("st-command");
  for (auto* process : {&hook.process(), worker.get()})
    EXPECT_TRUE(process->wait_for(
        [&](const std::string& line) {
          return line.find(command) != std::string::npos && line.find("\"event\":\"event-1\"") != std::string::npos;
        },
        30s))
        << "the event and its command are in one line of the log of each";

  const auto after = wait_for(stage, "st.jpm.jobs", [&](const auto& all) { return all.size() > before.size(); });
  ASSERT_EQ(after.size(), before.size() + 1);
  EXPECT_TRUE(std::any_of(after.begin(), after.end(), [&](const auto& m) {
    return m.key == key && *m.header("st-job") == command + ":0";
  })) << "event, command, job and record are one chain";

  EXPECT_EQ(hook.post(body), 200) << "a delivery whose answer was lost, or a replay by hand";
  wait_for(stage, "st.status", [&](const auto& all) {
    return std::any_of(all.begin(), all.end(), [&](const auto& m) {
      return m.value->find("\"duplicate\"") != std::string::npos && m.value->find(command) != std::string::npos;
    });
  });
  EXPECT_EQ(stage.read({"st.webhooks"}).size(), events.size() + 1) << "events are published at least once";
  EXPECT_EQ(stage.read({"st.jpm.jobs"}).size(), after.size()) << "and cause one sync";

  EXPECT_EQ(hook.post(body, core::hmac_sha256_hex(core::Secret("of another app"), body)), 401);
  EXPECT_EQ(hook.post(body, ""), 401);
  auto tampered = body;
  tampered[tampered.find("1001")] = '2';
  EXPECT_EQ(hook.post(tampered, core::hmac_sha256_hex(hook.secret(), body)), 401);
  EXPECT_EQ(stage.read({"st.webhooks"}).size(), events.size() + 1);
  hook.process().signal(SIGTERM);
  EXPECT_EQ(hook.process().wait(30s), 0);
  EXPECT_EQ(hook.process().err().find(hook.secret().reveal()), std::string::npos);
  EXPECT_EQ(hook.process().err().find("A Company"), std::string::npos) << "a body in the log";
}

TEST(Webhook, F7_WhileKafkaIsDownNothingIsAcknowledgedAndALaterTryLands) {
  Stage stage({.records = 1, .kafka_proxy = true});
  auto& proxy = stage.kafka_proxy();
  Hook hook(stage, false);
  ASSERT_EQ(hook.post_again_and_again(event_of_job("1", "before")), 200);
  proxy.refuse(true);
  proxy.cut_all();
  for (int i = 0; i < 3; ++i) {  // found out by the first, known by the last
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(hook.post(event_of_job("2", "during")), 503);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 12s) << "8 s, and what a busy machine adds";
  }
  EXPECT_TRUE(hook.process().wait_for_text("kafka_unreachable", 30s));
  EXPECT_THROW(fetch(telemetry_url(hook.process()) + "/readyz"), std::runtime_error);
  EXPECT_EQ(fetch(telemetry_url(hook.process()) + "/livez"), "ok\n");
  proxy.refuse(false);
  ASSERT_EQ(hook.post_again_and_again(event_of_job("2", "during")), 200);
  std::set<std::string> events, commands;
  for (const auto& m : stage.read({"st.webhooks"})) events.insert(*m.header("st-event"));
  for (const auto& m : stage.read({"st.commands"})) commands.insert(m.value.value());
  EXPECT_EQ(events, (std::set<std::string>{"before", "during"}));
  EXPECT_EQ(commands.size(), 2u) << "one command an event, however often it stands there";
}

TEST(Webhook, ARenewedCertificateIsShownWithoutARestart) {
  Stage stage({.records = 1});
  Hook hook(stage);
  EXPECT_TRUE(hook.process().wait_for_text("webhook_certificate_expires", 30s)) << "the stage's lives for a day";
  ASSERT_EQ(hook.post_again_and_again(event_of_job("1", "before")), 200);
  const auto old_ca = hook.ingress.ca_file;
  stage.renew_certificate(hook.ingress);
  ASSERT_TRUE(hook.process().wait_for_text("webhook_certificate_read", 60s)) << hook.process().err();
  EXPECT_EQ(hook.post(event_of_job("2", "after")), 200);
  hook.ingress.ca_file = old_ca;
  EXPECT_EQ(hook.post(event_of_job("3", "never")), 0) << "the old one is not shown any more";
}

TEST(Simulator, WritesAConfigurationThatTheReceiverOfItsWebhooksCanUse) {
  const std::filesystem::path folder = ::testing::TempDir() + fmt::format("stsync-sim-config-{}", ::getpid());
  std::filesystem::create_directories(folder);
  const auto secret = (folder / "secret").string(), config = (folder / "stsync.yaml").string();
  std::ofstream(secret) << "whsec-0123456789abcdef0123456789abcdef\n";
  for (const auto& further : {std::vector<std::string>{}, {"--webhook-header", "X-Signature", "--webhook-encoding", "base64"}}) {
    std::vector<std::string> command{STSYNC_PROGRAM,          "sim", "--config", config, "--webhook-url", "http://127.0.0.1:1",
                                     "--webhook-secret-file", secret};
    command.insert(command.end(), further.begin(), further.end());
    Process simulator(command);
    ASSERT_TRUE(simulator.wait_for_text("\"url\"", 30s)) << simulator.err();
    const auto shown = run({STSYNC_PROGRAM, "config", "--config", config});
    EXPECT_EQ(shown.code, 0) << shown.err;
    EXPECT_THAT(shown.out, HasSubstr(further.empty() ? "header: x-servicetitan-signature" : "header: X-Signature"));
    EXPECT_THAT(shown.out, HasSubstr(further.empty() ? "encoding: hex" : "encoding: base64"));
    EXPECT_THAT(shown.out, HasSubstr("webhook_secret_files"));
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace stsync::test
