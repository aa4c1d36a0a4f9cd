#include "http/server.hpp"

#include <algorithm>
#include <list>
#include <unordered_map>

#include <fmt/format.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>

#include "core/text.hpp"
#include "http/request_pace.hpp"
#include "http/text_body.hpp"
#include "http/tls.hpp"
#include "http/transport.hpp"

namespace stsync::http {
namespace {

namespace beast = boost::beast;
using asio::ip::tcp;
using core::ErrorKind;
using core::fail;
using Parser = beast::http::request_parser<TextBody>;

constexpr std::size_t kReadSize = 16u << 10;
constexpr std::size_t kWriteStep = 256u << 10;  // the deadline moves on after each
constexpr auto kAcceptPause = std::chrono::milliseconds(100);
constexpr std::size_t kLingerBytes = 1u << 20;
constexpr auto kLinger = std::chrono::seconds(2);

SteadyTime steady_in(core::Duration limit) {
  return std::chrono::steady_clock::now() + std::chrono::duration_cast<SteadyTime::duration>(limit);
}

/// Whom a connection counts for: an IPv4 address, or the 64 bits that a provider gives to one customer.
std::string peer_key(const asio::ip::address& address) {
  if (address.is_v4()) return address.to_string();
  const auto v6 = address.to_v6();
  if (v6.is_v4_mapped()) return asio::ip::make_address_v4(asio::ip::v4_mapped, v6).to_string();
  auto bytes = v6.to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), static_cast<unsigned char>(0));
  return asio::ip::address_v6(bytes).to_string();
}

struct Peer {
  std::unique_ptr<Transport> transport;
  std::string key;         ///< empty: not counted
  bool idle = true;        ///< between two requests
  bool answering = false;  ///< its request is read
  bool served = false;     ///< had an answer before
};

struct State {
  State(asio::any_io_executor l, core::Clock& clock) : loop(l), acceptor(l), ended(clock.make_signal()) {}
  asio::any_io_executor loop;
  ServerOptions options;
  Handler handler;
  std::shared_ptr<asio::ssl::context> tls;
  tcp::acceptor acceptor;
  std::list<Peer> peers;
  std::unordered_map<std::string, std::size_t> of_peer;
  std::size_t bodies = 0;  ///< bytes that are being read
  std::unique_ptr<core::Signal> ended;
  bool stopping = false;

  void shut(bool also_busy) {
    stopping = true;
    error_code ignored;
    acceptor.close(ignored);
    for (auto& peer : peers)
      if (also_busy || peer.idle) peer.transport->cut(Cut::stop);
  }
  void tell(Refusal refusal) const {
    if (options.on_refusal) options.on_refusal(refusal);
  }
};

/// A connection's place in the list of peers.
class Seat {
 public:
  Seat(std::shared_ptr<State> state, std::unique_ptr<Transport> transport, std::string key) : state_(std::move(state)) {
    if (!key.empty()) ++state_->of_peer[key];
    state_->peers.push_back({std::move(transport), std::move(key)});
    at_ = std::prev(state_->peers.end());
  }
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;
  ~Seat() {
    if (const auto it = state_->of_peer.find(at_->key); it != state_->of_peer.end() && --it->second == 0) state_->of_peer.erase(it);
    state_->peers.erase(at_);
    state_->ended->notify();
  }
  Peer& peer() noexcept { return *at_; }
  Transport& transport() noexcept { return *at_->transport; }
  State& state() noexcept { return *state_; }
  const ServerOptions& options() const noexcept { return state_->options; }

 private:
  std::shared_ptr<State> state_;
  std::list<Peer>::iterator at_;
};

/// What a body that is being read takes of what all may take.
class BodyShare {
 public:
  explicit BodyShare(State& state) : state_(state) {}
  BodyShare(const BodyShare&) = delete;
  BodyShare& operator=(const BodyShare&) = delete;
  ~BodyShare() { state_.bodies -= bytes_; }
  /// Whether there is room for it.
  bool grow_to(std::size_t bytes) {
    state_.bodies += bytes - bytes_;
    bytes_ = bytes;
    return state_.options.max_bodies == 0 || state_.bodies <= state_.options.max_bodies;
  }

