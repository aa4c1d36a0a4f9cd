// Names and addresses that come, go and stay silent (B19 of the list of faults), with a name server of the test's own.
#include <deque>

#include <gmock/gmock.h>

#include "fixture.hpp"
#include "http/pool.hpp"
#include "http/tls.hpp"
#include "support/virtual_clock.hpp"

namespace stsync::http {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

asio::ip::address_v4 address(const char* text) { return asio::ip::make_address_v4(text); }

struct NameFaults : HttpTest {
  struct Asked {
    error_code ec = {};
    Addresses addresses = {};
    bool silent = false;
  };
  test::VirtualClock time{loop};
  std::deque<Asked> answers;  ///< the last one stays
  int asked = 0;
  std::vector<std::function<void(error_code, Addresses)>> unanswered;
  Lookup lookup = [this](const std::string& host, std::function<void(error_code, Addresses)> done) {
    EXPECT_EQ(host, "api.example");
    ++asked;
    const auto answer = answers.front();
    if (answers.size() > 1) answers.pop_front();
    if (answer.silent)
      unanswered.push_back(std::move(done));
    else
      asio::post(loop, [done = std::move(done), answer] { done(answer.ec, answer.addresses); });
  };

  std::shared_ptr<Pool> pool(core::Duration connect_timeout = 10s) {
    ClientOptions options;
    options.connect_timeout = connect_timeout;
    return std::make_shared<Pool>(loop.get_executor(), time, make_client_context("").value(), options, lookup);
  }
  /// Whom a fresh connection is made to: "127.0.0.1", or the error.
  static asio::awaitable<void> dial_into(std::shared_ptr<Pool> pool, Origin origin, Result<std::string>& out) {
    auto lease = co_await pool->lease(std::move(origin), true, {});
    if (!lease) {
      out = core::fail(lease.error());
    } else {
      (*lease)->reusable = false;
      out = (*lease)->transport().socket().remote_endpoint().address().to_string();
    }
  }
  Result<std::string> dial(const std::shared_ptr<Pool>& p, std::uint16_t port) {
    Result<std::string> out = core::fail(ErrorKind::internal, "not run");
    run(loop, dial_into(p, {false, "api.example", port}, out));
    return out;
  }
  static asio::awaitable<void> resolve_into(NameCache& names, std::vector<std::string>& out) {
    const auto found = co_await names.resolve("api.example", 10s, {});
    out.clear();
    for (const auto& one : found.value()) out.push_back(one.to_string());
  }
};

TEST_F(NameFaults, B19_AnUnknownNameIsANetworkErrorAndAskedForAgain) {
  ScriptedServer peer(loop, {{.hold = true}});
  answers = {{.ec = asio::error::host_not_found}, {.addresses = {address("127.0.0.1")}}};
  const auto p = pool();
  const auto unknown = dial(p, peer.origin().port);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind(), ErrorKind::network);
  EXPECT_THAT(unknown.error().message(), HasSubstr("api.example"));
  EXPECT_TRUE(dial(p, peer.origin().port)) << "it is there again, and that it was not is not kept";
}

TEST_F(NameFaults, B19_AnAnswerWithoutAddressesIsANetworkError) {
  answers = {{}};
  const auto p = pool();
  const auto nothing = dial(p, 1);
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().kind(), ErrorKind::network);
  EXPECT_THAT(nothing.error().message(), HasSubstr("not found"));
  EXPECT_THAT(dial(p, 1).error().message(), HasSubstr("not found"));
  EXPECT_EQ(asked, 2) << "it is no answer to keep";
}

TEST_F(NameFaults, B19_ASilentNameServerIsATimeout) {
  answers = {{.silent = true}};
  const auto p = pool(30ms);
  const auto late = dial(p, 1);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind(), ErrorKind::timeout);
  EXPECT_EQ(dial(p, 1).error().kind(), ErrorKind::timeout);
  EXPECT_EQ(asked, 1) << "one look-up at a time";
}

TEST_F(NameFaults, B19_OldAddressesStandInWhileTheNameServerIsAway) {
  ScriptedServer peer(loop, {{.hold = true}, {.hold = true}, {.hold = true}, {.hold = true}});
  const auto port = peer.origin().port;
  answers = {{.addresses = {address("127.0.0.1")}}, {.ec = asio::error::host_not_found_try_again}, {.silent = true}};
  const auto p = pool(200ms);
  EXPECT_TRUE(dial(p, port));
  time.run_for(31s);
  EXPECT_TRUE(dial(p, port)) << "the look-up failed";
  const auto silent = dial(p, port);
  EXPECT_TRUE(silent) << "the look-up hangs, which leaves time to connect: " << silent.error().message();
  EXPECT_TRUE(dial(p, port));
  EXPECT_EQ(asked, 3);
}

