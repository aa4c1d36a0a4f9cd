#include "http/transport.hpp"

#include <array>

#include <fmt/format.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace stsync::http {
namespace {
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
using core::ErrorKind;
}  // namespace

Transport::Transport(const asio::any_io_executor& loop) : Transport(asio::ip::tcp::socket(loop)) {}

Transport::Transport(asio::ip::tcp::socket socket) : state_(std::make_shared<State>(std::move(socket))) {
  error_code ignored;
  if (state_->socket.is_open()) state_->socket.set_option(asio::ip::tcp::no_delay(true), ignored);
}

Transport::~Transport() {
  clear_deadline();
  error_code ignored;
  state_->socket.close(ignored);
}

asio::awaitable<error_code> Transport::connect(asio::ip::tcp::endpoint peer) {
  error_code ec;
  state_->socket.close(ec);
  state_->socket.open(peer.protocol(), ec);
  if (ec) co_return ec;
  state_->socket.set_option(asio::ip::tcp::no_delay(true), ec);
  if (ec) co_return ec;
  std::tie(ec) = co_await state_->socket.async_connect(peer, kAwait);
  co_return ec;
}

void Transport::use_tls(asio::ssl::context& context) { tls_.emplace(state_->socket, context); }

asio::awaitable<error_code> Transport::handshake(asio::ssl::stream_base::handshake_type side) {
  auto [ec] = co_await tls_->async_handshake(side, kAwait);
  co_return ec;
}

asio::awaitable<std::pair<error_code, std::size_t>> Transport::read_some(asio::mutable_buffer into) {
  if (tls_) {
    auto [ec, n] = co_await tls_->async_read_some(into, kAwait);
    co_return std::pair(ec, n);
  }
  auto [ec, n] = co_await state_->socket.async_read_some(into, kAwait);
  co_return std::pair(ec, n);
}

asio::awaitable<error_code> Transport::write(asio::const_buffer first, asio::const_buffer second) {
  const std::array<asio::const_buffer, 2> both{first, second};
  if (tls_) {
    auto [ec, n] = co_await asio::async_write(*tls_, both, kAwait);
    co_return ec;
  }
  auto [ec, n] = co_await asio::async_write(state_->socket, both, kAwait);
  co_return ec;
}

void Transport::set_deadline(SteadyTime when) {
  const bool earlier = when < state_->timer.expiry();
  state_->deadline = when;
  // A timer that fires before a moved deadline looks again, so only an earlier deadline needs a new one.
  if (!state_->watching || earlier) watch(state_);
}

void Transport::clear_deadline() {
  state_->deadline = SteadyTime::max();
  state_->watching = false;
  state_->timer.cancel();
}

void Transport::watch(const std::shared_ptr<State>& state) {
  state->watching = true;
  state->timer.expires_at(state->deadline);
  state->timer.async_wait([weak = std::weak_ptr(state)](error_code ec) {
    const auto self = weak.lock();
    if (ec || !self || !self->watching) return;
    if (std::chrono::steady_clock::now() < self->deadline) return watch(self);
    self->watching = false;
    close(*self, Cut::deadline);
  });
}

void Transport::close(State& state, Cut why) noexcept {
  if (state.cut == Cut::none) state.cut = why;
  error_code ignored;
  state.socket.close(ignored);
}

void Transport::cut(Cut why) noexcept { close(*state_, why); }

bool Transport::has_unread_bytes() noexcept {
  // One read may bring several TLS records, of which OpenSSL hands out the first: the others wait in it or in its input.
  if (tls_ && (SSL_has_pending(ssl()) == 1 || BIO_ctrl_pending(SSL_get_rbio(ssl())) > 0)) return true;
  error_code ec;
  return state_->socket.available(ec) > 0 || ec;
}

core::Error transport_error(const Transport& transport, error_code ec, std::string_view phase, const Origin& origin) {
  const auto where = origin.text();
  if (transport.cut_by() == Cut::stop) return {ErrorKind::cancelled, fmt::format("stopped while {} ({})", phase, where)};
  if (transport.cut_by() == Cut::deadline) return {ErrorKind::timeout, fmt::format("timeout while {} ({})", phase, where)};
  const bool tls = ec.category() == asio::error::get_ssl_category();
  return {tls ? ErrorKind::tls : ErrorKind::network, fmt::format("{} failed ({}): {}", phase, where, ec.message())};
}

}  // namespace stsync::http
