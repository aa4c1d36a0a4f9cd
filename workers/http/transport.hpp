#pragma once
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>

#include "core/error.hpp"
#include "http/message.hpp"

namespace stsync::http {

namespace asio = boost::asio;
using boost::system::error_code;
using SteadyTime = std::chrono::steady_clock::time_point;

/// Who of us closed a connection under a running operation.
enum class Cut { none, stop, deadline };

/// A TCP connection with or without TLS, and one deadline that closes it. Every operation must have ended before the object is
/// destroyed; cut() makes a running one end at once. Loop thread only.
class Transport {
 public:
  explicit Transport(const asio::any_io_executor& loop);
  explicit Transport(asio::ip::tcp::socket socket);
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  ~Transport();

  /// Opens a socket and connects it (TCP_NODELAY on).
  asio::awaitable<error_code> connect(asio::ip::tcp::endpoint peer);
  /// Puts TLS on the connection; handshake() does the talking.
  void use_tls(asio::ssl::context& context);
  SSL* ssl() noexcept { return tls_ ? tls_->native_handle() : nullptr; }
  asio::awaitable<error_code> handshake(asio::ssl::stream_base::handshake_type side);

  /// Bytes read, at least one unless there is an error (end of stream: asio::error::eof).
  asio::awaitable<std::pair<error_code, std::size_t>> read_some(asio::mutable_buffer into);
  /// Writes both buffers in full.
  asio::awaitable<error_code> write(asio::const_buffer first, asio::const_buffer second);

  /// Closes the connection at `when` unless another deadline or none is set before. Moving it later costs nothing.
  void set_deadline(SteadyTime when);
  void clear_deadline();
  /// Closes the connection at once; the first caller's reason counts.
  void cut(Cut why) noexcept;
  Cut cut_by() const noexcept { return state_->cut; }
  /// Bytes that nobody asked for wait in the socket, or were read from it and wait inside TLS.
  bool has_unread_bytes() noexcept;
  asio::ip::tcp::socket& socket() noexcept { return state_->socket; }

 private:
  struct State {
    explicit State(asio::ip::tcp::socket s) : socket(std::move(s)), timer(socket.get_executor()) {}
    asio::ip::tcp::socket socket;
    asio::steady_timer timer;
    SteadyTime deadline = SteadyTime::max();
    bool watching = false;
    Cut cut = Cut::none;
  };
  static void watch(const std::shared_ptr<State>& state);
  static void close(State& state, Cut why) noexcept;

  std::shared_ptr<State> state_;  // the timer's handler holds it weakly
  std::optional<asio::ssl::stream<asio::ip::tcp::socket&>> tls_;
};

/// An operation's error as ours: cancelled or timeout when we cut the connection, else tls or network. `phase` reads like
/// "reading the response".
core::Error transport_error(const Transport& transport, error_code ec, std::string_view phase, const Origin& origin);

}  // namespace stsync::http
