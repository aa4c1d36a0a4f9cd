#include "http/server.hpp"

#include <algorithm>
#include <list>

#include <fmt/format.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>

#include "core/text.hpp"
#include "http/tls.hpp"
#include "http/transport.hpp"

namespace stsync::http {
namespace {

namespace beast = boost::beast;
using asio::ip::tcp;
using core::ErrorKind;
using core::fail;
using Parser = beast::http::request_parser<beast::http::string_body>;

constexpr std::size_t kReadSize = 16u << 10;
constexpr std::size_t kWriteStep = 256u << 10;  // the deadline moves on after each
constexpr auto kAcceptPause = std::chrono::milliseconds(100);

SteadyTime steady_in(core::Duration limit) {
  return std::chrono::steady_clock::now() + std::chrono::duration_cast<SteadyTime::duration>(limit);
}

struct Peer {
  std::unique_ptr<Transport> transport;
  bool idle = true;  ///< between two requests
};

struct State {
  State(asio::any_io_executor l, core::Clock& clock) : loop(l), acceptor(l), ended(clock.make_signal()) {}
  asio::any_io_executor loop;
  ServerOptions options;
  Handler handler;
  std::shared_ptr<asio::ssl::context> tls;
  tcp::acceptor acceptor;
  std::list<Peer> peers;
  std::unique_ptr<core::Signal> ended;
  bool stopping = false;

  void shut(bool also_busy) {
    stopping = true;
    error_code ignored;
    acceptor.close(ignored);
    for (auto& peer : peers)
      if (also_busy || peer.idle) peer.transport->cut(Cut::stop);
  }
};

/// A connection's place in the list of peers.
class Seat {
 public:
  Seat(std::shared_ptr<State> state, std::unique_ptr<Transport> transport) : state_(std::move(state)) {
    state_->peers.push_back({std::move(transport)});
    at_ = std::prev(state_->peers.end());
  }
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;
  ~Seat() {
    state_->peers.erase(at_);
    state_->ended->notify();
  }
  Transport& transport() noexcept { return *at_->transport; }
  void set_idle(bool idle) noexcept { at_->idle = idle; }
  const State& state() const noexcept { return *state_; }

