// The ingress on a real socket, with a Kafka of the test's.
#include "webhook/ingress.hpp"

#include <cstdio>
#include <fstream>
#include <list>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "events.hpp"
#include "http/certificate.hpp"
#include "http/client.hpp"

namespace stsync::webhook {
namespace {

namespace asio = boost::asio;
using core::ErrorKind;
using core::Result;
using test::event_of;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

/// Keeps what it is sent, and acknowledges when and how the test says.
class FakeProducer final : public kafka::AsyncProducer {
 public:
  explicit FakeProducer(core::Clock& clock) : changed_(clock.make_signal()) {}
  asio::awaitable<Result<void>> send(std::vector<kafka::OwnedMessage> messages, core::Duration timeout) override {
    asked_for = timeout;
    ++sends;
    while (held) co_await changed_->wait();
    changed_->notify();
    if (failure) co_return core::fail(*failure);
    for (auto& m : messages) stored.push_back(std::move(m));
    co_return Result<void>();
  }
  asio::awaitable<Result<void>> probe(std::vector<std::string>, std::chrono::milliseconds) override {
    ++probes;
    if (away) co_return core::fail(*away);
    co_return Result<void>();
  }
  asio::awaitable<void> close() override { co_return; }
  void release() {
    held = false;
    changed_->notify();
  }

  bool held = false;
  std::optional<core::Error> failure, away;
  std::vector<kafka::OwnedMessage> stored;
  core::Duration asked_for{};
  int sends = 0, probes = 0;

 private:
  std::unique_ptr<core::Signal> changed_;
};

struct IngressTest : ::testing::Test {
  IngressTest() {
    std::ofstream(secret_file) << secret.reveal();
    config::App acme;
    acme.name = "acme";
    acme.webhook_secret_files = {secret_file};
    acme.tenants.resize(1);
    acme.tenants[0].id = 1001;
    config.apps = {acme};
    config.webhook.listen = config.telemetry.listen = "127.0.0.1:0";
  }
  ~IngressTest() override {
    producer.release();
    stop.request_stop();
    run_until([&] { return !running || ended.has_value(); });
    if (client) run(client->close());
    std::remove(secret_file.c_str());
  }

  void start() {
    client = http::make_client(loop.get_executor(), *clock, {}).value();
    ingress = std::make_unique<Ingress>(loop.get_executor(), *clock, config, catalogue, metrics, producer);
    running = true;
    asio::co_spawn(loop, run_ingress(), [](const std::exception_ptr&) {});
    run_until([&] { return ended.has_value() || producer.probes > 0; });
    url = ingress->url();
    telemetry_url = ingress->telemetry_url();
  }
  asio::awaitable<void> run_ingress() { ended.emplace(co_await ingress->run(stop.token())); }
  void run_until(const std::function<bool()>& done) {
    loop.restart();
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!done() && std::chrono::steady_clock::now() < end) loop.run_one_for(100ms);
  }
  void run(asio::awaitable<void> task) {
    bool done = false;
    asio::co_spawn(loop, std::move(task), [&done](const std::exception_ptr&) { done = true; });
    run_until([&] { return done; });
    EXPECT_TRUE(done);
  }
  using Answer = std::optional<Result<http::Response>>;
  asio::awaitable<void> ask(http::Request request, std::string base, Answer& out) {
    const auto origin = http::parse_url(base).value().origin;
    auto connection = co_await client->connect(origin, false, {});
    if (!connection) {
      out.emplace(core::fail(connection.error()));
      co_return;
    }
    out.emplace(co_await (*connection)->exchange(std::move(request), {}, {}));
  }
  void post_into(Answer& out, const std::string& body, const core::Secret& by) {
    http::Request request;
    request.method = "POST";
    request.target = "/webhooks/acme";
    request.headers = {{"x-servicetitan-signature", sign({}, by, body)}};
    request.body = body;
    asio::co_spawn(loop, ask(std::move(request), url, out), [](const std::exception_ptr&) {});
  }
  /// An event is on its way to Kafka, which does not answer yet.
  void post_and_hold(Answer& out) {
    producer.held = true;
    post_into(out, job(1), secret);
    run_until([&] { return producer.sends == 1; });
  }
  http::Response post(const std::string& body, const std::optional<core::Secret>& by = {}) {
    Answer out;
    post_into(out, body, by.value_or(secret));
    run_until([&] { return out.has_value(); });
    return out.value().value();
  }
  std::string get(const std::string& base, const std::string& target) {
    Answer out;
    http::Request request;
    request.target = target;
    asio::co_spawn(loop, ask(std::move(request), base, out), [](const std::exception_ptr&) {});
    run_until([&] { return out.has_value(); });
    return std::to_string(out.value().value().status) + " " + out->value().body;
  }
  static std::string job(int id) {
    return event_of("tn.jpm.job-updated", fmt::format(R"("job":{{"id":{}}})", id), fmt::format("u-{}", id));
  }

