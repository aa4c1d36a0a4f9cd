// The webhook ingress with a real Kafka, a real worker, and strangers.
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <list>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include "core/text.hpp"
#include "http/client.hpp"
#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::HasSubstr;

std::string event_of_job(const std::string& job, const std::string& id) {
  return fmt::format(R"({{"specversion":"1.0","id":"d-{}","type":"tn.jpm.job-updated","time":"2026-01-02T03:04:05Z",)"
                     R"("source":"https://webhooks.servicetitan.io","userassignedid":"{}","datacontenttype":"application/json",)"
                     R"("data":{{"job":{{"id":{}}},"tenantId":1001,"tenantName":"A Company"}}}})",
                     id, id, job);
}

/// An ingress on the stage's Kafka, and a sender.
class Hook {
 public:
  explicit Hook(const Stage& stage, bool tls = false)
      : ingress(stage.start_webhook({"telemetry.log_level=debug"}, tls)), secret_(stage.webhook_secret()) {}

  Process& process() { return *ingress.process; }
  std::uint16_t port() const { return http::parse_url(ingress.url).value().origin.port; }

  /// The status of the answer, 0 without one.
  int post(const std::string& body, const std::string& signature) const {
    boost::asio::io_context loop(1);
    const auto clock = core::make_system_clock(loop.get_executor());
    int status = 0;
    auto exchange = [&]() -> boost::asio::awaitable<void> {
      auto client = http::make_client(loop.get_executor(), *clock, {.ca_file = ingress.ca_file}).value();
      {
        auto connection = co_await client->connect(http::parse_url(ingress.url).value().origin, true, {});
        if (connection) {
          http::Request request;
          request.method = "POST";
          request.target = "/webhooks/acme";
          request.headers = {{"x-servicetitan-signature", signature}, {"content-type", "application/json"}};
          request.body = body;
          auto response = co_await (*connection)->exchange(std::move(request), {}, {});
          if (response) status = response->status;
        }
      }
      co_await client->close();
    };
    boost::asio::co_spawn(loop, exchange(), [](const std::exception_ptr&) {});
    loop.run();
    return status;
  }
  int post(const std::string& body) const { return post(body, core::hmac_sha256_hex(secret_, body)); }

  /// As a sender does who tries again: the last status. A broker with new topics may take none for seconds.
  int post_again_and_again(const std::string& body) const {
    int status = 0;
    for (const auto end = std::chrono::steady_clock::now() + 120s; status != 200 && std::chrono::steady_clock::now() < end;)
      status = post(body);
    return status;
  }

  /// KiB
  long memory() const {
    std::ifstream in(fmt::format("/proc/{}/status", ingress.process->pid()));
    for (std::string line; std::getline(in, line);)
      if (line.starts_with("VmRSS:")) return std::strtol(line.c_str() + 6, nullptr, 10);
    return 0;
  }

  Stage::Ingress ingress;

 private:
  core::Secret secret_;
};

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
  const auto worker = stage.start_worker();
  ASSERT_EQ(stage.stsync({"sync", "--resource", "jpm.jobs", "--mode", "full", "--wait"}).code, 0);
  const auto before = stage.read({"st.jpm.jobs"});
  ASSERT_FALSE(before.empty());
  const auto key = before.front().key.value();
  const auto body = event_of_job(key.substr(key.find(':') + 1), "event-1");

  Hook hook(stage, true);
  ASSERT_EQ(hook.post_again_and_again(body), 200);
  const auto events = stage.read({"st.webhooks"});
  ASSERT_GE(events.size(), 1u) << "stored when it is acknowledged";
  EXPECT_EQ(events[0].key, "acme:1001");
  EXPECT_EQ(events[0].value, body);
  EXPECT_EQ(*events[0].header("st-event"), "event-1");
  const auto command = *events[0].header("st-command");
  EXPECT_THAT(hook.process().err(), HasSubstr("\"event\":\"event-1\""));

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
  EXPECT_EQ(hook.post(tampered, core::hmac_sha256_hex(stage.webhook_secret(), body)), 401);
  EXPECT_EQ(stage.read({"st.webhooks"}).size(), events.size() + 1);
  hook.process().signal(SIGTERM);
  EXPECT_EQ(hook.process().wait(30s), 0);
  EXPECT_EQ(hook.process().err().find(stage.webhook_secret().reveal()), std::string::npos);
  EXPECT_EQ(hook.process().err().find("A Company"), std::string::npos) << "a body in the log";
}

