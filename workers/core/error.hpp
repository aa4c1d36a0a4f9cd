#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace stsync::core {

/// What went wrong, as far as anybody has to decide about it: the kind is at once the retry decision, the metric label and the
/// `code` of a failed job. The set is bounded; texts go into Error::message().
enum class ErrorKind {
  cancelled,         ///< we were asked to stop; nothing is wrong
  timeout,           ///< a deadline of ours passed
  network,           ///< resolve, connect, reset, end of stream
  tls,               ///< handshake, certificate or host name
  protocol,          ///< the peer does not speak HTTP as it should
  too_large,         ///< a body, header or record above its limit
  spool_full,        ///< no room on the disk for a body that is too large for memory
  throttled,         ///< 429
  unauthorized,      ///< 401, or the token endpoint refuses the client
  forbidden,         ///< 403: scope or module not granted
  not_found,         ///< 404, or no such job, resource or topic
  bad_request,       ///< 400, 422: repeating will not help
  maintenance,       ///< 409 while the vendor works on the service
  server,            ///< 5xx
  malformed,         ///< a body that is not what the endpoint promises
  no_progress,       ///< the same continuation token again and again, endless empty pages
  unstable_list,     ///< a list that changes faster than it can be read
  cursor_lost,       ///< the server does not know the stream's cursor (any more), or has not reached it
  restarted,         ///< a snapshot whose memory died with its worker: it runs again as a new job
  expired,           ///< a job that was to have begun, or ended, by now
  dead_letters,      ///< a job with too many of them
  tenant_mismatch,   ///< an answer with data of another tenant than was asked for
  unknown_resource,  ///< a resource, or an endpoint of one, that the catalogue does not have (any more)
  unsupported,       ///< a known request that this version does not do
  broker,            ///< Kafka is away or refuses; it may come back
  fenced,            ///< another worker owns this partition or identity now
  doubt,             ///< a commit whose outcome is unknown
  bad_data,          ///< a command or record that can never be used
  bad_config,        ///< the configuration or the environment is wrong
  internal,          ///< a bug of ours
};

/// The stable lower-case name of a kind (metric label, status code).
std::string_view to_string(ErrorKind kind) noexcept;
/// The kind of such a name; nothing when there is none.
std::optional<ErrorKind> error_kind(std::string_view name) noexcept;

/// An expected failure as a value. Never holds a secret: messages end up in logs, statuses and dead letters.
class Error {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

  ErrorKind kind() const noexcept { return kind_; }
  const std::string& message() const noexcept { return message_; }
  /// HTTP status of the answer, 0 when there was none.
  int http_status() const noexcept { return http_status_; }
  /// How long the other side asked us to wait.
  std::optional<std::chrono::milliseconds> retry_after() const noexcept { return retry_after_; }

  /// Whether what every call needs first is missing for now, by an outage that is not the call's own (a token, while its endpoint
  /// is away). The call was not tried: wait and do not count it.
  bool before_call() const noexcept { return before_call_; }

  Error& with_status(int status) {
    http_status_ = status;
    return *this;
  }
  Error& with_retry_after(std::chrono::milliseconds wait) {
    retry_after_ = wait;
    return *this;
  }
  Error& as_before_call() {
    before_call_ = true;
    return *this;
  }
  /// "while X: message"
  Error& within(std::string_view what);

 private:
  ErrorKind kind_;
  int http_status_ = 0;
  bool before_call_ = false;
  std::optional<std::chrono::milliseconds> retry_after_;
  std::string message_;
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(ErrorKind kind, std::string message) {
  return tl::unexpected<Error>(Error(kind, std::move(message)));
}
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

/// Stops the program with a message when `condition` is false: for what only a bug can cause. On in every build.
void check(bool condition, const char* what) noexcept;

}  // namespace stsync::core