 private:
  std::shared_ptr<State> state_;
  std::list<Peer>::iterator at_;
};

std::string_view reason(int status) {
  const auto text = beast::http::obsolete_reason(static_cast<beast::http::status>(status));
  return {text.data(), text.size()};
}

ServerResponse plain_answer(int status) {
  ServerResponse response;
  response.status = status;
  response.content_type = "text/plain";
  response.body = std::string(reason(status)) + "\n";
  return response;
}

/// The end of a coroutine that must not throw.
void must_not_throw(const std::exception_ptr& error) { core::check(!error, "an exception left an HTTP session"); }

bool safe_header(std::string_view text) noexcept {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

std::string response_head(const ServerResponse& response, bool keep_alive) {
  auto head =
      fmt::format("HTTP/1.1 {} {}\r\nContent-Length: {}\r\n", response.status, reason(response.status), response.body.size());
  if (!response.content_type.empty() && safe_header(response.content_type))
    head += "Content-Type: " + response.content_type + "\r\n";
  for (const auto& [name, value] : response.headers)
    if (safe_header(name) && safe_header(value)) head.append(name).append(": ").append(value).append("\r\n");
  return head += keep_alive ? "\r\n" : "Connection: close\r\n\r\n";
}

/// One connection: reads requests, calls the handler, writes answers.
class Session {
 public:
  Session(std::shared_ptr<State> state, std::unique_ptr<Transport> transport, std::string peer)
      : seat_(std::move(state), std::move(transport)), peer_(std::move(peer)) {}

  asio::awaitable<void> run() {
    auto& transport = seat_.transport();
    const auto& options = seat_.state().options;
    if (seat_.state().tls) {
      transport.set_deadline(steady_in(options.request_timeout));
      transport.use_tls(*seat_.state().tls);
      if (co_await transport.handshake(asio::ssl::stream_base::server)) co_return;
    }
    while (!seat_.state().stopping && transport.cut_by() == Cut::none) {
      auto request = co_await read_request();
      if (!request) break;
      const bool head = request->method == "HEAD";
      auto response = co_await answer(std::move(*request));
      if (!co_await write(std::move(response), head)) break;
      seat_.set_idle(true);
    }
  }

 private:
  /// Nothing when the connection is to be closed; a bad request has been answered then.
  asio::awaitable<std::optional<ServerRequest>> read_request() {
    auto& transport = seat_.transport();
    Parser parser;
    parser.header_limit(static_cast<std::uint32_t>(seat_.state().options.max_header));
    parser.body_limit(seat_.state().options.max_body);
    parser.eager(true);
    transport.set_deadline(steady_in(seat_.state().options.idle_timeout));
    bool begun = false;
    bool invited = false;
    error_code ec;
    while (true) {
      if (!begun && buffer_.size() > 0) {
        begun = true;  // from here on the whole request has one deadline, however slowly it drips
        seat_.set_idle(false);
        transport.set_deadline(steady_in(seat_.state().options.request_timeout));
      }
      feed(parser, ec);
      if (ec) {
        co_await refuse(ec);
        co_return std::nullopt;
      }
      if (parser.is_done()) break;
      if (parser.is_header_done() && !std::exchange(invited, true) && !co_await invite(parser)) co_return std::nullopt;
      const auto [failed, n] = co_await transport.read_some(buffer_.prepare(kReadSize));
      buffer_.commit(n);
      if (failed) co_return std::nullopt;
    }
    transport.clear_deadline();
    keep_alive_ = parser.get().keep_alive();
    co_return take(parser);
  }

  void feed(Parser& parser, error_code& ec) {
    while (buffer_.size() > 0 && !parser.is_done()) {
      const auto used = parser.put(buffer_.data(), ec);
      buffer_.consume(used);
      if (ec == beast::http::error::need_more) ec = {};
      if (ec || used == 0) break;
    }
    if (buffer_.size() > seat_.state().options.max_header + kReadSize && !parser.is_done()) ec = beast::http::error::header_limit;
  }

  /// A sender that asks first ("Expect: 100-continue") is told to go on.
  asio::awaitable<bool> invite(const Parser& parser) {
    const auto& header = parser.get();
    if (!beast::iequals(header[beast::http::field::expect], "100-continue")) co_return true;
    static constexpr std::string_view kGoOn = "HTTP/1.1 100 Continue\r\n\r\n";
    co_return !co_await seat_.transport().write(asio::buffer(kGoOn), {});
  }

  asio::awaitable<void> refuse(error_code ec) {
    keep_alive_ = false;
    co_await write(plain_answer(ec == beast::http::error::body_limit     ? 413
                                : ec == beast::http::error::header_limit ? 431
                                                                         : 400),
                   false);
  }

  ServerRequest take(Parser& parser) const {
    auto& message = parser.get();
    ServerRequest out;
    out.method = std::string(message.method_string());
    const std::string_view target(message.target().data(), message.target().size());
    const auto mark = std::min(target.find('?'), target.size());
    out.path = std::string(target.substr(0, mark));
    out.query = std::string(target.substr(std::min(mark + 1, target.size())));
    for (const auto& field : message.base()) out.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
    out.body = std::move(message.body());
    out.peer = peer_;
    return out;
  }

  asio::awaitable<ServerResponse> answer(ServerRequest request) {
    std::optional<ServerResponse> response;
    try {
      response = co_await seat_.state().handler(std::move(request));
    } catch (const std::exception&) {
      // Answered below: the text of an exception is not for strangers.
    }
    if (!response) response = plain_answer(500);
    co_return std::move(*response);
  }

  /// Whether the connection may serve another request.
  asio::awaitable<bool> write(ServerResponse response, bool head_only) {
    auto& transport = seat_.transport();
    if (response.raw || response.drip.count() > 0) co_return co_await write_oddly(std::move(response));
    keep_alive_ = keep_alive_ && !response.cut_after && !seat_.state().stopping;
    const auto head = response_head(response, keep_alive_ || response.cut_after);
    const std::size_t full = head_only ? 0 : response.body.size();
    const std::size_t size = std::min(full, response.cut_after.value_or(full));
    asio::const_buffer first = asio::buffer(head);
    std::size_t done = 0;
    do {
      const auto step = std::min(kWriteStep, size - done);
      transport.set_deadline(steady_in(seat_.state().options.idle_timeout));
      if (co_await transport.write(first, asio::buffer(response.body.data() + done, step))) co_return false;
      first = {};
      done += step;
    } while (done < size);
    if (response.reset) reset_when_closed();
    co_return keep_alive_;
  }

  void reset_when_closed() {
    error_code ignored;
    seat_.transport().socket().set_option(asio::socket_base::linger(true, 0), ignored);
  }

  asio::awaitable<bool> write_oddly(ServerResponse response) {
    keep_alive_ = false;
    const auto text = response.raw ? std::move(response.body) : response_head(response, false) + response.body;
    const auto step = response.drip.count() > 0 ? 1 : std::max<std::size_t>(1, text.size());
    asio::steady_timer pause(seat_.state().loop);
    for (std::size_t done = 0; done < text.size() && !seat_.state().stopping; done += step) {
      seat_.transport().set_deadline(steady_in(seat_.state().options.idle_timeout));
      if (co_await seat_.transport().write(asio::buffer(text.data() + done, step), {})) break;
      if (response.drip.count() == 0) continue;
      pause.expires_after(response.drip);
      co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    co_return false;
  }

  Seat seat_;
  std::string peer_;
  beast::flat_buffer buffer_;  // what is left over belongs to the next request
  bool keep_alive_ = false;
};

asio::awaitable<void> serve(std::shared_ptr<State> state, tcp::socket socket, std::string peer) {
  Session session(std::move(state), std::make_unique<Transport>(std::move(socket)), std::move(peer));
  co_await session.run();
}

asio::awaitable<void> accept_loop(std::shared_ptr<State> state) {
  while (!state->stopping) {
    auto [ec, socket] = co_await state->acceptor.async_accept(asio::as_tuple(asio::use_awaitable));
    if (ec == asio::error::operation_aborted || state->stopping) break;
    if (ec) {  // out of file descriptors, or the peer is gone already
      asio::steady_timer pause(state->loop, kAcceptPause);
      co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
      continue;
    }
    if (state->peers.size() >= state->options.max_connections) continue;
    error_code gone;
    const auto from = socket.remote_endpoint(gone);
    if (gone) continue;
    auto peer = fmt::format("{}:{}", from.address().to_string(), from.port());
    asio::co_spawn(state->loop, serve(state, std::move(socket), std::move(peer)), must_not_throw);
  }
}

core::Result<tcp::endpoint> parse_listen(const std::string& text) {
  const auto bad = [&] {
    return fail(ErrorKind::bad_config,
                fmt::format("'{}' is no address to listen on, expected address:port, for example 127.0.0.1:8443", text));
  };
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) return bad();
  auto host = text.substr(0, colon);
  const auto port = core::parse_int(text.substr(colon + 1));
  if (!port || *port < 0 || *port > 65535) return bad();
  if (host == "localhost") host = "127.0.0.1";
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  error_code ec;
  const auto address = asio::ip::make_address(host, ec);
  if (ec) return bad();
  return tcp::endpoint(address, static_cast<std::uint16_t>(*port));
}

core::Result<void> bind(State& state, const tcp::endpoint& at) {
  error_code ec;
  auto& acceptor = state.acceptor;
  acceptor.open(at.protocol(), ec);
  if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor.bind(at, ec);
  if (!ec) acceptor.listen(asio::socket_base::max_listen_connections, ec);
  if (ec) return fail(ErrorKind::bad_config, fmt::format("cannot listen on '{}': {}", state.options.listen, ec.message()));
  return {};
}

class LoopServer final : public Server {
 public:
  LoopServer(std::shared_ptr<State> state, core::Clock& clock)
      : state_(std::move(state)), clock_(clock), bound_(state_->acceptor.local_endpoint()) {}
  ~LoopServer() override { state_->shut(true); }

  std::uint16_t port() const noexcept override { return bound_.port(); }
  std::string url() const override {
    // "Any address" is no place to connect to.
    auto host = bound_.address();
    if (host.is_unspecified())
      host = host.is_v6() ? asio::ip::address(asio::ip::address_v6::loopback()) : asio::ip::address_v4::loopback();
    return Origin{state_->tls != nullptr, host.to_string(), bound_.port()}.text();
  }
  asio::awaitable<void> stop(core::Duration grace) override {
    const auto state = state_;
    state->shut(false);
    const auto end = clock_.now() + grace;
    while (!state->peers.empty() && clock_.now() < end) co_await state->ended->wait_until(end);
    state->shut(true);
  }

 private:
  std::shared_ptr<State> state_;
  core::Clock& clock_;
  tcp::endpoint bound_;
};

}  // namespace

core::Result<std::unique_ptr<Server>> start_server(asio::any_io_executor loop, core::Clock& clock, ServerOptions options,
                                                   Handler handler) {
  const auto at = parse_listen(options.listen);
  if (!at) return fail(at.error());
  auto state = std::make_shared<State>(loop, clock);
  state->options = std::move(options);
  state->handler = std::move(handler);
  if (state->options.tls) {
    auto tls = make_server_context(state->options.tls->certificate_pem, state->options.tls->key_pem);
    if (!tls) return fail(tls.error());
    state->tls = std::move(*tls);
  }
  if (const auto bound = bind(*state, *at); !bound) return fail(bound.error());
  auto server = std::make_unique<LoopServer>(state, clock);
  asio::co_spawn(loop, accept_loop(state), must_not_throw);
  return server;
}

}  // namespace stsync::http
