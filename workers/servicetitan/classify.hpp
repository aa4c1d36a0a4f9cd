#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/rng.hpp"
#include "servicetitan/resource.hpp"

namespace stsync::servicetitan {

/// What to do about a failed call. Pure: the same for a job of ten hours and for a test.
enum class Remedy {
  give_up,    ///< the same call will fail again
  retry,      ///< after a growing wait
  slow_down,  ///< 429: the bucket waits, then the same call
  new_token,  ///< 401: drop the token, once
};

struct Verdict {
  Remedy remedy = Remedy::give_up;
  core::Duration wait{};  ///< before a retry
};

/// How often one call has failed so far, by remedy.
struct Attempts {
  int retries = 0;    ///< for a reason outside (network, 5xx, maintenance)
  int bad_pages = 0;  ///< answers that could not be used
  int refusals = 0;   ///< 429
  int tokens = 0;     ///< 401
};

/// With waits up to a minute: at least nine minutes of trouble, at most 18 and what the breaker adds.
inline constexpr int kMaxRetries = 24;
inline constexpr int kMaxBadPages = 3;
inline constexpr int kMaxRefusals = 1000;

/// Decides, and counts into `attempts`. Half of a wait is jitter: all of it would make of minutes, with bad luck, seconds.
Verdict classify(const core::Error& error, Attempts& attempts, core::Rng& rng);

/// The error that an HTTP status of the API means (facts 4); nothing for 200. No other 2xx answers a GET with a whole page: a part
/// of one (206) may even look like it. `now` is what the date of a Retry-After is compared with: the vendor's clock.
std::optional<core::Error> error_of_status(int status, std::string_view body, const std::string* retry_after, core::WallTime now);

/// The same error; where the vendor forbids the call, with what has to be granted for it.
core::Error with_advice(core::Error error, const Resource& resource, const Endpoint& endpoint);

/// Status of an answer that did not come in time, as if the server had said so itself.
inline constexpr int kTooSlow = 408;
/// Whether the server could not make its answer in time; not: a connection or a token that took too long.
bool took_too_long(const core::Error& error) noexcept;

/// Retry-After: seconds or an HTTP date; else "Try again in N seconds" in the body. Between one second and five minutes.
std::optional<std::chrono::milliseconds> retry_after(const std::string* header, std::string_view body, core::WallTime now);

/// "Sun, 06 Nov 1994 08:49:37 GMT"
std::optional<core::WallTime> parse_http_date(const std::string& text);

}  // namespace stsync::servicetitan