  const core::Secret secret{"0123456789abcdef0123456789abcdef"};
  const std::string secret_file = ::testing::TempDir() + "stsync_ingress_" + std::to_string(::getpid());
  asio::io_context loop;
  std::unique_ptr<core::Clock> clock = core::make_system_clock(loop.get_executor());
  servicetitan::Catalogue catalogue = servicetitan::Catalogue::load("", "").value();
  config::Config config;
  telemetry::Metrics metrics{true};
  FakeProducer producer{*clock};
  core::StopSource stop;
  std::unique_ptr<Ingress> ingress;
  std::unique_ptr<http::Client> client;
  std::optional<Result<void>> ended;
  bool running = false;
  std::string url, telemetry_url;
};

TEST_F(IngressTest, F7_TheAnswerIs200OnceKafkaHasAllOfItAndNotBefore) {
  start();
  Answer answer;
  post_and_hold(answer);
  for (int i = 0; i < 50; ++i) loop.poll();
  EXPECT_FALSE(answer) << "nothing is stored yet";
  EXPECT_LT(producer.asked_for, 8s);
  producer.release();
  run_until([&] { return answer.has_value(); });
  EXPECT_EQ(answer.value().value().status, 200);
  ASSERT_EQ(producer.stored.size(), 2u);
  EXPECT_EQ(producer.stored[0].value, job(1));
  EXPECT_THAT(get(telemetry_url, "/metrics"), HasSubstr("stsync_webhook_events_total{app=\"acme\",outcome=\"stored\"} 1\n"));
  EXPECT_THAT(get(telemetry_url, "/metrics"),
              HasSubstr("stsync_webhook_types_total{app=\"acme\",type=\"tn.jpm.job-updated\"} 1\n"));
}

TEST_F(IngressTest, F7_WithoutAnAcknowledgementItIs503) {
  start();
  producer.failure.emplace(ErrorKind::broker, "gone");
  const auto answer = post(job(1));
  EXPECT_EQ(answer.status, 503);
  EXPECT_NE(http::find_header(answer.headers, "Retry-After"), nullptr);
  producer.failure.reset();
  EXPECT_EQ(post(job(1)).status, 200) << "the sender's next try";
}

TEST_F(IngressTest, F7_WhileKafkaIsAwayEventsAreRefusedAtOnceAndItIsNotReady) {
  producer.away.emplace(ErrorKind::broker, "away");
  start();
  run_until([&] { return get(telemetry_url, "/readyz").starts_with("503"); });
  EXPECT_EQ(post(job(1)).status, 503);
  EXPECT_THAT(get(telemetry_url, "/metrics"), HasSubstr("stsync_ready 0\n"));
  EXPECT_EQ(producer.sends, 0) << "nothing is tried";
  EXPECT_EQ(get(telemetry_url, "/livez"), "200 ok\n");
  producer.away.reset();
  run_until([&] { return get(telemetry_url, "/readyz").starts_with("200"); });
  EXPECT_EQ(post(job(1)).status, 200);
}

TEST_F(IngressTest, ATopicThatIsMissingEndsTheStart) {
  producer.away.emplace(ErrorKind::not_found, "topic st.webhooks");
  start();
  run_until([&] { return ended.has_value(); });
  ASSERT_TRUE(ended && !*ended);
  EXPECT_EQ(ended->error().kind(), ErrorKind::bad_config);
  EXPECT_THAT(ended->error().message(), HasSubstr("topics create"));
}

TEST_F(IngressTest, WithoutAnySecretThereIsNothingToServe) {
  config.apps[0].webhook_secret_files.clear();
  start();
  ASSERT_TRUE(ended && !*ended);
  EXPECT_EQ(ended->error().kind(), ErrorKind::bad_config);
}

TEST_F(IngressTest, F6_MoreThanMayBeUnderWayIsShedBeforeItIsLookedAt) {
  config.webhook.max_in_flight = 2;
  start();
  producer.held = true;
  std::list<Answer> answers;
  for (int i = 0; i < 2; ++i) post_into(answers.emplace_back(), job(i), secret);
  run_until([&] { return producer.sends == 2; });
  EXPECT_EQ(post(job(3), core::Secret("not even the right secret .......")).status, 503) << "the signature is not checked";
  EXPECT_THAT(get(telemetry_url, "/metrics"),
              ::testing::AllOf(HasSubstr("stsync_webhook_in_flight 2\n"), HasSubstr("stsync_ready 1\n")));
  EXPECT_THAT(get(telemetry_url, "/metrics"), HasSubstr("outcome=\"shed\"} 1\n"));
  producer.release();
  run_until([&] { return std::all_of(answers.begin(), answers.end(), [](const auto& a) { return a.has_value(); }); });
  for (const auto& a : answers) EXPECT_EQ(a.value().value().status, 200);
  EXPECT_EQ(post(job(3)).status, 200);
}

TEST_F(IngressTest, F5_AStrangerLearnsNothingAndABadEventIsCounted) {
  start();
  const auto refused = post(job(1), core::Secret("the secret of some other app ..."));
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.body, "{}");
  EXPECT_EQ(post("{\"x\":1}").status, 400);
  EXPECT_EQ(producer.sends, 0);
  const auto text = get(telemetry_url, "/metrics");
  EXPECT_THAT(text, HasSubstr("outcome=\"bad_signature\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("outcome=\"bad_event\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr(secret.reveal())));
}

TEST_F(IngressTest, F5_ANewSecretCountsWithoutARestart) {
  start();
  EXPECT_EQ(post(job(1)).status, 200);
  const core::Secret next("the secret that comes after it ..");
  std::ofstream(secret_file) << next.reveal();
  int status = 0;
  const auto end = std::chrono::steady_clock::now() + 20s;
  while ((status = post(job(2), next).status) != 200 && std::chrono::steady_clock::now() < end) loop.run_for(100ms);
  EXPECT_EQ(status, 200);
  EXPECT_EQ(post(job(3)).status, 401) << "the old one is gone";
}

TEST_F(IngressTest, AStopLetsWhatIsUnderWayEnd) {
  start();
  Answer answer;
  post_and_hold(answer);
  stop.request_stop();
  for (int i = 0; i < 50; ++i) loop.poll();
  EXPECT_FALSE(ended);
  producer.release();
  run_until([&] { return ended.has_value() && answer.has_value(); });
  EXPECT_TRUE(ended && *ended);
  EXPECT_EQ(answer.value().value().status, 200);
}

TEST_F(IngressTest, WithACertificateItTellsWhenThatExpiresAndAStopEndsItAtOnce) {
  const auto now = clock->wall_now();
  const auto ca = http::CertificateAuthority::make("a test's", now).value();
  const auto certificate = ca.issue({"127.0.0.1"}, now - 1h, now + 1h).value();
  const auto certificate_file = secret_file + ".pem", key_file = secret_file + ".key";
  std::ofstream(certificate_file) << certificate.certificate_pem;
  std::ofstream(key_file) << certificate.key_pem;
  config.webhook.tls = config::WebhookTls{certificate_file, key_file};
  start();
  EXPECT_THAT(url, HasSubstr("https://"));
  EXPECT_THAT(get(telemetry_url, "/metrics"), HasSubstr("\nstsync_webhook_certificate_expiration_timestamp_seconds 1"));
  stop.request_stop();
  const auto begin = clock->now();
  run_until([&] { return ended.has_value(); });
  EXPECT_TRUE(ended && *ended);
  EXPECT_LT(clock->now() - begin, 8s) << "it does not wait for the next look at the files";
  for (const auto& file : {certificate_file, key_file}) std::remove(file.c_str());
}

TEST_F(IngressTest, AStopThatIsShortWaitsForThoseWhoStillUseIt) {
  config.worker.drain_timeout = 10ms;
  start();
  Answer answer;
  post_and_hold(answer);
  stop.request_stop();
  run_until([&] { return answer.has_value(); });
  EXPECT_FALSE(answer.value()) << "its connection is closed";
  EXPECT_FALSE(ended) << "its event is on its way";
  producer.release();
  run_until([&] { return ended.has_value(); });
  EXPECT_TRUE(ended && *ended);
}

}  // namespace
}  // namespace stsync::webhook