 private:
  State& state_;
  std::size_t bytes_ = 0;
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

std::pair<Refusal, ServerResponse> refusal_of(error_code ec) {
  if (ec == beast::http::error::body_limit) return {Refusal::body_too_large, plain_answer(413)};
  if (ec == beast::http::error::header_limit) return {Refusal::header_too_large, plain_answer(431)};
  return {Refusal::bad_request, plain_answer(400)};
}

RequestLimits request_limits(const ServerOptions& options) {
  return {.idle = options.idle_timeout,
          .total = options.request_timeout,
          .header = options.header_timeout,
          .body = options.body_timeout,
          .bytes_a_second = options.min_body_rate};
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
  Session(std::shared_ptr<State> state, std::unique_ptr<Transport> transport, std::string peer, std::string key)
      : seat_(std::move(state), std::move(transport), std::move(key)), peer_(std::move(peer)) {}

  asio::awaitable<void> run() {
    auto& transport = seat_.transport();
    if (seat_.state().tls && !co_await handshake()) co_return;
    while (!seat_.state().stopping && transport.cut_by() == Cut::none) {
      auto request = co_await read_request();
      if (!request) break;
      seat_.peer().answering = true;
      const bool head = request->method == "HEAD";
      auto response = refused_ ? std::move(*std::exchange(refused_, std::nullopt)) : co_await answer(std::move(*request));
      if (!co_await write(std::move(response), head)) break;
      seat_.peer().answering = false;
      seat_.peer().idle = seat_.peer().served = true;
    }
  }

 private:
  using Time = std::chrono::steady_clock;

  asio::awaitable<bool> handshake() {
    auto& transport = seat_.transport();
    const auto& options = seat_.options();
    transport.set_deadline(steady_in(options.handshake_timeout.count() > 0 ? options.handshake_timeout : options.request_timeout));
    transport.use_tls(*seat_.state().tls);
    const auto failed = co_await transport.handshake(asio::ssl::stream_base::server);
    if (failed && transport.cut_by() != Cut::stop)
      seat_.state().tell(transport.cut_by() == Cut::deadline ? Refusal::slow : Refusal::handshake);
    co_return !failed;
  }

  /// Nothing when the connection is to be closed; a bad request has been answered then.
  asio::awaitable<std::optional<ServerRequest>> read_request() {
    auto& transport = seat_.transport();
    Parser parser;
    parser.header_limit(static_cast<std::uint32_t>(seat_.options().max_header));
    parser.body_limit(seat_.options().max_body);
    parser.eager(true);
    parser.get().body().most_at_once = kReadSize;
    RequestPace pace(request_limits(seat_.options()), !seat_.peer().served, Time::now());
    BodyShare share(seat_.state());
    std::optional<ServerRequest> request;
    bool begun = false;
    error_code ec;
    while (true) {
      if (!begun && buffer_.size() > 0) {
        begun = true;
        seat_.peer().idle = false;
        pace.begun(Time::now());
      }
      feed(parser, ec);
      if (ec) {
        co_await refuse(refusal_of(ec));
        co_return std::nullopt;
      }
      if (parser.is_header_done() && !request) {
        pace.header_done(Time::now());
        request = head_of(parser.get());
        if (!co_await admit(*request, parser)) co_return std::nullopt;
      }
      if (!share.grow_to(parser.get().body().text.size())) {
        co_await refuse({Refusal::no_memory, plain_answer(503)});
        co_return std::nullopt;
      }
      if (parser.is_done()) break;
      if (request) pace.body_bytes(parser.get().body().text.size());
      transport.set_deadline(pace.deadline());
      const auto [failed, n] = co_await transport.read_some(buffer_.prepare(kReadSize));
      buffer_.commit(n);
      if (failed) {
        if (transport.cut_by() == Cut::deadline && (begun || !seat_.peer().served)) seat_.state().tell(Refusal::slow);
        co_return std::nullopt;
      }
    }
    transport.clear_deadline();
    keep_alive_ = parser.get().keep_alive();
    request->body = std::move(parser.get().body().text);
    co_return request;
  }

  void feed(Parser& parser, error_code& ec) {
    while (buffer_.size() > 0 && !parser.is_done()) {
      const auto used = parser.put(buffer_.data(), ec);
      buffer_.consume(used);
      if (ec == beast::http::error::need_more) ec = {};
      if (ec || used == 0) break;
    }
    if (buffer_.size() > seat_.options().max_header + kReadSize && !parser.is_done()) ec = beast::http::error::header_limit;
  }

  /// Looks at a request by its header. False: it has been refused, and the connection is to be closed.
  asio::awaitable<bool> admit(const ServerRequest& request, const Parser& parser) {
    const auto& options = seat_.options();
    if (options.max_uri > 0 && request.path.size() + request.query.size() > options.max_uri) {
      co_await refuse({Refusal::uri_too_long, plain_answer(414)});
      co_return false;
    }
    if (options.max_headers > 0 && request.headers.size() > options.max_headers) {
      co_await refuse({Refusal::header_too_large, plain_answer(431)});
      co_return false;
    }
    if (options.admit) refused_ = options.admit(request);
    if (parser.is_done()) co_return true;
    if (refused_) {
      co_await turn_away(std::move(*refused_));
      co_return false;
    }
    co_return co_await invite(parser);
  }

  /// A sender that asks first ("Expect: 100-continue") is told to go on.
  asio::awaitable<bool> invite(const Parser& parser) {
    const auto& header = parser.get();
    if (!beast::iequals(header[beast::http::field::expect], "100-continue")) co_return true;
    static constexpr std::string_view kGoOn = "HTTP/1.1 100 Continue\r\n\r\n";
    co_return !co_await seat_.transport().write(asio::buffer(kGoOn), {});
  }

  asio::awaitable<void> refuse(std::pair<Refusal, ServerResponse> refusal) {
    seat_.state().tell(refusal.first);
    co_await turn_away(std::move(refusal.second));
  }

  /// Answers a request of which there may be more to come. A connection that is closed over unread bytes ends in a reset, which may
  /// take the answer away from who still sends: so it is closed half, and what comes is thrown away for a while.
  asio::awaitable<void> turn_away(ServerResponse response) {
    keep_alive_ = false;
    auto& transport = seat_.transport();
    if (transport.cut_by() != Cut::none) co_return;
    co_await write(std::move(response), false);
    seat_.peer().idle = true;
    error_code ec;
    transport.socket().shutdown(tcp::socket::shutdown_send, ec);
    transport.set_deadline(steady_in(kLinger));
    for (std::size_t left = kLingerBytes; !ec && left > 0;) {
      buffer_.clear();
      std::size_t n = 0;
      std::tie(ec, n) =
          co_await transport.socket().async_read_some(buffer_.prepare(kReadSize), asio::as_tuple(asio::use_awaitable));
      left -= std::min(left, n);
    }
  }

  ServerRequest head_of(const Parser::value_type& message) const {
    ServerRequest out;
    out.method = std::string(message.method_string());
    const std::string_view target(message.target().data(), message.target().size());
    const auto mark = std::min(target.find('?'), target.size());
    out.path = std::string(target.substr(0, mark));
    out.query = std::string(target.substr(std::min(mark + 1, target.size())));
    for (const auto& field : message.base()) out.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
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
      transport.set_deadline(steady_in(seat_.options().idle_timeout));
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
      seat_.transport().set_deadline(steady_in(seat_.options().idle_timeout));
      if (co_await seat_.transport().write(asio::buffer(text.data() + done, step), {})) break;
      if (response.drip.count() == 0) continue;
      pause.expires_after(response.drip);
      co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    co_return false;
  }

  Seat seat_;
  std::string peer_;
  std::optional<ServerResponse> refused_;  ///< the answer to a request that is not for the handler
  beast::flat_buffer buffer_;              // what is left over belongs to the next request
  bool keep_alive_ = false;
};

asio::awaitable<void> serve(std::shared_ptr<State> state, tcp::socket socket, std::string peer, std::string key) {
  Session session(std::move(state), std::make_unique<Transport>(std::move(socket)), std::move(peer), std::move(key));
  co_await session.run();
}

/// Closes the connection that has waited longest for a request: of those that never sent a whole one, else of the idle ones.
bool make_room(State& state) {
  const auto push_out = [&state](auto wanted) {
    const auto it = std::find_if(state.peers.begin(), state.peers.end(), [&](const Peer& peer) {
      return !peer.answering && peer.transport->cut_by() == Cut::none && wanted(peer);
    });
    if (it == state.peers.end()) return false;
    it->transport->cut(Cut::stop);
    state.tell(Refusal::pushed_out);
    return true;
  };
  return push_out([](const Peer& peer) { return !peer.served; }) || push_out([](const Peer& peer) { return peer.idle; });
}

void accepted(const std::shared_ptr<State>& state, tcp::socket socket) {
  const auto& options = state->options;
  error_code gone;
  const auto from = socket.remote_endpoint(gone);
  if (gone) return;
  const auto address = from.address().to_string();
  std::string key;
  if (options.max_connections_per_peer > 0 && !(options.exempt && options.exempt(address))) {
    key = peer_key(from.address());
    if (const auto it = state->of_peer.find(key); it != state->of_peer.end() && it->second >= options.max_connections_per_peer)
      return state->tell(Refusal::of_peer);
  }
  if (state->peers.size() >= options.max_connections && !(options.make_room && make_room(*state)))
    return state->tell(Refusal::connections);
  asio::co_spawn(state->loop, serve(state, std::move(socket), fmt::format("{}:{}", address, from.port()), std::move(key)),
                 must_not_throw);
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
    accepted(state, std::move(socket));
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
  std::size_t connections() const noexcept override { return state_->peers.size(); }
  core::Result<void> use(const ServerTls& tls) override {
    if (!state_->tls) return fail(ErrorKind::bad_config, "the server was started without TLS");
    auto context = make_server_context(tls.certificate_pem, tls.key_pem);
    if (!context) return fail(context.error());
    state_->tls = std::move(*context);  // OpenSSL keeps the one before for as long as a connection has it
    return {};
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

std::string_view to_string(Refusal refusal) noexcept {
  switch (refusal) {
    case Refusal::connections:
      return "connections";
    case Refusal::of_peer:
      return "of_peer";
    case Refusal::pushed_out:
      return "pushed_out";
    case Refusal::handshake:
      return "handshake";
    case Refusal::slow:
      return "slow";
    case Refusal::bad_request:
      return "bad_request";
    case Refusal::body_too_large:
      return "body_too_large";
    case Refusal::uri_too_long:
      return "uri_too_long";
    case Refusal::header_too_large:
      return "header_too_large";
    case Refusal::no_memory:
      return "no_memory";
  }
  return "";
}

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
