#include <gmock/gmock.h>
#include <sys/resource.h>
#include <boost/asio/read.hpp>

#include "fixture.hpp"

namespace stsync::http {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

asio::awaitable<ServerResponse> by_path(ServerRequest request) {
  if (request.path == "/throw") throw std::runtime_error("secret detail");
  ServerResponse out;
  out.body = request.path == "/big" ? std::string(5 << 20, 'b') : request.body;
  if (request.path == "/cut") out = {.status = 200, .content_type = "", .headers = {}, .body = "0123456789", .cut_after = 3};
  co_return out;
}

/// Sends raw bytes and reads until the server closes.
asio::awaitable<void> talk(std::uint16_t port, std::string bytes, std::string& out) {
  asio::ip::tcp::socket socket(co_await asio::this_coro::executor);
  co_await socket.async_connect({asio::ip::address_v4::loopback(), port}, asio::as_tuple(asio::use_awaitable));
  co_await asio::async_write(socket, asio::buffer(bytes), asio::as_tuple(asio::use_awaitable));
  char buffer[4096];
  while (true) {
    auto [ec, n] = co_await socket.async_read_some(asio::buffer(buffer), asio::as_tuple(asio::use_awaitable));
    out.append(buffer, n);
    if (ec) co_return;
  }
}

struct ServerTest : HttpTest {
  std::string send(const Server& s, std::string bytes) {
    std::string out;
    run(loop, talk(s.port(), std::move(bytes), out));
    return out;
  }
};

TEST_F(ServerTest, AnExceptionIsAnswered500WithoutItsText) {
  const auto s = server(by_path);
  const auto c = client();
  const auto response = get(loop, *c, origin_of(*s), request_to("/throw"));
  EXPECT_EQ(response.value().status, 500);
  EXPECT_EQ(response->body.find("secret"), std::string::npos);
  EXPECT_EQ(get(loop, *c, origin_of(*s), request_to("/")).value().status, 200);
}

TEST_F(ServerTest, SendsBigBodiesWhole) {
  const auto s = server(by_path);
  EXPECT_EQ(get(loop, *client(), origin_of(*s), request_to("/big")).value().body, std::string(5 << 20, 'b'));
}

TEST_F(ServerTest, CutsABodyOnRequest) {
  const auto s = server(by_path);
  EXPECT_THAT(send(*s, "GET /cut HTTP/1.1\r\nHost: h\r\n\r\n"), ::testing::EndsWith("\r\n\r\n012"));
}

TEST_F(ServerTest, AnswersRequestsThatArriveTogetherInOrder) {
  const auto s = server(by_path);
  const auto text = send(*s,
                         "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\none"
                         "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 3\r\n\r\ntwo");
  const auto one = text.find("\r\n\r\none");
  ASSERT_NE(one, std::string::npos) << text;
  EXPECT_NE(text.find("\r\n\r\ntwo", one), std::string::npos) << text;
}

TEST_F(ServerTest, InvitesASenderThatAsksFirst) {
  ServerOptions options;
  options.request_timeout = 300ms;
  const auto s = server(by_path, options);
  EXPECT_THAT(send(*s, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 3\r\n\r\n"),
              StartsWith("HTTP/1.1 100 Continue\r\n\r\n"));
}

TEST_F(ServerTest, RefusesWhatIsAboveItsLimits) {
  ServerOptions options;
  options.max_body = 10;
  options.max_header = 500;
  options.request_timeout = 2s;
  const auto s = server(by_path, options);
  EXPECT_THAT(send(*s, "garbage\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(send(*s, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n"), StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(send(*s, "GET / HTTP/1.1\r\nX: " + std::string(600, 'x') + "\r\n\r\n"), StartsWith("HTTP/1.1 431 "));
}

TEST_F(ServerTest, ARequestThatDripsIsClosed) {
  ServerOptions options;
  options.request_timeout = 30ms;
  const auto s = server(by_path, options);
  EXPECT_EQ(send(*s, "GET / HTTP/1.1\r\nHo"), "");
  options.request_timeout = 10s;
  options.idle_timeout = 30ms;
  const auto idle = server(by_path, options);
  EXPECT_EQ(send(*idle, ""), "");
}

TEST_F(ServerTest, ConnectionsAboveTheLimitAreClosed) {
  ServerOptions options;
  options.max_connections = 1;
  const auto s = server(by_path, options);
  const auto c = client();
  EXPECT_TRUE(get(loop, *c, origin_of(*s)));  // stays in the pool
  EXPECT_EQ(send(*s, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"), "");
}

TEST_F(ServerTest, C13_WithoutFilesForMoreConnectionsItWaitsAndDoesNotSpin) {
  const auto s = server(by_path);
  asio::ip::tcp::socket peer(loop);
  peer.connect({asio::ip::address_v4::loopback(), s->port()});  // the system's part of it
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const auto none = rlimit{3, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto steps = loop.run_for(std::chrono::milliseconds(500));
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_LT(steps, 50u) << "it would be thousands";
  asio::write(peer, asio::buffer(std::string_view("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")));
  std::string out(4096, '\0');
  std::size_t size = 0;
  asio::async_read(peer, asio::buffer(out), [&size](const auto&, std::size_t n) { size = n; });
  while (size == 0 && loop.run_one_for(std::chrono::seconds(10)) > 0) continue;
  EXPECT_THAT(out, StartsWith("HTTP/1.1 200")) << "the connection waited for it";
}

struct Gate {
  explicit Gate(core::Clock& clock) : signal(clock.make_signal()) {}
  std::unique_ptr<core::Signal> signal;
  bool entered = false, open = false;
};

asio::awaitable<ServerResponse> wait_at(Gate& gate) {
  gate.entered = true;
  while (!gate.open) co_await gate.signal->wait();
  ServerResponse out;
  out.body = "done";
  co_return out;
}

TEST_F(ServerTest, StopLetsRunningRequestsEnd) {
  Gate gate(*clock);
  const auto s = server([&gate](ServerRequest) { return wait_at(gate); });
  const auto c = client();
  Result<Response> response = core::fail(ErrorKind::internal, "not run");
  bool answered = false;
  bool stopped = false;
  asio::co_spawn(loop, mark(fetch_into(*c, origin_of(*s), request_to("/"), response), answered), [](const std::exception_ptr&) {});
  while (!gate.entered && loop.run_one_for(10s) > 0) {
  }
  asio::co_spawn(loop, mark(s->stop(10s), stopped), [](const std::exception_ptr&) {});
  loop.poll();
  EXPECT_FALSE(stopped);
  gate.open = true;
  gate.signal->notify();
  while ((!answered || !stopped) && loop.run_one_for(10s) > 0) {
  }
  EXPECT_EQ(response.value().body, "done");
  EXPECT_EQ(get(loop, *c, origin_of(*s)).error().kind(), ErrorKind::network);
}

TEST_F(ServerTest, StopGivesUpAfterItsGrace) {
  Gate gate(*clock);
  const auto s = server([&gate](ServerRequest) { return wait_at(gate); });
  const auto c = client();
  Result<Response> response = core::fail(ErrorKind::internal, "not run");
  bool answered = false;
  asio::co_spawn(loop, mark(fetch_into(*c, origin_of(*s), request_to("/"), response), answered), [](const std::exception_ptr&) {});
  while (!gate.entered && loop.run_one_for(10s) > 0) {
  }
  run(loop, s->stop(20ms));
  while (!answered && loop.run_one_for(10s) > 0) {
  }
  EXPECT_EQ(response.error().kind(), ErrorKind::network);
  gate.open = true;
  gate.signal->notify();
  loop.poll();
}

TEST_F(ServerTest, ABadAddressIsABadConfig) {
  for (const auto* listen : {"", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "nohost.example:1", "[::1:80", "203.0.113.1:0"}) {
    ServerOptions options;
    options.listen = listen;
    const auto s = start_server(loop.get_executor(), *clock, options, by_path);
    ASSERT_FALSE(s) << listen;
    EXPECT_EQ(s.error().kind(), ErrorKind::bad_config) << listen;
  }
}

}  // namespace
}  // namespace stsync::http
