#pragma once
#include <openssl/ssl.h>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>

#include "fixture.hpp"

namespace stsync::http {

/// How a TlsPeer ends a connection: not at all, with a TLS close, or with a mere FIN as a cut would.
enum class TlsEnd { hold, notify, fin };

struct TlsScript {
  std::vector<std::vector<std::string>> answers = {};  ///< to the n-th request these TLS records, all there before the client reads
  TlsEnd end = TlsEnd::hold;
  std::function<void(SSL*)> between = {};  ///< called after each record
};

/// The ScriptedServer of TLS, with the versions and tricks that start_server() does not have. It goes on with a held connection
/// until the client has said something.
class TlsPeer {
 public:
  using Stream = asio::ssl::stream<asio::ip::tcp::socket>;

  TlsPeer(asio::io_context& loop, const Certificate& certificate, std::vector<TlsScript> scripts,
          const std::function<void(SSL_CTX*)>& tune = {})
      : state_(std::make_shared<State>(loop, std::move(scripts))) {
    state_->context.use_certificate_chain(asio::buffer(certificate.certificate_pem));
    state_->context.use_private_key(asio::buffer(certificate.key_pem), asio::ssl::context::pem);
    if (tune) tune(state_->context.native_handle());
    asio::co_spawn(loop, accept(state_), [](const std::exception_ptr&) {});
  }
  TlsPeer(const TlsPeer&) = delete;
  TlsPeer& operator=(const TlsPeer&) = delete;
  ~TlsPeer() { state_->acceptor.close(); }
  Origin origin() const { return {true, "localhost", state_->acceptor.local_endpoint().port()}; }
  std::size_t accepted() const { return state_->accepted; }
  /// Connections that are over.
  std::size_t ended() const { return state_->ended; }

 private:
  struct State {
    State(asio::io_context& l, std::vector<TlsScript> s)
        : loop(l), acceptor(l, {asio::ip::address_v4::loopback(), 0}), scripts(std::move(s)) {}
    asio::io_context& loop;
    asio::ip::tcp::acceptor acceptor;
    asio::ssl::context context{asio::ssl::context::tls_server};
    std::vector<TlsScript> scripts;
    std::size_t accepted = 0, ended = 0;
  };
  static constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

  static asio::awaitable<void> accept(std::shared_ptr<State> state) {
    while (state->accepted < state->scripts.size()) {
      auto [ec, socket] = co_await state->acceptor.async_accept(kAwait);
      if (ec) co_return;
      const auto number = state->accepted++;
      asio::co_spawn(state->loop, serve(state, number, std::move(socket)), [state](const std::exception_ptr&) { ++state->ended; });
    }
  }
  static asio::awaitable<void> serve(std::shared_ptr<State> state, std::size_t number, asio::ip::tcp::socket socket) {
    Stream stream(std::move(socket), state->context);
    const auto& script = state->scripts[number];
    const auto [refused] = co_await stream.async_handshake(asio::ssl::stream_base::server, kAwait);
    if (refused) co_return;
    std::string text;
    for (const auto& records : script.answers) {
      const auto [gone, n] = co_await asio::async_read_until(stream, asio::dynamic_buffer(text), "\r\n\r\n", kAwait);
      if (gone) co_return;
      text.erase(0, n);
      for (const auto& record : records) {
        asio::write(stream, asio::buffer(record));  // no turn of the loop in between
        if (script.between) script.between(stream.native_handle());
      }
    }
    if (script.end == TlsEnd::notify) co_await stream.async_shutdown(kAwait);
    if (script.end == TlsEnd::hold) co_await asio::async_read_until(stream, asio::dynamic_buffer(text), "\r\n\r\n", kAwait);
  }

  std::shared_ptr<State> state_;
};

}  // namespace stsync::http
