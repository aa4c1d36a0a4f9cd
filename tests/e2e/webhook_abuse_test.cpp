// The webhook ingress against everything at once that the internet and a broker can do to it.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <list>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ssl.hpp>

#include "hook.hpp"

namespace stsync::test {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using asio::ip::tcp;
using ::testing::AnyOf;

constexpr auto quietly = asio::as_tuple(asio::use_awaitable);

/// What a stranger says first, and after which it sends a byte a second for as long as it is listened to.
struct Opening {
  bool tls;
  std::string bytes;
};

const std::string kRequest = "POST /webhooks/acme HTTP/1.1\r\nHost: h\r\n";

/// Of those that never get to an end.
std::vector<Opening> slow() {
  return {
      {false, ""},
      {false, std::string("\x16\x03\x01\x40", 4)},
      {true, ""},
      {true, "POST /webh"},
      {true, kRequest + "X-Slow: a"},
      {true, kRequest + "Content-Length: 250000\r\n\r\n" + std::string(2000, 'b')},
      {true, kRequest + "Transfer-Encoding: chunked\r\n\r\n2000\r\nx"},
  };
}

/// Of those that are shown the door, and come back.
std::vector<Opening> bad() {
  std::string pipelined;
  for (int i = 0; i < 100; ++i) pipelined += kRequest + "Content-Length: 0\r\n\r\n";
  return {
      {false, kRequest},
      {false, std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + std::string(500, '\xff')},
      {true, kRequest + "Transfer-Encoding: chunked\r\n\r\nffffff\r\nx"},
      {true, kRequest + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(20'000, 'e')},
      {true, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
      {true, kRequest + "Content-Length: 999999999\r\n\r\n"},
      {true, kRequest + "X: " + std::string(30'000, 'h')},
      {true, "GET /" + std::string(5000, 'u') + " HTTP/1.1\r\nHost: h\r\n\r\n"},
      {true, std::string(3000, '\0')},
      {true, pipelined},
  };
}

/// A thousand connections to a port that are slow and two hundred that are bad, fifty from an address, each of which comes back
/// soon after it was closed. On a thread of its own, until it is destroyed.
class Strangers {
 public:
  explicit Strangers(std::uint16_t port) : port_(port), context_(asio::ssl::context::tls_client) {
    for (std::size_t i = 0; i < 1000; ++i) asio::co_spawn(loop_, be(i, slow()[i % slow().size()], 100ms), asio::detached);
    for (std::size_t i = 1000; i < 1200; ++i) asio::co_spawn(loop_, be(i, bad()[i % bad().size()], 1s), asio::detached);
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~Strangers() {
    loop_.stop();
    thread_.join();
  }
  Strangers(const Strangers&) = delete;
  Strangers& operator=(const Strangers&) = delete;

  /// How often each status was answered.
  std::map<std::string, int> statuses() const {
    const std::lock_guard lock(mutex_);
    return statuses_;
  }

 private:
  asio::awaitable<void> be(std::size_t number, Opening opening, std::chrono::milliseconds pause) {
    const auto from = asio::ip::make_address_v4(0x7f000100u + static_cast<std::uint32_t>(number / 50));
    asio::steady_timer timer(loop_);
    for (;;) {
      asio::ssl::stream<tcp::socket> stream(loop_, context_);
      boost::system::error_code ec;
      stream.next_layer().open(tcp::v4(), ec);
      stream.next_layer().bind({from, 0}, ec);
      co_await stream.next_layer().async_connect({asio::ip::address_v4::loopback(), port_}, quietly);
      if (!opening.tls) {
        co_await talk(stream.next_layer(), opening.bytes);
      } else if (const auto [no_tls] = co_await stream.async_handshake(asio::ssl::stream_base::client, quietly); !no_tls) {
        co_await talk(stream, opening.bytes);
      }
      timer.expires_after(pause);
      co_await timer.async_wait(quietly);
    }
  }

  asio::awaitable<void> talk(auto& stream, const std::string& opening) {
    using asio::experimental::awaitable_operators::operator||;
    co_await (drip(stream, opening) || listen(stream));
  }
  asio::awaitable<void> drip(auto& stream, const std::string& opening) {
    asio::steady_timer timer(loop_);
    co_await asio::async_write(stream, asio::buffer(opening), quietly);
    for (;;) {
      timer.expires_after(1s);
      co_await timer.async_wait(asio::use_awaitable);
      const auto [ec, n] = co_await asio::async_write(stream, asio::buffer("a", 1), quietly);
      if (ec) break;
    }
    co_await listen(stream);
  }
  asio::awaitable<void> listen(auto& stream) {
    static const std::string kVersion = "HTTP/1.1 ";
    std::string heard;
    for (;;) {
      char buffer[4096];
      const auto [ec, n] = co_await stream.async_read_some(asio::buffer(buffer), quietly);
      if (ec) co_return;
      heard.append(buffer, n);
      for (std::size_t at = 0; (at = heard.find(kVersion)) + kVersion.size() + 3 <= heard.size() && at != std::string::npos;) {
        const std::lock_guard lock(mutex_);
        ++statuses_[heard.substr(at + kVersion.size(), 3)];
        heard.erase(0, at + kVersion.size());
      }
    }
  }

  std::uint16_t port_;
  asio::io_context loop_{1};
  asio::ssl::context context_;
  mutable std::mutex mutex_;
  std::map<std::string, int> statuses_;
  std::thread thread_;
};

/// A sender of the vendor's: new events, one after the other, on a thread of its own.
class Sender {
 public:
  Sender(const Hook& hook, std::string name) : hook_(hook), name_(std::move(name)), thread_([this] { send(); }) {}
  ~Sender() { finish(); }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;
  void finish() {
    going_ = false;
    if (thread_.joinable()) thread_.join();
  }

  /// How often it was told to come again.
  int refused() const { return refused_; }
  // After finish().
  const std::map<std::string, int>& statuses() const { return statuses_; }  ///< by event
  std::chrono::steady_clock::duration slowest() const { return slowest_; }

 private:
  void send() {
    for (int i = 0; going_; ++i) {
      const auto event = fmt::format("{}-{}", name_, i);
      const auto begin = std::chrono::steady_clock::now();
      if ((statuses_[event] = hook_.post(event_of_job("1", event))) == 503) ++refused_;
      slowest_ = std::max(slowest_, std::chrono::steady_clock::now() - begin);
    }
  }
  const Hook& hook_;
  std::string name_;
  std::atomic<bool> going_{true};
  std::atomic<int> refused_{0};
  std::map<std::string, int> statuses_;
  std::chrono::steady_clock::duration slowest_{};
  std::thread thread_;
};

void allow_many_files() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, 8192);
  ::setrlimit(RLIMIT_NOFILE, &files);
}

bool wait_for(const std::function<bool()>& done) {
  for (const auto end = std::chrono::steady_clock::now() + 60s; std::chrono::steady_clock::now() < end;)
    if (done()) return true;
  return false;
}

double metric(const Process& process, const std::string& series) {
  const auto all = metrics_of(process);
  const auto at = all.find('\n' + series + ' ');
  return at == std::string::npos ? 0 : std::strtod(all.c_str() + at + 1 + series.size(), nullptr);
}

TEST(WebhookAbuse, F6_AmongAThousandStrangersAndWithoutKafkaEverySenderHasAnHonestAnswer) {
  allow_many_files();
  Stage stage({.records = 1, .kafka_proxy = true});
  Hook hook(stage);
  ASSERT_EQ(hook.post_again_and_again(event_of_job("1", "first")), 200);
  const auto memory = hook.peak_memory();
  const auto now = [&](const std::string& series) { return metric(hook.process(), series); };
  const auto hundred_more_are_stored = [&] {
    const std::string stored = R"(stsync_webhook_events_total{app="acme",outcome="stored"})";
    return wait_for([&, least = now(stored) + 100] { return now(stored) >= least; });
  };

  const Strangers strangers(hook.port());
  ASSERT_TRUE(wait_for([&] { return now("stsync_webhook_connections") > 900; }));
  std::list<Sender> senders;
  for (const auto* name : {"a", "b", "c", "d"}) senders.emplace_back(hook, name);
  EXPECT_TRUE(hundred_more_are_stored()) << "beside the strangers";
  stage.kafka_proxy().refuse(true);
  stage.kafka_proxy().cut_all();
  for (const auto* name : {"e", "f", "g", "h"}) senders.emplace_back(hook, name);  // whose first events nobody knows to refuse yet
  for (auto& sender : senders) EXPECT_TRUE(wait_for([&] { return sender.refused() >= 25; })) << "without Kafka";
  EXPECT_TRUE(wait_for([&] { return now("stsync_webhook_connections") > 900; })) << "while the strangers are still there";
  EXPECT_EQ(fetch(telemetry_url(hook.process()) + "/livez"), "ok\n");
  stage.kafka_proxy().refuse(false);
  EXPECT_TRUE(hundred_more_are_stored()) << "with Kafka again";

  std::set<std::string> sent{"first"}, acknowledged{"first"}, stored;
  for (auto& sender : senders) {
    sender.finish();
    EXPECT_LT(sender.slowest(), 15s) << "8 s, and what a busy machine adds";
    for (const auto& [event, status] : sender.statuses()) {
      EXPECT_THAT(status, AnyOf(200, 503)) << event;
      sent.insert(event);
      if (status == 200) acknowledged.insert(event);
    }
  }
  for (const auto& m : stage.read({"st.webhooks"})) stored.insert(*m.header("st-event"));
  EXPECT_TRUE(std::includes(stored.begin(), stored.end(), acknowledged.begin(), acknowledged.end()));
  EXPECT_TRUE(std::includes(sent.begin(), sent.end(), stored.begin(), stored.end()));
  EXPECT_LT(hook.peak_memory() - memory, 150 * 1024) << "KiB more than before, at most";
  std::set<std::string> answers;
  for (const auto& [status, times] : strangers.statuses()) answers.insert(status);
  EXPECT_THAT(answers, ::testing::IsSubsetOf({"400", "401", "404", "408", "413", "414", "431", "503"}));
  EXPECT_THAT(answers, ::testing::IsSupersetOf({"400", "401", "413", "414", "431", "503"}));
  for (const auto* reason :
       {"handshake", "slow", "pushed_out", "bad_request", "body_too_large", "header_too_large", "uri_too_long"})
    EXPECT_GT(now(fmt::format("stsync_webhook_refusals_total{{reason=\"{}\"}}", reason)), 0) << reason;
  hook.process().signal(SIGTERM);
  EXPECT_EQ(hook.process().wait(60s), 0) << "in order, whoever is still connected";
}

}  // namespace
}  // namespace stsync::test
