// What the simulator tells a receiver of changed rows, over real connections.
#include <gmock/gmock.h>

#include <fstream>
#include <set>

#include <fmt/format.h>

#include "codec/page.hpp"
#include "fixture.hpp"
#include "http/certificate.hpp"
#include "http/server.hpp"

namespace stsync::sim {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

/// A receiver that keeps what it gets and answers what it is told.
class Sink {
 public:
  Sink(asio::io_context& loop, core::Clock& clock, std::optional<http::ServerTls> tls = {},
       const std::string& listen = "127.0.0.1:0")
      : clock_(clock) {
    http::ServerOptions options;
    options.listen = listen;
    options.tls = std::move(tls);
    server_ = http::start_server(loop.get_executor(), clock, std::move(options), [this](http::ServerRequest request) {
                return answer(std::move(request));
              }).value();
  }
  ~Sink() { release(); }

  std::string url() const { return server_->url(); }
  /// Lets the answers go that were held back.
  void release() {
    hold = false;
    if (held_) held_->notify();
  }

  std::vector<http::ServerRequest> got;
  std::vector<http::ServerResponse> answers;  ///< the next ones; 200 behind them
  bool hold = false;                          ///< no answer until release()

 private:
  asio::awaitable<http::ServerResponse> answer(http::ServerRequest request) {
    got.push_back(std::move(request));
    const auto number = got.size();
    if (hold) {
      held_ = clock_.make_signal();
      co_await held_->wait();
    }
    co_return number <= answers.size() ? answers[number - 1] : http::ServerResponse();
  }

  core::Clock& clock_;
  std::unique_ptr<core::Signal> held_;
  std::unique_ptr<http::Server> server_;
};

std::string hex_of_base64(const std::string& text) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  unsigned bits = 0, count = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = bits << 6 | static_cast<unsigned>(digits.find(c));
    if ((count += 6) < 8) continue;
    count -= 8;
    out += fmt::format("{:02x}", bits >> count & 0xff);
  }
  return out;
}

http::ServerResponse status(int number) {
  http::ServerResponse out;
  out.status = number;
  return out;
}

struct Webhooks : SimTest {
  std::unique_ptr<Sink> sink;

  void SetUp() override { start_with(small()); }
  void TearDown() override {
    SimTest::TearDown();
    sink.reset();
  }
  std::string set(const std::string& members) {
    const auto answer = post("/__sim/webhooks", members);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.body;
  }
  void send_to_sink(const std::string& more = {}) {
    sink = std::make_unique<Sink>(loop, clock);
    set(R"({"url":")" + sink->url() + R"(","secret":"not a real secret")" + more + "}");
  }
  void touch(const std::string& resource = "jpm.jobs", int count = 1) {
    post("/__sim/touch", R"({"resource":")" + resource + R"(","count":)" + std::to_string(count) + "}");
  }
  std::string state() { return plain_get("/__sim/webhooks").body; }
  bool wait_for(const std::function<bool()>& done) {
    loop.restart();
    while (!done() && loop.run_one_for(20s) > 0) {
    }
    return done();
  }
  bool wait_for_requests(std::size_t count) {
    return wait_for([&] { return sink->got.size() >= count; });
  }
  /// Until the state says so.
  bool wait_for_count(const std::string& name, const std::string& value) {
    for (int i = 0; i < 10'000; ++i) {
      if (member(state(), name) == value) return true;
      wait_for([] { return true; });
    }
    ADD_FAILURE() << state();
    return false;
  }
  std::string signature(std::size_t request, const char* header = "x-servicetitan-signature") const {
    const auto* text = http::find_header(sink->got.at(request).headers, header);
    return text == nullptr ? "" : *text;
  }
};

