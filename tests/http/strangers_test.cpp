// The server's limits against strangers.
#include <gmock/gmock.h>

#include <map>

#include <fmt/format.h>

#include "fixture.hpp"

namespace stsync::http {
namespace {

using asio::ip::tcp;
using ::testing::HasSubstr;
using ::testing::StartsWith;

asio::awaitable<ServerResponse> echo(ServerRequest request) {
  ServerResponse out;
  out.body = request.body;
  co_return out;
}

/// One connection of the test's, read and written step by step.
class Stranger {
 public:
  Stranger(asio::io_context& loop, std::uint16_t port, const char* from = "127.0.0.1") : loop_(loop), socket_(loop) {
    socket_.open(tcp::v4());
    socket_.bind({asio::ip::make_address(from), 0});
    socket_.connect({asio::ip::address_v4::loopback(), port});
    loop_.restart();
    loop_.poll();
  }
  void send(const std::string& bytes) {
    boost::system::error_code ec;
    asio::write(socket_, asio::buffer(bytes), ec);
  }
  /// What the server says until it closes, or until it has said `until`.
  std::string hear(const std::string& until = {}) {
    std::string out;
    bool done = false;
    asio::co_spawn(loop_, read(out, until, done), [](const std::exception_ptr&) {});
    loop_.restart();
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!done && std::chrono::steady_clock::now() < end) loop_.run_one_for(100ms);
    EXPECT_TRUE(done) << "neither closed nor said: " << out;
    return out;
  }
  bool was_reset() const { return reset_; }

 private:
  asio::awaitable<void> read(std::string& out, std::string until, bool& done) {
    char buffer[4096];
    while (until.empty() || out.find(until) == std::string::npos) {
      auto [ec, n] = co_await socket_.async_read_some(asio::buffer(buffer), asio::as_tuple(asio::use_awaitable));
      out.append(buffer, n);
      reset_ = ec == asio::error::connection_reset;
      if (ec) break;
    }
    done = true;
  }
  asio::io_context& loop_;
  tcp::socket socket_;
  bool reset_ = false;
};

struct Strangers : HttpTest {
  std::map<Refusal, int> refusals;
  int admitted = 0;

