#include "tokens/account_state.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace stsync::tokens {

using core::Duration;
using core::ErrorKind;
using core::TimePoint;
using namespace std::chrono_literals;

namespace {
// The vendor says 900 s; anything odd is brought into a range in which the worker neither storms nor trusts for ever.
constexpr Duration kShortestLife = 30s;
constexpr Duration kLongestLife = 1h;
/// A token is not handed out in its last seconds: the call it is for may take a while.
constexpr Duration kSpare = 30s;
constexpr Duration spare_of(Duration life) { return std::min(kSpare, life / 4); }
/// Of its life; so far apart that what began together does not renew together.
constexpr double kRenewAt = 0.8, kRenewJitter = 0.08;

struct Wait {
  Duration first, longest;
  double jitter;  ///< the share of a wait that chance may take away
};
constexpr Wait kRefused{60s, 15min, 0.1};
constexpr Wait kFailed{1s, 1min, 0.2};
constexpr Duration kLongestAskedFor = 5min;

/// A fetch may be two requests: the credentials as configured, then those that worked last.
constexpr std::size_t kRequestsOfFetch = 2;
constexpr auto kRoomForFetch = AccountState::kBadCallsAnHour - kRequestsOfFetch;
/// So far apart, fetches keep to the budget for ever.
constexpr Duration kEvenly = Duration(1h) / kRoomForFetch;
/// A token that the API refuses later than this was one that had worked, for all we know: such drops keep to the budget of an hour
/// by themselves. Earlier ones, in a row, mean that the API refuses whatever it is shown.
constexpr Duration kProven = kEvenly;
constexpr std::uint32_t kEarlyDropsForgiven = 1;

/// Callers that wait for better credentials come back about once a minute: a change of the files ends the wait.
constexpr Duration kToldOfRefused = 1min;
constexpr Duration kLookEvery = 5s;

/// The n-th wait in a row, from 1.
Duration grown(const Wait& wait, std::uint32_t n, core::Rng& rng) {
  const auto doublings = std::min<std::uint32_t>(n - 1, 10);
  const auto full = std::min(wait.longest, wait.first * (1 << doublings));
  return std::chrono::duration_cast<Duration>(full * (1 - wait.jitter * rng.unit()));
}
}  // namespace

core::Error AccountState::error(TimePoint now) const {
  core::check(failure_.has_value(), "no token and no reason");
  auto error = *failure_;
  auto wait = std::max(ask_again_ - now, Duration(1ms));
  if (is_refused()) wait /= std::max<std::int64_t>(1, wait / kToldOfRefused);
  return error.with_retry_after(std::chrono::ceil<std::chrono::milliseconds>(wait));
}

bool AccountState::wants_look(TimePoint now) {
  if (fetching_ || !is_refused() || now >= ask_again_ || now < looked_ + kLookEvery) return false;
  looked_ = now;
  return true;
}

void AccountState::credentials_changed(TimePoint now) {
  refusals_ = std::min(refusals_, 1u);  // as bad as it was, until something works; but the waits begin anew
  early_drops_ = std::min(early_drops_, kEarlyDropsForgiven + 1);
  ask_again_ = std::min(ask_again_, std::max(now, budget_allows()));
}

void AccountState::request_failed(const core::Error& error, TimePoint asked) {
  // An outage in the days of a dead credential counts too: nobody can tell which of its answers were about the credential.
  if (error.kind() == ErrorKind::unauthorized || refusals_ > 0) note_bad_call(asked);
}

