// The proxy between a socket and a broker that answers each request with its own bytes.
#include "stage/kafka_proxy.hpp"

#include <optional>
#include <thread>

#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "stage/process.hpp"
#include "wire.hpp"

namespace stsync::test {
namespace {

using boost::asio::ip::tcp;
using namespace std::chrono_literals;

/// One end of a connection, blocking, frame by frame.
class Peer {
 public:
  Peer(boost::asio::io_context& loop, tcp::socket socket) : loop_(loop), socket_(std::move(socket)) {}
  void send(const std::string& bytes) {
    boost::system::error_code ignored;
    boost::asio::write(socket_, boost::asio::buffer(bytes), ignored);
  }
  /// With its length; nothing: the connection has ended.
  std::optional<std::string> receive() {
    std::string head(4, 0);
    if (!read(head)) return std::nullopt;
    std::size_t size = 0;
    for (const char c : head) size = size << 8 | static_cast<unsigned char>(c);
    std::string body(size, 0);
    if (!read(body)) return std::nullopt;
    return head + body;
  }
  void close() { socket_.close(); }

 private:
  bool read(std::string& into) {
    std::optional<boost::system::error_code> result;
    boost::asio::async_read(socket_, boost::asio::buffer(into),
                            [&](boost::system::error_code error, std::size_t) { result = error; });
    loop_.restart();
    loop_.run_for(30s);
    if (result) return !*result;
    ADD_FAILURE() << "neither a frame nor an end within 30 s";
    socket_.close();
    loop_.run();
    return false;
  }

  boost::asio::io_context& loop_;
  tcp::socket socket_;
};

struct Proxied : ::testing::Test {
  Proxied() : listener(loop, {boost::asio::ip::address_v4::loopback(), 0}) {
    proxy.forward_to("127.0.0.1:" + std::to_string(listener.local_endpoint().port()));
  }
  Peer connect() { return connect(proxy); }
  Peer connect(const KafkaProxy& to) {
    tcp::socket socket(loop);
    const auto port = std::stoi(to.address().substr(to.address().find(':') + 1));
    socket.connect({boost::asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(port)});
    return {loop, std::move(socket)};
  }
  Peer accept() { return {loop, listener.accept()}; }
  static std::string request(std::int32_t correlation, KafkaApi api = KafkaApi::produce, const std::string& rest = {}) {
    return framed(header(api, 1, correlation, "client") + rest);
  }
  static std::string answer(std::int32_t correlation, const std::string& rest = {}) {
    return framed(integer(correlation, 4) + rest);
  }

