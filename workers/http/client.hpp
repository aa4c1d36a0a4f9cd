#pragma once
#include <cstddef>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/spool.hpp"
#include "core/stop.hpp"
#include "http/message.hpp"

namespace stsync::http {

struct Request {
  std::string method = "GET";
  std::string target;  ///< path and query, already encoded
  Headers headers;     ///< Host, Content-Length and Connection are set by the client
  std::string body;
};

struct Response {
  int status = 0;
  Headers headers;
  std::string body;                            ///< as sent (still gzipped when Content-Encoding says so)
  std::shared_ptr<core::SpoolFile> spooled{};  ///< instead of `body`, where that has more than ExchangeLimits::in_memory bytes
};

/// Limits of one exchange. A limit reached closes the connection.
struct ExchangeLimits {
  core::Duration first_byte = std::chrono::seconds(120);  ///< from the request to the response header
  core::Duration header = std::chrono::seconds(30);       ///< from the first byte of a header to its end
  core::Duration idle_body = std::chrono::seconds(30);    ///< in which `min_body` bytes of the body come, or its end
  core::Duration total = std::chrono::seconds(300);       ///< and a second for each MiB of a body that goes to the spool
  std::size_t min_body = 16u << 10;
  std::size_t max_body = 16u << 20;  ///< bytes on the wire; above: too_large
  std::size_t max_header = 64u << 10;
  core::Spool* spool = nullptr;  ///< where larger bodies than `in_memory` go; without one everything stays in memory
  std::size_t in_memory = 16u << 20;
};

/// One connection out of the pool, for one exchange at a time. Its destructor gives it back when it can be used again.
/// Loop thread only.
class Connection {
 public:
  virtual ~Connection() = default;
  /// Sends and reads one whole response. A failed exchange makes the connection unusable. Errors: cancelled (stop was asked:
  /// the socket is closed at once), timeout, network, tls, protocol, too_large, bad_request (a method, target or header that
  /// cannot be sent as it is, for instance a header value with a line end; nothing was sent then), spool_full and bad_config (see
  /// core::Spool). A body that ends with the
  /// connection is accepted over TLS only, where a cut is visible: over plain HTTP it is `protocol`.
  virtual boost::asio::awaitable<core::Result<Response>> exchange(Request request, ExchangeLimits limits, core::StopToken stop) = 0;
  /// Whether an earlier exchange used it: then a `network` error without a response byte may only mean that the server had
  /// closed it (see stale()).
  virtual bool reused() const noexcept = 0;
  /// After a failed exchange: the connection was reused and no byte of a response arrived, so the server never answered this
  /// request and an idempotent one may be sent again on a fresh connection.
  virtual bool stale() const noexcept = 0;
};

struct ClientOptions {
  std::string ca_file;                                          ///< PEM; empty: the system's certificates
  core::Duration connect_timeout = std::chrono::seconds(10);    ///< resolve and TCP
  core::Duration handshake_timeout = std::chrono::seconds(10);  ///< TLS
  core::Duration max_idle = std::chrono::seconds(30);           ///< an idle connection is dropped after this
  std::size_t max_connections_per_origin = 64;                  ///< further callers wait
  std::string user_agent = "stsync";
  bool public_only = false;  ///< only public addresses are connected to: for hosts that others name
};

/// Keep-alive pool of HTTP/1.1 connections. TLS 1.2 or later, host name verified, no redirects, no cookies, no compression of
/// its own. Resolved names are cached for a short time. Loop thread only.
class Client {
 public:
  virtual ~Client() = default;
  /// A ready connection, from the pool or new (`fresh`: always new). Errors: cancelled, timeout, network, tls.
  virtual boost::asio::awaitable<core::Result<std::unique_ptr<Connection>>> connect(Origin origin, bool fresh,
                                                                                    core::StopToken stop) = 0;
  /// Closes every idle connection, turns waiting callers away (cancelled); waits until leased ones are back.
  virtual boost::asio::awaitable<void> close() = 0;
};

/// bad_config: the CA file cannot be used.
core::Result<std::unique_ptr<Client>> make_client(boost::asio::any_io_executor loop, core::Clock& clock, ClientOptions options);

}  // namespace stsync::http
