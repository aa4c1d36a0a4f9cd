#include <vector>

#include "fixture.hpp"
#include "support/virtual_clock.hpp"

namespace stsync::http {
namespace {

constexpr auto kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

struct Seen {
  bool reused = false, stale = false;
  Result<Response> response = core::fail(ErrorKind::internal, "not run");
};

asio::awaitable<void> look(Client& client, Origin origin, bool fresh, Seen& seen) {
  auto connection = co_await client.connect(std::move(origin), fresh, {});
  if (!connection) {
    seen.response = core::fail(connection.error());
    co_return;
  }
  seen.reused = (*connection)->reused();
  seen.response = co_await (*connection)->exchange(request_to("/"), {}, {});
  seen.stale = (*connection)->stale();
}

struct PoolTest : HttpTest {
  Seen look_at(Client& c, const Origin& origin, bool fresh = false) {
    Seen seen;
    run(loop, look(c, origin, fresh, seen));
    return seen;
  }
};

TEST_F(PoolTest, KeepsAConnectionForTheNextExchange) {
  ScriptedServer peer(loop, {{.answers = {kOk, kOk}, .hold = true}, {.answers = {kOk}}});
  const auto c = client();
  EXPECT_FALSE(look_at(*c, peer.origin()).reused);
  const auto second = look_at(*c, peer.origin());
  EXPECT_TRUE(second.reused);
  EXPECT_TRUE(second.response);
  EXPECT_EQ(peer.accepted(), 1u);
  EXPECT_FALSE(look_at(*c, peer.origin(), true).reused);
  EXPECT_EQ(peer.accepted(), 2u);
}

TEST_F(PoolTest, AConnectionTheServerClosedIsStale) {
  ScriptedServer peer(loop, {{.answers = {kOk}}, {.answers = {""}}});
  const auto c = client();
  EXPECT_TRUE(look_at(*c, peer.origin()).response);
  const auto second = look_at(*c, peer.origin());
  ASSERT_FALSE(second.response);
  EXPECT_EQ(second.response.error().kind(), ErrorKind::network);
  EXPECT_TRUE(second.stale);
  const auto fresh = look_at(*c, peer.origin(), true);
  EXPECT_FALSE(fresh.response);
  EXPECT_FALSE(fresh.stale) << "it was never used before";
}

TEST_F(PoolTest, HostsThatOthersNameAreReachedAtPublicAddressesOnly) {
  ScriptedServer peer(loop, {{.answers = {kOk}}});
  const auto c = client({.ca_file = {}, .public_only = true});
  for (const char* host : {"127.0.0.1", "localhost", "2130706433", "::1", "::ffff:127.0.0.1"}) {
    auto origin = peer.origin();
    origin.host = host;
    const auto seen = look_at(*c, origin);
    ASSERT_FALSE(seen.response) << host;
    EXPECT_EQ(seen.response.error().kind(), ErrorKind::protocol) << host;
  }
  EXPECT_EQ(peer.accepted(), 0u);
}

TEST_F(PoolTest, AnAnswerThatBeganIsNotStale) {
  ScriptedServer peer(loop, {{.answers = {kOk, "HTTP/1.1 200 OK\r\nContent-"}}});
  const auto c = client();
  EXPECT_TRUE(look_at(*c, peer.origin()).response);
  const auto second = look_at(*c, peer.origin());
  EXPECT_TRUE(second.reused);
  EXPECT_FALSE(second.stale);
}

TEST_F(PoolTest, B6_ConnectionsThatMayBeOutOfStepAreDropped) {
  for (const auto* first :
       {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"}) {
    ScriptedServer peer(loop, {{.answers = {first}, .hold = true}, {.answers = {kOk}}});
    const auto c = client();
    EXPECT_TRUE(look_at(*c, peer.origin()).response) << first;
    EXPECT_FALSE(look_at(*c, peer.origin()).reused) << first;
  }
}

TEST_F(PoolTest, AnIdleConnectionIsDroppedAfterItsAge) {
  test::VirtualClock virtual_clock(loop);
  ScriptedServer peer(loop, {{.answers = {kOk, kOk}, .hold = true}, {.answers = {kOk}}});
  ClientOptions options;
  options.max_idle = 30s;
  const auto c = make_client(loop.get_executor(), virtual_clock, options).value();
  EXPECT_FALSE(look_at(*c, peer.origin()).reused);
  virtual_clock.run_for(30s);
  EXPECT_TRUE(look_at(*c, peer.origin()).reused);
  virtual_clock.run_for(31s);
  EXPECT_FALSE(look_at(*c, peer.origin()).reused);
}

asio::awaitable<void> hold(Client& client, Origin origin, int id, std::vector<int>& order, std::unique_ptr<Connection>& out) {
  auto connection = co_await client.connect(std::move(origin), false, {});
  order.push_back(connection ? id : -id);
  if (connection) out = std::move(*connection);
}

TEST_F(PoolTest, CallersAboveTheLimitWaitInTheirOrder) {
  ScriptedServer peer(loop, {{.hold = true}, {.hold = true}, {.hold = true}});
  ClientOptions options;
  options.max_connections_per_origin = 1;
  const auto c = client(options);
  std::vector<int> order;
  std::unique_ptr<Connection> held[3];
  run(loop, hold(*c, peer.origin(), 1, order, held[0]));
  for (int i : {1, 2}) asio::co_spawn(loop, hold(*c, peer.origin(), i + 1, order, held[i]), [](const std::exception_ptr&) {});
  loop.poll();
  EXPECT_EQ(order, std::vector<int>{1});
  held[0].reset();
  while (order.size() < 2 && loop.run_one_for(10s) > 0) {
  }
  loop.poll();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  held[1].reset();
  while (order.size() < 3 && loop.run_one_for(10s) > 0) {
  }
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST_F(PoolTest, AFreshConnectionPushesAnIdleOneOut) {
  ScriptedServer peer(loop, {{.answers = {kOk, kOk}, .hold = true}, {.answers = {kOk, kOk}, .hold = true}});
  ClientOptions options;
  options.max_connections_per_origin = 1;
  const auto c = client(options);
  EXPECT_TRUE(look_at(*c, peer.origin()).response);
  EXPECT_TRUE(look_at(*c, peer.origin(), true).response);
  EXPECT_EQ(peer.accepted(), 2u);
  EXPECT_TRUE(look_at(*c, peer.origin()).reused);
}

asio::awaitable<void> wait_for_place(Client& client, Origin origin, core::StopToken stop, ErrorKind& out) {
  auto connection = co_await client.connect(std::move(origin), false, std::move(stop));
  out = connection ? ErrorKind::internal : connection.error().kind();
}

TEST_F(PoolTest, AWaitingCallerCanBeStoppedAndCloseWaitsForTheRest) {
  ScriptedServer peer(loop, {{.hold = true}});
  ClientOptions options;
  options.max_connections_per_origin = 1;
  const auto c = client(options);
  std::vector<int> order;
  std::unique_ptr<Connection> held;
  run(loop, hold(*c, peer.origin(), 1, order, held));
  core::StopSource source;
  auto stopped = ErrorKind::internal;
  auto turned_away = ErrorKind::internal;
  asio::co_spawn(loop, wait_for_place(*c, peer.origin(), source.token(), stopped), [](const std::exception_ptr&) {});
  asio::co_spawn(loop, wait_for_place(*c, peer.origin(), {}, turned_away), [](const std::exception_ptr&) {});
  loop.poll();
  source.request_stop();
  loop.poll();
  EXPECT_EQ(stopped, ErrorKind::cancelled);
  bool closed = false;
  asio::co_spawn(loop, mark(c->close(), closed), [](const std::exception_ptr&) {});
  loop.poll();
  EXPECT_EQ(turned_away, ErrorKind::cancelled);
  EXPECT_FALSE(closed);
  held.reset();
  loop.poll();
  EXPECT_TRUE(closed);
}

}  // namespace
}  // namespace stsync::http