void AccountState::fetched(Fetched fetched, TimePoint asked, TimePoint now, core::Rng& rng) {
  const auto life = std::clamp(fetched.life, kShortestLife, kLongestLife);
  const auto usable_until = asked + life - spare_of(life);
  if (usable_until <= now) {  // after a freeze of this process, say: to ask at once could go on for ever
    fetch_failed(core::Error(ErrorKind::timeout, "the token had ended before it arrived"), now, rng);
    return;
  }
  if (token_) early_drops_ = 0;  // the one before lived as long as it should
  fetching_ = false;
  token_ = std::move(fetched.token);
  ++generation_;
  asked_ = asked;
  usable_until_ = usable_until;
  const auto at = kRenewAt + kRenewJitter * (2 * rng.unit() - 1);
  renew_at_ = std::min(usable_until, asked + std::chrono::duration_cast<Duration>(life * at));
  fallback_ = fetched.fallback;
  refusals_ = failures_ = 0;
  failure_.reset();
  ask_again_ = {};
}

void AccountState::fetch_failed(core::Error error, TimePoint now, core::Rng& rng) {
  fetching_ = false;
  const auto asked_for = std::min<Duration>(error.retry_after().value_or(0ms), kLongestAskedFor);
  Duration wait;
  if (error.kind() == ErrorKind::unauthorized) {
    failures_ = 0;
    wait = grown(kRefused, ++refusals_, rng);
  } else {
    wait = grown(kFailed, ++failures_, rng);
    // Counted as a bad call: closer together they would use up the hour in minutes, and its end would be missed.
    if (refusals_ > 0) wait = std::max(wait, kEvenly);
    if (error.kind() != ErrorKind::bad_config) error.as_before_call();
  }
  wait_before_asking(std::move(error), std::max(wait, asked_for), now);
}

void AccountState::dropped(std::uint64_t generation, TimePoint now, core::Rng& rng) {
  if (generation != generation_ || !token_) return;
  token_.reset();
  note_bad_call(asked_);
  early_drops_ = now - asked_ < kProven ? early_drops_ + 1 : 0;
  if (early_drops_ > kEarlyDropsForgiven)
    wait_before_asking(
        core::Error(ErrorKind::unauthorized, fmt::format("the API refuses the tokens of this client, {} in a row", early_drops_)),
        grown(kRefused, early_drops_ - kEarlyDropsForgiven, rng), now);
  else if (budget_allows() > now)
    wait_before_asking(core::Error(ErrorKind::unauthorized, "too many tokens of this client were refused within an hour"), 0s, now);
}

/// A wait that is on already is kept.
void AccountState::wait_before_asking(core::Error error, Duration wait, TimePoint now) {
  failure_ = std::move(error);
  looked_ = now;
  ask_again_ = std::max({ask_again_, now + wait, budget_allows()});
}

/// When all the requests of one more fetch fit into the hour.
TimePoint AccountState::budget_allows() const {
  const auto known = bad_calls_.size();
  return known <= kRoomForFetch ? TimePoint() : bad_calls_[known - kRoomForFetch - 1] + 1h;
}

void AccountState::note_bad_call(TimePoint asked) {
  std::erase_if(bad_calls_, [asked](TimePoint at) { return at <= asked - 1h; });
  bad_calls_.insert(std::upper_bound(bad_calls_.begin(), bad_calls_.end(), asked), asked);
  if (bad_calls_.size() > kBadCallsAnHour) bad_calls_.erase(bad_calls_.begin());
}

/// Until a token has lived long enough: that the endpoint gives new ones says nothing.
bool AccountState::api_refuses(TimePoint now) const {
  return early_drops_ > kEarlyDropsForgiven && !(token_ && now - asked_ >= kProven);
}

Health AccountState::health(TimePoint now) const {
  if (refusals_ > 0 || api_refuses(now)) return Health::refused;
  // One failure while a token serves is none that anybody notices.
  if (failures_ > (token(now) ? 1u : 0u)) return Health::down;
  return fallback_ ? Health::rotating : Health::working;
}

std::string AccountState::reason(TimePoint now) const {
  switch (health(now)) {
    case Health::working:
      return {};
    case Health::rotating:
      return "the configured credentials are refused or cannot be read; those that worked last still do";
    default:
      return failure_ ? failure_->message() : "the API refuses the tokens of this client";
  }
}

}  // namespace stsync::tokens