TEST_F(Webhooks, AChangedRowIsToldAsASignedCloudEvent) {
  send_to_sink();
  touch();
  ASSERT_TRUE(wait_for_requests(1));
  const auto& request = sink->got.front();
  EXPECT_EQ(request.method + " " + request.path, "POST /webhooks/acme");
  EXPECT_EQ(*http::find_header(request.headers, "content-type"), "application/json");
  EXPECT_EQ(signature(0), core::hmac_sha256_hex(core::Secret("not a real secret"), request.body));
  const auto id = codec::json_field(request.body, "data.job.id");
  EXPECT_EQ(get(1001, "jpm", "jobs/" + std::string(id)).body, codec::json_field(request.body, "data.job"))
      << "what a read by id shows";
  ASSERT_TRUE(wait_for_count("accepted", "1"));
  const auto told = state();
  EXPECT_EQ(text_member(told, "userassignedid"), text_member(request.body, "userassignedid"));
  EXPECT_EQ(text_member(told, "type"), text_member(request.body, "type"));
  EXPECT_EQ(member(told, "tenant"), "1001");
  EXPECT_EQ(text_member(told, "id"), id);
  EXPECT_EQ(member(told, "accepted_ms"), std::to_string(clock.wall_now().time_since_epoch().count()));
  EXPECT_EQ(member(told, "tries"), "1");
  EXPECT_EQ(told.find("not a real secret"), std::string::npos);
}

TEST_F(Webhooks, SignaturesComeInEveryFormThatIsAskedFor) {
  send_to_sink(R"(,"header":"X-Signature","encoding":"base64","prefix":"sha256=","retry_scale":1000)");
  touch();
  ASSERT_TRUE(wait_for_requests(1));
  const auto hex = core::hmac_sha256_hex(core::Secret("not a real secret"), sink->got[0].body);
  const auto base64 = signature(0, "X-Signature");
  ASSERT_THAT(base64, StartsWith("sha256="));
  EXPECT_EQ(hex_of_base64(base64.substr(7)), hex);
  EXPECT_EQ(signature(0), "");
  set(R"({"encoding":"hex","prefix":"","algorithm":"hmac-sha512"})");
  touch();
  ASSERT_TRUE(wait_for_requests(2));
  EXPECT_EQ(signature(1, "X-Signature").size(), 128u);
  set(R"({"algorithm":"hmac-sha1"})");
  touch();
  ASSERT_TRUE(wait_for_requests(3));
  EXPECT_EQ(signature(2, "X-Signature").size(), 40u);
  set(R"({"secret":""})");
  touch();
  ASSERT_TRUE(wait_for_requests(4));
  EXPECT_EQ(signature(3, "X-Signature"), "") << "without a secret nothing is signed";
}

TEST_F(Webhooks, WhatIsRefusedComesAgainWithTheSameEventId) {
  send_to_sink();
  sink->answers = {status(503), status(302), status(204)};
  touch();
  ASSERT_TRUE(wait_for_count("waiting", "1"));
  clock.run_for(9s);
  EXPECT_EQ(sink->got.size(), 1u);
  clock.run_for(1s);
  ASSERT_TRUE(wait_for_requests(2));
  ASSERT_TRUE(wait_for_count("waiting", "1"));
  clock.run_for(30s);
  ASSERT_TRUE(wait_for_count("accepted", "1"));
  EXPECT_EQ(member(state(), "retried"), "2");
  for (const auto& request : sink->got)
    EXPECT_EQ(text_member(request.body, "userassignedid"), text_member(sink->got[0].body, "userassignedid"));
}

TEST_F(Webhooks, TheTimeScaleIsThatOfTheRetriesToo) {
  run(sim->stop());
  auto options = small();
  options.time_scale = 10;
  start_with(std::move(options));
  send_to_sink(R"(,"retry_scale":2)");
  sink->answers = {status(500)};
  touch();
  ASSERT_TRUE(wait_for_count("waiting", "1"));
  clock.run_for(499ms);
  EXPECT_EQ(sink->got.size(), 1u);
  clock.run_for(1ms);
  EXPECT_TRUE(wait_for_requests(2));
}