  boost::asio::io_context loop;
  tcp::acceptor listener;
  KafkaProxy proxy;
};

TEST_F(Proxied, FramesOfManyMegabytesPassByteForByte) {
  std::string large(24u << 20, 0);
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 2654435761u >> 13);
  auto client = connect();
  auto broker = accept();
  std::optional<std::string> asked, answered;
  std::thread reader([&] { asked = broker.receive(); });
  client.send(request(1, KafkaApi::produce, large));
  reader.join();
  EXPECT_TRUE(asked == request(1, KafkaApi::produce, large)) << asked.value_or("").size();
  reader = std::thread([&] { answered = client.receive(); });
  broker.send(answer(1, large));
  reader.join();
  EXPECT_TRUE(answered == answer(1, large));
}

TEST_F(Proxied, FramesTooLargeEndTheConnectionOnBothSides) {
  auto client = connect();
  auto broker = accept();
  client.send(integer(kMaxKafkaFrame + 1, 4) + "more");
  EXPECT_FALSE(client.receive());
  EXPECT_FALSE(broker.receive());
}

TEST_F(Proxied, AnswersThatNobodyAskedForEndTheConnection) {
  auto client = connect();
  auto broker = accept();
  client.send(request(1));
  ASSERT_TRUE(broker.receive());
  broker.send(answer(2));
  EXPECT_FALSE(client.receive());
}

TEST_F(Proxied, ALostAnswerEndsTheConnectionAfterTheRequestWasExecuted) {
  const auto rule = proxy.add({.api = KafkaApi::end_txn});
  auto client = connect();
  auto broker = accept();
  client.send(request(1) + request(2, KafkaApi::end_txn));
  EXPECT_EQ(broker.receive(), request(1));
  broker.send(answer(1));
  EXPECT_EQ(client.receive(), answer(1));
  EXPECT_EQ(broker.receive(), request(2, KafkaApi::end_txn));
  EXPECT_TRUE(proxy.wait_for(rule, 30s));
  EXPECT_EQ(proxy.count(rule).executed, 0u);
  broker.send(answer(2));
  EXPECT_FALSE(client.receive());
  EXPECT_TRUE(proxy.wait_executed(rule, 30s));
  EXPECT_EQ(proxy.requests(KafkaApi::end_txn), 1u);
}

TEST_F(Proxied, ASwallowedAnswerLeavesTheConnectionAsItWas) {
  proxy.add({.fault = KafkaFault::swallow_answer});
  auto client = connect();
  auto broker = accept();
  client.send(request(1) + request(2));
  ASSERT_TRUE(broker.receive() && broker.receive());
  broker.send(answer(1, "never seen") + answer(2));
  EXPECT_EQ(client.receive(), answer(2));
  EXPECT_EQ(proxy.connections(), 1u);
}

TEST_F(Proxied, ARequestCutBeforeNeverArrives) {
  const auto rule = proxy.add({.api = KafkaApi::end_txn, .fault = KafkaFault::cut_before});
  auto client = connect();
  auto broker = accept();
  client.send(request(1, KafkaApi::end_txn));
  EXPECT_FALSE(client.receive());
  EXPECT_FALSE(broker.receive());
  EXPECT_EQ(proxy.count(rule).fired, 1u);
  EXPECT_EQ(proxy.count(rule).executed, 0u);
}

TEST_F(Proxied, ADuplicateArrivesTwiceAndIsAnsweredOnce) {
  const auto rule = proxy.add({.fault = KafkaFault::duplicate});
  auto client = connect();
  auto broker = accept();
  client.send(request(1) + request(2));
  EXPECT_EQ(broker.receive(), request(1));
  EXPECT_EQ(broker.receive(), request(1));
  EXPECT_EQ(broker.receive(), request(2));
  broker.send(answer(1, "first") + answer(1, "second") + answer(2));
  EXPECT_EQ(client.receive(), answer(1, "first"));
  EXPECT_EQ(client.receive(), answer(2));
  EXPECT_EQ(proxy.count(rule).executed, 2u);
}

TEST_F(Proxied, DelaysKeepTheOrder) {
  const auto request_rule = proxy.add({.fault = KafkaFault::delay_request, .delay = kUntilReleased});
  const auto answer_rule = proxy.add({.fault = KafkaFault::delay_answer, .delay = 1ms});
  auto client = connect();
  auto broker = accept();
  client.send(request(1) + request(2) + request(3));
  EXPECT_TRUE(proxy.wait_for(request_rule, 30s));
  EXPECT_EQ(proxy.requests(KafkaApi::produce), 1u) << "what is behind it waits too";
  proxy.release(request_rule);
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(broker.receive(), request(i));
  broker.send(answer(1) + answer(2) + answer(3));
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(client.receive(), answer(i));
  EXPECT_EQ(proxy.count(answer_rule).executed, 1u);
}

TEST_F(Proxied, ADelayedRequestOutlivesTheConnectionOfItsClient) {
  const auto rule = proxy.add({.fault = KafkaFault::delay_request, .delay = kUntilReleased, .cut_client = true});
  auto client = connect();
  auto broker = accept();
  client.send(request(1) + request(2));
  EXPECT_FALSE(client.receive()) << "cut at once";
  proxy.remove(rule);
  EXPECT_EQ(broker.receive(), request(1));
  broker.send(answer(1));
  EXPECT_TRUE(proxy.wait_executed(rule, 30s));
  EXPECT_FALSE(broker.receive()) << "what came behind it was lost with the connection";
}

TEST_F(Proxied, ARequestThatIsHeldReachesTheBrokerThoughItsClientGaveUp) {
  const auto rule = proxy.add({.fault = KafkaFault::delay_request, .delay = kUntilReleased});
  auto client = connect();
  auto broker = accept();
  client.send(request(1));
  ASSERT_TRUE(proxy.wait_for(rule, 30s));
  client.close();
  proxy.release(rule);
  EXPECT_EQ(broker.receive(), request(1));
  broker.send(answer(1));
  EXPECT_TRUE(proxy.wait_executed(rule, 30s));
  EXPECT_FALSE(broker.receive());
}

TEST_F(Proxied, CutsAllAndWhatIsHeldNeverArrives) {
  const auto rule = proxy.add({.fault = KafkaFault::delay_request, .delay = kUntilReleased});
  auto client = connect();
  auto broker = accept();
  client.send(request(1));
  ASSERT_TRUE(proxy.wait_for(rule, 30s));
  proxy.cut_all();
  EXPECT_EQ(proxy.connections(), 0u);
  EXPECT_FALSE(client.receive());
  EXPECT_FALSE(broker.receive());
}

TEST_F(Proxied, RefusesNewConnectionsOnly) {
  auto before = connect();
  auto broker = accept();
  proxy.refuse(true);
  auto refused = connect();
  EXPECT_FALSE(refused.receive());
  before.send(request(1));
  EXPECT_EQ(broker.receive(), request(1));
  proxy.refuse(false);
  auto after = connect();
  auto again = accept();
  after.send(request(2));
  EXPECT_EQ(again.receive(), request(2));
}

TEST_F(Proxied, ABrokerMayGoAndComeBack) {
  auto client = connect();
  accept().close();
  EXPECT_FALSE(client.receive());
  const auto where = listener.local_endpoint();
  listener.close();
  auto meanwhile = connect();
  EXPECT_FALSE(meanwhile.receive());
  listener = tcp::acceptor(loop, where);
  auto after = connect();
  auto broker = accept();
  after.send(request(1));
  EXPECT_EQ(broker.receive(), request(1));
}

TEST_F(Proxied, RequestsThatAreNeverAnsweredAreForgottenWithTheNextAnswer) {
  proxy.add({.fault = KafkaFault::delay_answer});
  auto client = connect();
  auto broker = accept();
  client.send(request(1) + request(2));
  ASSERT_TRUE(broker.receive() && broker.receive());
  broker.send(answer(2));
  EXPECT_EQ(client.receive(), answer(2));
  client.close();
  EXPECT_FALSE(broker.receive()) << "nothing is waited for";
}

TEST_F(Proxied, ConnectionsEndThoughAProgramWasStartedMeanwhile) {
  auto client = connect();
  auto broker = accept();
  client.send(request(1));
  ASSERT_TRUE(broker.receive());
  const Process child({"sleep", "300"});
  proxy.cut_all();
  EXPECT_FALSE(client.receive());
  EXPECT_FALSE(broker.receive());
}

TEST_F(Proxied, EndsWhileARequestIsHeld) {
  std::optional<Peer> client, broker;
  {
    KafkaProxy other;
    other.forward_to("127.0.0.1:" + std::to_string(listener.local_endpoint().port()));
    const auto rule = other.add({.fault = KafkaFault::delay_request, .delay = kUntilReleased});
    client.emplace(connect(other));
    broker.emplace(accept());
    client->send(request(1));
    ASSERT_TRUE(other.wait_for(rule, 30s));
  }
  EXPECT_FALSE(client->receive());
  EXPECT_FALSE(broker->receive());
}

TEST(KafkaProxy, NeedsAnAddress) {
  KafkaProxy proxy;
  for (const auto* wrong : {"", "127.0.0.1", "127.0.0.1:", ":1", "127.0.0.1:70000"})
    EXPECT_ANY_THROW(proxy.forward_to(wrong)) << wrong;
}

}  // namespace
}  // namespace stsync::test
