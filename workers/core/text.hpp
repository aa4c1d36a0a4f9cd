#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.hpp"
#include "core/rng.hpp"
#include "core/secret.hpp"

namespace stsync::core {

/// "2026-01-02T03:04:05.678Z": the form the vendor accepts everywhere (some endpoints refuse "+00:00").
std::string format_utc(WallTime t);
/// RFC 3339 with 0 to 9 fraction digits (truncated to milliseconds), "Z" or an offset; also .NET's form without a zone, which
/// counts as UTC. Nothing when the text is not such a time.
std::optional<WallTime> parse_utc(std::string_view text);

/// Decimal 64-bit integer, whole text, no blanks.
std::optional<std::int64_t> parse_int(std::string_view text);

/// UUIDv7 (RFC 9562): sorts by time.
std::string uuid7(WallTime now, Rng& rng);
/// A UUID of version 5 in a name space of this program: the same for the same name.
std::string uuid5(std::string_view name);

/// Lower-case hex of SHA-256 over the concatenation of `a` and `b`.
std::string sha256_hex(std::string_view a, std::string_view b = {});

/// Lower-case hex of HMAC-SHA-256 of `text`.
std::string hmac_sha256_hex(const Secret& key, std::string_view text);

/// Text for a log or an error: control characters and bytes that are not ASCII shown as \xNN, cut at `limit` with "…".
std::string printable(std::string_view text, std::size_t limit = 200);

/// The candidate nearest to `word` by edit distance, if it is near enough to be a typo.
template <class Range>
std::optional<std::string> nearest(std::string_view word, const Range& candidates);

std::size_t edit_distance(std::string_view a, std::string_view b);

template <class Range>
std::optional<std::string> nearest(std::string_view word, const Range& candidates) {
  std::optional<std::string> best;
  std::size_t best_distance = 1 + word.size() / 3;
  for (const auto& candidate : candidates) {
    const auto d = edit_distance(word, candidate);
    if (d <= best_distance && (!best || d < best_distance)) {
      best_distance = d;
      best = std::string(candidate);
    }
  }
  return best;
}

}  // namespace stsync::core