TEST_F(Webhooks, NoAnswerInTimeIsANo) {
  send_to_sink(R"(,"timeout_ms":50)");
  sink->hold = true;
  touch();
  ASSERT_TRUE(wait_for_count("waiting", "1"));
  EXPECT_EQ(sink->got.size(), 1u);
  sink->release();
  clock.run_for(10s);
  EXPECT_TRUE(wait_for_count("accepted", "1"));
}

TEST_F(Webhooks, AConnectionThatBreaksIsANo) {
  send_to_sink();
  auto broken = status(200);
  broken.body = "{}";
  broken.cut_after = 1;
  broken.reset = true;
  sink->answers = {broken};
  touch();
  ASSERT_TRUE(wait_for_count("waiting", "1"));
  EXPECT_EQ(member(state(), "accepted"), "0");
  clock.run_for(10s);
  EXPECT_TRUE(wait_for_count("accepted", "1"));
}

TEST_F(Webhooks, AReceiverThatWasAwayAndComesBackElsewhereGetsWhatWaits) {
  send_to_sink();
  sink.reset();
  touch("crm.leads", 3);
  ASSERT_TRUE(wait_for_count("waiting", "3"));
  send_to_sink();
  clock.run_for(10s);
  EXPECT_TRUE(wait_for_count("accepted", "3"));
}

TEST_F(Webhooks, AConnectionThatTheReceiverHasClosedMeanwhileIsNoAnswer) {
  send_to_sink();
  touch();
  ASSERT_TRUE(wait_for_count("accepted", "1"));
  const auto address = sink->url().substr(std::string("http://").size());
  sink.reset();
  sink = std::make_unique<Sink>(loop, clock, std::nullopt, address);
  touch();
  ASSERT_TRUE(wait_for_count("accepted", "2"));
  EXPECT_EQ(member(state(), "retried"), "0");
}

TEST_F(Webhooks, NoMoreRequestsAreUnderWayThanThereAreConnections) {
  send_to_sink(R"(,"connections":2)");
  sink->hold = true;
  touch("crm.leads", 5);
  ASSERT_TRUE(wait_for_count("under_way", "2"));
  EXPECT_EQ(member(state(), "waiting"), "3");
  EXPECT_EQ(member(state(), "told"), "5");
}

TEST_F(Webhooks, StoppingDoesNotWaitForAReceiverThatHangs) {
  send_to_sink();
  sink->hold = true;
  touch("crm.leads", 3);
  ASSERT_TRUE(wait_for_requests(1));
  run(sim->stop());  // fails when it does not end
  sim.reset();
  EXPECT_EQ(sink->got.size(), 3u);
}

TEST_F(Webhooks, OverTlsTheReceiverMustBeTheOneThatIsMeant) {
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto ca = http::CertificateAuthority::make("test", now).value();
  const auto certificate = ca.issue({"127.0.0.1"}, now - 1h, now + 1h).value();
  const auto other = http::CertificateAuthority::make("other", now).value();
  const auto file = [](const char* name, const std::string& pem) {
    const auto path = ::testing::TempDir() + name;
    std::ofstream(path) << pem;
    return path;
  };
  sink = std::make_unique<Sink>(loop, clock, http::ServerTls{certificate.certificate_pem, certificate.key_pem});
  set(R"({"url":")" + sink->url() + R"(/hooks/{app}/in","ca_file":")" + file("other.pem", other.root.certificate_pem) + R"("})");
  touch();
  ASSERT_TRUE(wait_for_count("waiting", "1"));
  EXPECT_TRUE(sink->got.empty());
  set(R"({"ca_file":")" + file("ca.pem", ca.root.certificate_pem) + R"("})");
  clock.run_for(10s);
  ASSERT_TRUE(wait_for_count("accepted", "1"));
  EXPECT_EQ(sink->got[0].path, "/hooks/acme/in");
}

