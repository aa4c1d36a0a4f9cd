#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/rng.hpp"

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

inline constexpr int kMaxRetries = 12;  ///< with waits up to a minute: about seven minutes of trouble
inline constexpr int kMaxBadPages = 3;
inline constexpr int kMaxRefusals = 1000;

/// Decides, and counts into `attempts`. Waits have full jitter.
Verdict classify(const core::Error& error, Attempts& attempts, core::Rng& rng);

/// The error that an HTTP status of the API means (facts 4); nothing for 2xx.
std::optional<core::Error> error_of_status(int status, std::string_view body, const std::string* retry_after, core::WallTime now);

/// Retry-After: seconds or an HTTP date; else "Try again in N seconds" in the body. Between one second and five minutes.
std::optional<std::chrono::milliseconds> retry_after(const std::string* header, std::string_view body, core::WallTime now);

/// "Sun, 06 Nov 1994 08:49:37 GMT"
std::optional<core::WallTime> parse_http_date(const std::string& text);

}  // namespace stsync::servicetitan
