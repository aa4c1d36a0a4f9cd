#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/rng.hpp"
#include "core/secret.hpp"
#include "tokens/observer.hpp"
#include "tokens/source.hpp"

namespace stsync::tokens {

/// The decisions about one account's token: what may be handed out, when to ask again, who is to blame. Pure; times are of the
/// monotonic clock.
class AccountState {
 public:
  /// A credential that does not work, by the word of the endpoint or of the API, costs at most so many requests in any hour.
  static constexpr std::size_t kBadCallsAnHour = 20;

  /// The token to hand out; nullptr: there is none that will last for a call.
  const core::Secret* token(core::TimePoint now) const { return token_ && now < usable_until_ ? &*token_ : nullptr; }
  std::uint64_t generation() const { return generation_; }
  /// Whether to fetch a token now: there is none or it grows old, and no wait is on.
  bool wants_fetch(core::TimePoint now) const { return !fetching_ && now >= ask_again_ && (!token(now) || now >= renew_at_); }
  bool fetching() const { return fetching_; }
  /// Why there is no token, for the time of a wait; with retry_after.
  core::Error error(core::TimePoint now) const;

  /// Whether to look now if other credentials are configured than the refused ones (at most every few seconds).
  bool wants_look(core::TimePoint now);
  /// They are: the wait is over.
  void credentials_changed(core::TimePoint now);

  void fetch_began() { fetching_ = true; }
  /// A request of this fetch, which left at `asked`, failed.
  void request_failed(const core::Error& error, core::TimePoint asked);
  /// The fetch ended with a token that was asked for at `asked`.
  void fetched(Fetched fetched, core::TimePoint asked, core::TimePoint now, core::Rng& rng);
  void fetch_failed(core::Error error, core::TimePoint now, core::Rng& rng);
  /// The fetch was given up, because the worker ends.
  void fetch_cancelled() { fetching_ = false; }
  /// The API refused this token.
  void dropped(std::uint64_t generation, core::TimePoint now, core::Rng& rng);

  Health health(core::TimePoint now) const;
  /// Why health() is not `working`; empty when it is.
  std::string reason(core::TimePoint now) const;

 private:
  bool api_refuses(core::TimePoint now) const;
  bool is_refused() const { return failure_ && failure_->kind() == core::ErrorKind::unauthorized; }
  core::TimePoint budget_allows() const;
  void note_bad_call(core::TimePoint asked);
  void wait_before_asking(core::Error error, core::Duration wait, core::TimePoint now);

  std::optional<core::Secret> token_;
  std::uint64_t generation_ = 0;
  core::TimePoint asked_{};  ///< for the present token
  core::TimePoint usable_until_{}, renew_at_{};
  std::optional<core::Error> failure_;  ///< of the last fetch, until `ask_again_`
  core::TimePoint ask_again_{};
  core::TimePoint looked_{};  ///< for other credentials
  bool fetching_ = false;
  bool fallback_ = false;
  // In a row; what they count is bounded by the waits, so they do not overflow.
  std::uint32_t refusals_ = 0;              ///< by the endpoint
  std::uint32_t failures_ = 0;              ///< for other reasons
  std::uint32_t early_drops_ = 0;           ///< tokens that the API refused while they were new
  std::vector<core::TimePoint> bad_calls_;  ///< the newest, at most kBadCallsAnHour
};

}  // namespace stsync::tokens