  ServerOptions strict() {
    ServerOptions out;
    out.max_body = 1000;
    out.max_header = 4000;
    out.max_uri = 100;
    out.max_headers = 10;
    out.header_timeout = out.handshake_timeout = 10s;
    out.body_timeout = 10s;
    out.min_body_rate = 500;
    out.make_room = true;
    out.on_refusal = [this](Refusal r) { ++refusals[r]; };
    return out;
  }
  std::unique_ptr<Server> serve(ServerOptions options) {
    return server(
        [this](ServerRequest r) {
          ++admitted;
          return echo(std::move(r));
        },
        std::move(options));
  }
  std::string say(const Server& s, const std::string& bytes) {
    Stranger stranger(loop, s.port());
    stranger.send(bytes);
    return stranger.hear();
  }
};

const std::string kGood = "POST /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";

TEST_F(Strangers, F6_WhatIsAboveALimitHasAnAnswerAndIsCounted) {
  const auto s = serve(strict());
  EXPECT_THAT(say(*s, "POST /" + std::string(100, 'u') + " HTTP/1.1\r\nHost: h\r\n\r\n"), StartsWith("HTTP/1.1 414 "));
  std::string many;
  for (int i = 0; i < 10; ++i) many += "X-" + std::to_string(i) + ": y\r\n";
  EXPECT_THAT(say(*s, "POST /x HTTP/1.1\r\nHost: h\r\n" + many + "\r\n"), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(say(*s, "POST /x HTTP/1.1\r\nX: " + std::string(100'000, 'h')), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(say(*s, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n" + std::string(1001, 'b')),
              StartsWith("HTTP/1.1 413 "))
      << "although all of it was sent";
  EXPECT_EQ(refusals[Refusal::uri_too_long], 1);
  EXPECT_EQ(refusals[Refusal::header_too_large], 2);
  EXPECT_EQ(refusals[Refusal::body_too_large], 1);
  EXPECT_EQ(admitted, 0);
  EXPECT_THAT(say(*s, kGood), StartsWith("HTTP/1.1 200 "));
}

TEST_F(Strangers, F6_ChunkBombsAreCut) {
  const auto s = serve(strict());
  const std::string head = "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_THAT(say(*s, head + "ffffffff\r\nx"), StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(say(*s, head + "fffffffffffffffff\r\nx"), StartsWith("HTTP/1.1 4"));
  std::string ones;
  for (int i = 0; i < 1001; ++i) ones += "1\r\nx\r\n";
  EXPECT_THAT(say(*s, head + ones), StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(say(*s, head + "1;" + std::string(100'000, 'e')), StartsWith("HTTP/1.1 4"));
  EXPECT_THAT(say(*s, head + "0\r\nX: " + std::string(100'000, 't')), StartsWith("HTTP/1.1 4"));
  EXPECT_EQ(admitted, 0);
}

TEST_F(Strangers, F6_ARequestThatCouldBeReadInTwoWaysIsNotRead) {
  const auto s = serve(strict());
  for (const auto* framing : {"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 2\r\nContent-Length: 3\r\n",
                              "Content-Length: -1\r\n", "Content-Length: 2x\r\n", "Content-Length : 2\r\n"})
    EXPECT_THAT(
        say(*s, std::string("POST /x HTTP/1.1\r\nHost: h\r\n") + framing + "\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nHost: h\r\n\r\n"),
        StartsWith("HTTP/1.1 4"))
        << framing;
  EXPECT_EQ(admitted, 0);
}

TEST_F(Strangers, F6_OtherProtocolsAreRefused) {
  const auto s = serve(strict());
  EXPECT_THAT(say(*s, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string(9, '\0')), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(say(*s, std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + std::string(500, '\0')),
              StartsWith("HTTP/1.1 400 "))
      << "TLS where there is none";
  EXPECT_EQ(refusals[Refusal::bad_request], 2);
}

TEST_F(Strangers, F6_GarbageInsteadOfTlsIsClosedAndCounted) {
  const auto ca = CertificateAuthority::make("test ca", now).value();
  const auto certificate = ca.issue({"127.0.0.1"}, now - 1h, now + 1h).value();
  auto options = strict();
  options.tls = ServerTls{certificate.certificate_pem, certificate.key_pem};
  const auto s = serve(options);
  say(*s, kGood);
  say(*s, std::string(10'000, '\xff'));
  EXPECT_EQ(refusals[Refusal::handshake], 2);
  options.handshake_timeout = 50ms;
  const auto quick = serve(options);
  EXPECT_EQ(say(*quick, std::string("\x16\x03\x01", 3)), "");
  EXPECT_EQ(refusals[Refusal::slow], 1);
}

TEST_F(Strangers, F6_PipelinedRequestsAreAnsweredOneAfterTheOther) {
  const auto s = serve(strict());
  std::string all;
  for (int i = 0; i < 200; ++i) all += "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n" + fmt::format("{:03}", i);
  const auto heard = say(*s, all + kGood);
  std::size_t at = 0;
  for (int i = 0; i < 200; ++i) {
    at = heard.find(fmt::format("\r\n\r\n{:03}", i), at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_EQ(admitted, 201);
}

TEST_F(Strangers, F6_WhoSendsTooSlowlyIsClosed) {
  auto options = strict();
  options.header_timeout = 50ms;
  const auto s = serve(options);
  EXPECT_EQ(say(*s, ""), "") << "says nothing";
  EXPECT_EQ(say(*s, "POST /x HT"), "");
  EXPECT_EQ(refusals[Refusal::slow], 2);
  options = strict();
  options.body_timeout = 50ms;
  const auto body = serve(options);
  EXPECT_EQ(say(*body, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nx"), "");
  EXPECT_EQ(refusals[Refusal::slow], 3);
  EXPECT_THAT(say(*s, kGood), StartsWith("HTTP/1.1 200 "));
}

TEST_F(Strangers, F6_APeerHasItsConnectionsAndOthersHaveTheirs) {
  auto options = strict();
  options.max_connections_per_peer = 3;
  options.exempt = [](const std::string& address) { return address == "127.0.0.9"; };
  const auto s = serve(options);
  std::list<Stranger> held;
  for (int i = 0; i < 3; ++i) held.emplace_back(loop, s->port(), "127.0.0.2");
  EXPECT_EQ(Stranger(loop, s->port(), "127.0.0.2").hear(), "") << "one too many";
  EXPECT_EQ(refusals[Refusal::of_peer], 1);
  EXPECT_THAT(say(*s, kGood), StartsWith("HTTP/1.1 200 ")) << "from another address";
  for (int i = 0; i < 5; ++i) held.emplace_back(loop, s->port(), "127.0.0.9");
  EXPECT_EQ(s->connections(), 8u) << "a proxy may have as many as it likes";
  held.pop_front();
  Stranger again(loop, s->port(), "127.0.0.2");
  again.send(kGood);
  EXPECT_THAT(again.hear(), StartsWith("HTTP/1.1 200 ")) << "what is closed is free again";
}

TEST_F(Strangers, F6_WithAllConnectionsTakenTheSlowestGoes) {
  auto options = strict();
  options.max_connections = 3;
  const auto s = serve(options);
  Stranger served(loop, s->port());
  served.send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok");
  EXPECT_THAT(served.hear("ok"), StartsWith("HTTP/1.1 200 "));
  Stranger first(loop, s->port()), second(loop, s->port());
  first.send("POST /x HTTP/1.1\r\nHo");
  EXPECT_THAT(say(*s, kGood), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(first.hear(), "") << "the oldest that never sent a request";
  EXPECT_EQ(refusals[Refusal::pushed_out], 1);
  served.send(kGood);
  EXPECT_THAT(served.hear(), StartsWith("HTTP/1.1 200 ")) << "who behaves stays";
}

TEST_F(Strangers, F6_BodiesTogetherHaveALimit) {
  auto options = strict();
  options.max_bodies = 1500;
  const auto s = serve(options);
  const std::string head = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n";
  Stranger one(loop, s->port());
  one.send(head + std::string(900, 'b'));
  EXPECT_THAT(say(*s, head + std::string(900, 'b')), StartsWith("HTTP/1.1 503 "));
  EXPECT_EQ(refusals[Refusal::no_memory], 1);
  one.send(std::string(100, 'b'));
  EXPECT_THAT(one.hear("bbb"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(say(*s, kGood), StartsWith("HTTP/1.1 200 ")) << "what was taken is given back";
}

TEST_F(Strangers, F6_WhatIsNotAdmittedIsNotReadAndCanReadItsAnswer) {
  auto options = strict();
  options.max_body = 10u << 20;
  options.admit = [](const ServerRequest& head) -> std::optional<ServerResponse> {
    if (head.path == "/x") return std::nullopt;
    ServerResponse out;
    out.status = 404;
    return out;
  };
  const auto s = serve(options);
  EXPECT_THAT(say(*s, "POST /no HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n"),
              StartsWith("HTTP/1.1 404 "))
      << "and is not told to go on";
  Stranger large(loop, s->port());
  large.send("POST /no HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + std::string(500'000, 'b'));
  EXPECT_THAT(large.hear(), StartsWith("HTTP/1.1 404 "));
  EXPECT_FALSE(large.was_reset()) << "a reset takes the answer away from some";
  Stranger small(loop, s->port());
  small.send("POST /no HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok");
  EXPECT_THAT(small.hear("\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
  small.send(kGood);
  EXPECT_THAT(small.hear(), StartsWith("HTTP/1.1 200 ")) << "the connection is as good as before";
  EXPECT_EQ(admitted, 1);
}

}  // namespace
}  // namespace stsync::http
