#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "http/message.hpp"

namespace stsync::http {

struct ServerRequest {
  std::string method;
  std::string path;   ///< not decoded
  std::string query;  ///< without "?"
  Headers headers;
  std::string body;
  std::string peer;  ///< "address:port"
};

struct ServerResponse {
  int status = 200;
  std::string content_type = "application/json";
  Headers headers;
  std::string body;
  // For the simulator's faults; the connection is closed behind each of them.
  std::optional<std::size_t> cut_after{};  ///< only this many bytes of the body are sent
  bool raw = false;                        ///< the body is the whole answer, status line and all, word for word
  core::Duration drip{};                   ///< one byte of the answer in each of these
  bool reset = false;                      ///< by a reset, with cut_after
};

/// Runs on the loop; several at a time, one per connection. It ends by itself: stop() does not interrupt it.
using Handler = std::function<boost::asio::awaitable<ServerResponse>(ServerRequest)>;

struct ServerTls {
  std::string certificate_pem;  ///< chain
  std::string key_pem;
};

/// Looks at a request of which only the header has come (no body yet). An answer refuses it: nothing more of it is read.
using Admit = std::function<std::optional<ServerResponse>(const ServerRequest&)>;

/// Why a connection was closed, or a request answered, without asking anybody.
enum class Refusal {
  connections,     ///< there are too many
  of_peer,         ///< the peer has too many
  pushed_out,      ///< closed for a newer one: its request took longest to come
  handshake,       ///< no TLS
  slow,            ///< a handshake or request that did not come in time
  bad_request,     ///< no HTTP/1.1
  body_too_large,  ///< 413
  uri_too_long,    ///< 414
  header_too_large,
  no_memory,  ///< 503: max_bodies
};
inline constexpr Refusal kRefusals[] = {
    Refusal::connections, Refusal::of_peer,        Refusal::pushed_out,   Refusal::handshake,        Refusal::slow,
    Refusal::bad_request, Refusal::body_too_large, Refusal::uri_too_long, Refusal::header_too_large, Refusal::no_memory};
std::string_view to_string(Refusal refusal) noexcept;

struct ServerOptions {
  std::string listen = "127.0.0.1:0";  ///< address:port, "localhost:port" or "[v6]:port"; port 0 takes a free one
  std::optional<ServerTls> tls;
  std::size_t max_body = 1u << 20;
  std::size_t max_header = 32u << 10;
  std::size_t max_connections = 1024;                         ///< further ones are closed at once
  core::Duration idle_timeout = std::chrono::seconds(75);     ///< between two requests, and for each step of writing an answer
  core::Duration request_timeout = std::chrono::seconds(10);  ///< to read one request, whatever the sender does

  // For servers that strangers reach. Zero: no limit of that sort.
  std::size_t max_uri = 0;                         ///< bytes of path and query
  std::size_t max_headers = 0;                     ///< how many
  std::size_t max_bodies = 0;                      ///< bytes of bodies that are being read, on all connections
  std::size_t max_connections_per_peer = 0;        ///< of an IPv4 address or the /64 of an IPv6 address
  std::function<bool(const std::string&)> exempt;  ///< addresses that may have as many as they like
  bool make_room = false;              ///< with max_connections open, who takes longest to send a request goes, not who comes
  core::Duration handshake_timeout{};  ///< zero: as request_timeout
  core::Duration header_timeout{};     ///< to send a header; a new connection must begin one by then
  core::Duration body_timeout{};       ///< to send a body
  std::size_t min_body_rate = 0;       ///< bytes a second
  Admit admit;
  std::function<void(Refusal)> on_refusal;
};

/// HTTP/1.1 keep-alive server on the loop. An exception in the handler is answered with 500. What cannot be read as a request is
/// answered with 400, 413, 414, 431 or 503 and the connection is closed; one that does not arrive in time is closed without an
/// answer. Loop thread only.
class Server {
 public:
  virtual ~Server() = default;
  virtual std::uint16_t port() const noexcept = 0;
  virtual std::string url() const = 0;  ///< "https://127.0.0.1:8443"
  virtual std::size_t connections() const noexcept = 0;
  /// Shows another certificate from the next handshake on; connections that are open keep theirs. bad_config: the pair cannot be
  /// used, or the server was started without TLS; then the one before is still shown.
  virtual core::Result<void> use(const ServerTls& tls) = 0;
  /// Stops accepting, closes idle connections, waits for running handlers and their answers, at most `grace`; then closes the
  /// rest. Without it the destructor closes everything at once.
  virtual boost::asio::awaitable<void> stop(core::Duration grace) = 0;
};

/// Binds at once. bad_config: address, certificate or key cannot be used.
core::Result<std::unique_ptr<Server>> start_server(boost::asio::any_io_executor loop, core::Clock& clock, ServerOptions options,
                                                   Handler handler);

}  // namespace stsync::http