TEST_F(Webhooks, DuplicatesAndReplaysCarryTheSameEventIdInAnotherDelivery) {
  send_to_sink(R"(,"duplicates":1)");
  touch();
  ASSERT_TRUE(wait_for_requests(2));
  set(R"({"replay":"all"})");
  ASSERT_TRUE(wait_for_requests(3));
  const auto event = text_member(sink->got[0].body, "userassignedid");
  set(R"({"replay":")" + event + R"("})");
  ASSERT_TRUE(wait_for_requests(4));
  std::set<std::string> deliveries;
  for (const auto& request : sink->got) {
    EXPECT_EQ(text_member(request.body, "userassignedid"), event);
    deliveries.insert(text_member(request.body, "id"));
  }
  EXPECT_EQ(deliveries.size(), 4u);
  EXPECT_EQ(post("/__sim/webhooks", R"({"replay":"unknown"})").status, 400);
}

TEST_F(Webhooks, WithoutAReceiverNothingIsTold) {
  touch();
  EXPECT_EQ(member(state(), "told"), "0");
  send_to_sink();
  set(R"({"url":""})");
  touch();
  EXPECT_EQ(member(state(), "told"), "0");
}

TEST_F(Webhooks, ChurnOfOneResourceTellsOfThatOneOnly) {
  send_to_sink();
  touch("crm.leads");
  post("/__sim/churn", R"({"per_second":50,"resource":"jpm.appointments"})");
  clock.run_for(10s);
  post("/__sim/churn", R"({"per_second":0})");
  const auto told = core::parse_int(member(state(), "told")).value_or(0);
  EXPECT_GT(told, 400) << "things that happen are not the same ones over and over";
  ASSERT_TRUE(wait_for_count("accepted", std::to_string(told)));
  std::map<std::string, std::set<std::string>> rows;
  for (const auto& request : sink->got)
    rows[text_member(request.body, "type")].insert(std::string(codec::json_field(request.body, "data.appointment.id")));
  EXPECT_EQ(rows.size(), 2u) << "and the lead";
  EXPECT_GT(rows["tn.jpm.job-appointment-updated"].size(), 90u);
  EXPECT_EQ(post("/__sim/churn", R"({"per_second":1,"resource":"jpm.nothing"})").status, 400);
}

TEST_F(Webhooks, SettingsThatCannotBeUsedAreRefusedAndTheOldOnesStay) {
  send_to_sink();
  const std::vector<std::pair<std::string, std::string>> bad{
      {R"({"url":"ftp://x"})", "'url' must be an http or https URL"},
      {R"({"url":"nothing"})", "'url' must be"},
      {R"({"header":"a b"})", "'header' must be the name of a header"},
      {R"({"header":""})", "'header' must be"},
      {R"({"encoding":"hexx"})", "'encoding' must be hex or base64"},
      {R"({"algorithm":"md5"})", "'algorithm' must be hmac-sha256"},
      {R"({"prefix":"a\nb"})", "'prefix' must be printable"},
      {R"({"duplicates":1.5})", "'duplicates' must be a number from 0 to 1"},
      {R"({"duplicates":"x"})", "'duplicates' must be"},
      {R"({"retry_scale":0})", "'retry_scale' must be"},
      {R"({"timeout_ms":0})", "'timeout_ms' must be"},
      {R"({"connections":65})", "'connections' must be a number from 1 to 64"},
      {R"({"ca_file":"/nowhere.pem"})", "/nowhere.pem"},
      {R"({"uri":"http://127.0.0.1"})", "'uri' is no setting"},
      {R"({"replay":"all","url":""})", "stands alone"}};
  for (const auto& [body, problem] : bad) {
    const auto answer = post("/__sim/webhooks", body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_THAT(answer.body, HasSubstr(problem)) << body;
  }
  touch();
  ASSERT_TRUE(wait_for_requests(1));
  EXPECT_EQ(signature(0), core::hmac_sha256_hex(core::Secret("not a real secret"), sink->got[0].body));
  auto options = small();
  options.webhooks.url = "https://127.0.0.1:1";
  options.webhooks.ca_file = "/nowhere.pem";
  const auto started = sim::start(loop.get_executor(), clock, std::move(options));
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind(), core::ErrorKind::bad_config);
}

}  // namespace
}  // namespace stsync::sim