TEST_F(NameFaults, B19_AHostThatMovesIsFoundAgainAtOnce) {
  auto old = std::make_unique<ScriptedServer>(loop, std::vector<Script>{{.hold = true}});
  const auto port = old->origin().port;
  answers = {{.addresses = {address("127.0.0.1")}}, {.addresses = {address("127.0.0.2")}}};
  const auto p = pool();
  EXPECT_EQ(dial(p, port).value(), "127.0.0.1");
  EXPECT_EQ(asked, 1);
  old.reset();
  const ScriptedServer moved(loop, {{.hold = true}}, {address("127.0.0.2"), port});
  EXPECT_EQ(dial(p, port).error().kind(), ErrorKind::network);
  EXPECT_EQ(dial(p, port).value(), "127.0.0.2") << "not only when the old answer is too old";
  EXPECT_EQ(asked, 2);
}

TEST_F(NameFaults, B19_ADeadAddressLeadsToTheNext) {
  const ScriptedServer peer(loop, {{.hold = true}});
  answers = {{.addresses = {address("127.0.0.2"), address("127.0.0.1")}}};
  EXPECT_EQ(dial(pool(), peer.origin().port).value(), "127.0.0.1");
}

TEST_F(NameFaults, B19_ASilentAddressLeavesTimeForTheNext) {
  const ScriptedServer peer(loop, {{.hold = true}, {.hold = true}});
  const auto port = peer.origin().port;
  // An address whose backlog is full answers a SYN as a route into nowhere does: not at all.
  asio::ip::tcp::acceptor hole(loop);
  hole.open(asio::ip::tcp::v4());
  hole.bind({address("127.0.0.2"), port});
  hole.listen(0);
  asio::ip::tcp::socket first(loop);
  first.connect(hole.local_endpoint());
  answers = {{.addresses = {address("127.0.0.2"), address("127.0.0.1")}}};
  const auto p = pool(200ms);
  const auto got = dial(p, port);
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(*got, "127.0.0.1");
  answers = {{.addresses = {address("127.0.0.2")}}};
  time.run_for(31s);
  EXPECT_EQ(dial(p, port).error().kind(), ErrorKind::timeout);
}

TEST_F(NameFaults, B19_OneWaitsForASilentNameServerAndTheOthersDoNot) {
  answers = {{.addresses = {address("127.0.0.1")}}, {.silent = true}};
  NameCache names(loop.get_executor(), time, lookup);
  std::vector<std::string> first, second;
  run(loop, resolve_into(names, first));
  time.run_for(31s);
  bool done[2] = {};
  first.clear();
  asio::co_spawn(loop, mark(resolve_into(names, first), done[0]), [](const std::exception_ptr&) {});
  asio::co_spawn(loop, mark(resolve_into(names, second), done[1]), [](const std::exception_ptr&) {});
  loop.restart();
  loop.poll();
  EXPECT_FALSE(done[0]);
  ASSERT_TRUE(done[1]);
  EXPECT_THAT(second, ElementsAre("127.0.0.1"));
  unanswered.at(0)({}, {address("127.0.0.2")});
  loop.poll();
  ASSERT_TRUE(done[0]);
  EXPECT_THAT(first, ElementsAre("127.0.0.2"));
}

TEST_F(NameFaults, B19_TheAddressThatWorksComesFirst) {
  answers = {{.addresses = {address("127.0.0.2"), address("127.0.0.3"), address("127.0.0.1")}},
             {.addresses = {address("127.0.0.2"), address("127.0.0.1")}},
             {.addresses = {address("127.0.0.2")}}};
  NameCache names(loop.get_executor(), time, lookup);
  std::vector<std::string> got;
  const auto resolve = [&] {
    run(loop, resolve_into(names, got));
    return got;
  };
  EXPECT_THAT(resolve(), ElementsAre("127.0.0.2", "127.0.0.3", "127.0.0.1"));
  names.prefer("api.example", address("127.0.0.1"));
  EXPECT_THAT(resolve(), ElementsAre("127.0.0.1", "127.0.0.2", "127.0.0.3"));
  time.run_for(31s);
  EXPECT_THAT(resolve(), ElementsAre("127.0.0.1", "127.0.0.2")) << "of the next answer, too";
  time.run_for(31s);
  EXPECT_THAT(resolve(), ElementsAre("127.0.0.2")) << "but it is not made up";
  EXPECT_EQ(asked, 3);
}

}  // namespace
}  // namespace stsync::http
