#pragma once
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include <unistd.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "http/certificate.hpp"
#include "http/client.hpp"
#include "http/server.hpp"
#include "support/run.hpp"

namespace stsync::http {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using core::ErrorKind;
using core::Result;
using test::mark;
using test::run;

/// What a scripted peer does on one connection.
struct Script {
  std::vector<std::string> answers = {};  ///< the n-th request gets the n-th answer
  bool hold = false;                      ///< then keep the connection open instead of closing it
  std::function<void()> on_request = {};  ///< called when a request has been read
  std::string drip = {};                  ///< sent after the answers, byte for byte, again and again until nobody takes it
  bool reset = false;                     ///< end with a reset instead of a FIN
};

/// A server that follows scripts, one per connection, byte for byte: for answers that no real server sends.
class ScriptedServer {
 public:
  /// A test that needs one port at several addresses says where.
  ScriptedServer(asio::io_context& loop, std::vector<Script> scripts,
                 const asio::ip::tcp::endpoint& at = {asio::ip::address_v4::loopback(), 0})
      : state_(std::make_shared<State>(loop, std::move(scripts), at)) {
    asio::co_spawn(loop, serve(state_), [](const std::exception_ptr&) {});
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;
  ~ScriptedServer() { state_->acceptor.close(); }
  Origin origin() const { return {false, "127.0.0.1", state_->acceptor.local_endpoint().port()}; }
  std::size_t accepted() const { return state_->accepted; }

 private:
  struct State {  // the coroutine may end after its server
    State(asio::io_context& loop, std::vector<Script> s, const asio::ip::tcp::endpoint& at)
        : acceptor(loop, at), scripts(std::move(s)) {}
    asio::ip::tcp::acceptor acceptor;
    std::vector<Script> scripts;
    std::list<asio::ip::tcp::socket> held;
    std::size_t accepted = 0;
  };
  static asio::awaitable<void> serve(std::shared_ptr<State> state) {
    while (state->accepted < state->scripts.size()) {
      auto [ec, socket] = co_await state->acceptor.async_accept(asio::as_tuple(asio::use_awaitable));
      if (ec) co_return;
      const auto& script = state->scripts[state->accepted++];
      for (const auto& answer : script.answers) {
        if (!co_await read_head(socket)) break;
        if (script.on_request) script.on_request();
        co_await asio::async_write(socket, asio::buffer(answer), asio::as_tuple(asio::use_awaitable));
      }
      if (!script.drip.empty()) co_await drip(socket, script.drip);
      if (script.reset) socket.set_option(asio::socket_base::linger(true, 0));
      if (script.hold) state->held.push_back(std::move(socket));
    }
  }
  static asio::awaitable<void> drip(asio::ip::tcp::socket& socket, const std::string& text) {
    constexpr int kEnough = 300'000;  // a client that lets itself be held comes to an end all the same, but not by its own doing
    for (int i = 0; i < kEnough; ++i) {
      const auto byte = asio::buffer(&text[static_cast<std::size_t>(i) % text.size()], 1);
      const auto [ec, n] = co_await asio::async_write(socket, byte, asio::as_tuple(asio::use_awaitable));
      if (ec) co_return;
    }
  }
  static asio::awaitable<bool> read_head(asio::ip::tcp::socket& socket) {
    std::string text;
    char c = 0;
    while (!text.ends_with("\r\n\r\n")) {
      auto [ec, n] = co_await socket.async_read_some(asio::buffer(&c, 1), asio::as_tuple(asio::use_awaitable));
      if (ec) co_return false;
      text += c;
    }
    co_return true;
  }

  std::shared_ptr<State> state_;
};

/// A file that goes away with the test.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content) {
    std::string pattern = ::testing::TempDir() + "stsync_http_XXXXXX";
    const int fd = ::mkstemp(pattern.data());
    if (fd >= 0) ::close(fd);
    path_ = pattern;
    std::ofstream(path_) << content;
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { std::remove(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct HttpTest : ::testing::Test {
  asio::io_context loop;
  std::unique_ptr<core::Clock> clock = core::make_system_clock(loop.get_executor());
  core::WallTime now = clock->wall_now();

  std::unique_ptr<Client> client(ClientOptions options = {}) {
    return make_client(loop.get_executor(), *clock, std::move(options)).value();
  }
  std::unique_ptr<Server> server(Handler handler, ServerOptions options = {}) {
    return start_server(loop.get_executor(), *clock, std::move(options), std::move(handler)).value();
  }
};

inline Request request_to(std::string target) {
  Request request;
  request.target = std::move(target);
  return request;
}

/// connect() and one exchange.
inline asio::awaitable<Result<Response>> fetch(Client& client, Origin origin, Request request, ExchangeLimits limits = {},
                                               core::StopToken stop = {}) {
  auto connection = co_await client.connect(std::move(origin), false, stop);
  if (!connection) co_return core::fail(connection.error());
  co_return co_await (*connection)->exchange(std::move(request), limits, stop);
}

inline asio::awaitable<void> fetch_into(Client& client, Origin origin, Request request, Result<Response>& out,
                                        ExchangeLimits limits = {}, core::StopToken stop = {}) {
  out = co_await fetch(client, std::move(origin), std::move(request), limits, std::move(stop));
}

/// The result of one exchange, run to its end.
inline Result<Response> get(asio::io_context& loop, Client& client, Origin origin, Request request = request_to("/"),
                            ExchangeLimits limits = {}, core::StopToken stop = {}) {
  Result<Response> out = core::fail(ErrorKind::internal, "not run");
  run(loop, fetch_into(client, std::move(origin), std::move(request), out, limits, std::move(stop)));
  return out;
}

inline Origin origin_of(const Server& server) { return parse_url(server.url()).value().origin; }

}  // namespace stsync::http
