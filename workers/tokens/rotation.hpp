#pragma once
#include <cstdint>
#include <optional>

#include "core/error.hpp"
#include "core/secret.hpp"

namespace stsync::tokens {

/// What a client shows to the token endpoint.
struct Credentials {
  core::Secret id, secret;
  friend bool operator==(const Credentials&, const Credentials&) = default;
};

/// Which of two credentials to show while they are being rotated: those that are configured, and where they are refused, those that
/// worked last. So it does not matter whether the files or the vendor change first. Pure; secrets live in memory only.
class Rotation {
 public:
  /// For the next request. `configured`: as it reads now; its error when nothing else is known.
  core::Result<Credentials> choose(core::Result<Credentials> configured);
  /// What choose() gave was accepted, or refused.
  void worked();
  void refused();
  /// After refused(): whether choose() now gives the other one, which this fetch has not tried.
  bool has_another() const { return next_ != Next::usual; }
  /// Whether choose() gave something else than what is configured.
  bool fell_back() const { return chosen_ != configured_ || unreadable_; }
  /// Whether other credentials are configured now than at the last choose().
  bool changed(const core::Result<Credentials>& configured) const { return configured && configured_ != *configured; }

 private:
  enum class Next { usual, last_good, configured };
  bool has_older() const { return good_ && good_ != configured_; }

  std::optional<Credentials> configured_, good_, chosen_;
  Next next_ = Next::usual;
  bool second_ = false;  ///< choose() gave the other one
  bool unreadable_ = false;
  std::uint32_t detours_ = 0;  ///< how often in a row the configured ones were refused and the others not
  std::uint32_t skips_ = 0;    ///< so often the configured ones need not be tried first
};

}  // namespace stsync::tokens