TEST(Webhook, F7_WhileKafkaIsDownNothingIsAcknowledgedAndALaterTryLands) {
  Stage stage({.records = 1, .kafka_proxy = true});
  auto& proxy = stage.kafka_proxy();
  Hook hook(stage);
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
  Hook hook(stage, true);
  EXPECT_TRUE(hook.process().wait_for_text("webhook_certificate_expires", 30s)) << "the stage's lives for a day";
  ASSERT_EQ(hook.post_again_and_again(event_of_job("1", "before")), 200);
  const auto old_ca = hook.ingress.ca_file;
  stage.renew_certificate(hook.ingress);
  ASSERT_TRUE(hook.process().wait_for_text("webhook_certificate_read", 60s)) << hook.process().err();
  EXPECT_EQ(hook.post(event_of_job("2", "after")), 200);
  hook.ingress.ca_file = old_ca;
  EXPECT_EQ(hook.post(event_of_job("3", "never")), 0) << "the old one is not shown any more";
}

TEST(Webhook, F6_AThousandStrangersAndAnAcknowledgementForWhoSendsEvents) {
  Stage stage({.records = 1});
  Hook hook(stage);
  ASSERT_EQ(hook.post_again_and_again(event_of_job("1", "first")), 200);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, 4096);
  ::setrlimit(RLIMIT_NOFILE, &files);
  const auto before = hook.memory();
  boost::asio::io_context loop;
  using boost::asio::ip::tcp;
  std::list<tcp::socket> strangers;
  const std::string request = "POST /webhooks/acme HTTP/1.1\r\nHost: h\r\n";
  const std::vector<std::string> openings{
      "",
      "POST /webh",
      request + "X-Slow: a",
      request + "Content-Length: 250000\r\n\r\n" + std::string(2000, 'b'),
      request + "Transfer-Encoding: chunked\r\n\r\nffffff\r\nx",
      request + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(20'000, 'e'),
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + std::string(500, '\xff'),
      request + "Content-Length: 999999999\r\n\r\n",
      request + "X: " + std::string(30'000, 'h'),
  };
  std::string many;
  for (int i = 0; i < 100; ++i) many += request + "Content-Length: 0\r\n\r\n";
  std::set<std::string> acknowledged{"first"};
  for (int i = 0; i < 1000; ++i) {
    auto& socket = strangers.emplace_back(loop, tcp::v4());
    boost::system::error_code ec;  // one that is closed on at once is no fault of the ingress
    socket.bind({boost::asio::ip::make_address_v4(0x7f000100u + static_cast<std::uint32_t>(i / 50) + 2), 0}, ec);
    socket.connect({boost::asio::ip::address_v4::loopback(), hook.port()}, ec);
    boost::asio::write(socket, boost::asio::buffer(i % 100 == 0 ? many : openings[static_cast<std::size_t>(i) % openings.size()]),
                       ec);
    if (i % 50 != 0) continue;
    const auto id = fmt::format("event-{}", i);
    EXPECT_EQ(hook.post(event_of_job("1", id)), 200) << "beside " << i << " strangers";
    acknowledged.insert(id);
  }
  EXPECT_LT(hook.memory() - before, 100 * 1024) << "KiB more than before";
  std::set<std::string> stored;
  for (const auto& m : stage.read({"st.webhooks"})) stored.insert(*m.header("st-event"));
  EXPECT_EQ(stored, acknowledged);
  const auto metrics = metrics_of(hook.process());
  for (const auto* reason : {"bad_request", "body_too_large", "header_too_large"})
    EXPECT_THAT(metrics, HasSubstr(fmt::format("stsync_webhook_refusals_total{{reason=\"{}\"}}", reason)));
  EXPECT_THAT(metrics, HasSubstr("outcome=\"bad_signature\"} 1000\n")) << "pipelined ones without a signature";
}

}  // namespace
}  // namespace stsync::test
