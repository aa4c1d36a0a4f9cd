#include "limits/shared_pace.hpp"

#include <algorithm>
#include <cmath>

namespace stsync::limits {

using core::Duration;
using core::TimePoint;
using namespace std::chrono_literals;

namespace {
/// 61 calls out of 60 a second span 1.0084 s: what a call may arrive later than the others. Each refusal takes a little off.
constexpr double kMostUse = 59.5 / 60;
constexpr double kLeastUse = 55.0 / 60;
constexpr double kSlower = 0.996;
constexpr double kFasterPerSecond = 0.01 / 60;

constexpr Duration kFree = 3ms;       // how late a call may leave at no cost, of the 8.4 ms; 5 ms are for the network
constexpr Duration kLate = 20ms;      // how late a slot is still worth using
constexpr Duration kReach = 100ms;    // how far ahead slots are leased
constexpr Duration kPoll = 10ms;      // where none were to be had, at least so long between requests
constexpr Duration kBeat = 400ms;     // well below kSharedFor, and in time to make up for a late call within its second
constexpr Duration kIdle = 1min;      // then a limit that may rest does
constexpr Duration kRestBeat = 5min;  // well below the ten minutes after which the store forgets a member
constexpr Duration kRetry = 50ms;     // after a failure
constexpr Duration kProbe = 500ms;    // local: an empty store hears of this worker before it grants anything
constexpr Duration kHealthy = 5s;     // of answers in a row, then back
constexpr int kPatience = 3;          // failures in a row
constexpr std::size_t kRemembered = 64;

/// Between calls, a second at most.
Duration distance(double per_second) {
  const std::chrono::duration<double> between(per_second > 1 ? 1 / per_second : 1);
  return std::chrono::duration_cast<Duration>(between);
}
}  // namespace

SharedPace::SharedPace(Settings settings, MakeLocal make_local, Observer observer)
    : settings_(std::move(settings)),
      make_local_(std::move(make_local)),
      observer_(std::move(observer)),
      limit_(std::max<Milli>(1, std::llround(settings_.per_second * 1000))),
      share_(own_share(limit_, settings_.members)),
      members_(settings_.members),
      use_(kMostUse) {}

TimePoint SharedPace::next(TimePoint now) {
  if (mode_ == Mode::local) return local_ ? local_->next(now) : TimePoint::max();
  drop_lost(now);
  return slots_.empty() ? TimePoint::max() : std::max(now, slots_.front().from);
}

void SharedPace::take(TimePoint now) {
  if (mode_ == Mode::local) {
    core::check(local_ != nullptr, "a call left without a share");
    return local_->take(now);
  }
  core::check(!slots_.empty(), "a call left without a slot");
  used_ = now;
  late_ = std::max(late_, now - slots_.front().due - kFree);
  taken_.push_back({now, slots_.front().due});
  if (taken_.size() > kRemembered) taken_.pop_front();
  slots_.pop_front();
}

void SharedPace::left_late(TimePoint taken, TimePoint now) {
  if (mode_ == Mode::local && local_) return local_->left_late(taken, now);
  const auto at = std::find_if(taken_.rbegin(), taken_.rend(), [taken](const Taken& t) { return t.at == taken; });
  if (at != taken_.rend()) late_ = std::max(late_, now - at->due - kFree);
}

void SharedPace::freeze(TimePoint until) {
  if (until <= frozen_until_) return;
  freeze_news_ = true;
  stand_still(until);
}

void SharedPace::stand_still(TimePoint until) {
  if (until <= frozen_until_) return;
  frozen_until_ = until;
  std::erase_if(slots_, [until](const Slot& slot) { return slot.from < until; });
  if (local_) local_->freeze(until);
}

void SharedPace::refused(TimePoint sent, TimePoint now) {
  if (local_) return local_->refused(sent, now);
  if (sent <= slowed_at_) return;  // calls that were refused together are one refusal
  slowed_at_ = now;
  use_ = std::max(kLeastUse, use_ * kSlower);
}

double SharedPace::rate() const {
  if (mode_ == Mode::shared) return static_cast<double>(target()) / 1000;
  return local_ ? local_->rate() : 0;
}

std::optional<LeaseRequest> SharedPace::wants(TimePoint now, std::size_t waiting) {
  if (asked_at_ || now < retry_at_) return std::nullopt;
  drop_lost(now);
  const auto slots = missing(now, waiting);
  if (waiting > 0) used_ = now;
  if (slots == 0 && now < (resting_ ? beat_ - kRestTogether : beat_) && !freeze_news_) return std::nullopt;
  resting_ = nobody_calls(now, waiting);
  asked_at_ = now;
  late_told_ = std::exchange(late_, Duration{});
  freeze_told_ = std::exchange(freeze_news_, false) && frozen_until_ > now;
  LeaseRequest request;
  request.limit = settings_.name;
  request.per_second = limit_;
  request.target = target();
  request.slots = slots;
  request.sharing = mode_ == Mode::local ? Sharing::alone : resting_ ? Sharing::resting : Sharing::leased;
  request.share = share_;
  request.least = settings_.members;
  request.known = claims_;
  if (freeze_told_) request.freeze = frozen_until_ - now;
  request.late = late_told_;
  return request;
}

bool SharedPace::nobody_calls(TimePoint now, std::size_t waiting) const {
  return settings_.may_rest && mode_ == Mode::shared && waiting == 0 && now - used_ >= kIdle && now >= frozen_until_;
}

TimePoint SharedPace::wakes(TimePoint now, std::size_t waiting) const {
  if (asked_at_) return *asked_at_ + kTripTime;
  auto when = freeze_news_ ? now : beat_;
  if (mode_ == Mode::shared && waiting > slots_.size()) {
    auto slots = std::max(slots_from_, frozen_until_ - kReach);
    if (!slots_.empty()) slots = std::max(slots, slots_.back().from - kReach);
    when = std::min(when, slots);
  }
  return std::max(when, retry_at_);
}

void SharedPace::look(TimePoint now) {
  if (asked_at_ && now - *asked_at_ >= kTripTime) failed(now);
}

void SharedPace::granted(TimePoint now, const Lease& lease) {
  if (!asked_at_) return;
  asked_at_.reset();
  failures_ = 0;
  const auto since = std::min<Duration>(1s, now - granted_at_.value_or(now));
  granted_at_ = now;
  use_ = std::min(kMostUse, use_ + kFasterPerSecond * std::chrono::duration<double>(since).count());
  members_ = lease.members;
  claims_ = lease.claims;
  sharing_ = std::max<std::int64_t>(1, lease.shared);
  beat_ = now + (mode_ == Mode::local ? kProbe : resting_ ? kRestBeat : kBeat);
  stand_still(lease.frozen_until);
  if (mode_ == Mode::shared) {
    learn_share(now, lease.share);
    return keep(now, lease);
  }
  // A larger share has to wait: the store gave the difference to others until now.
  if (lease.share < share_) {
    share_ = lease.share;
    const auto due = local_ ? local_->next(now) : now;
    pace_share(due);
  }
  if (!healthy_since_) healthy_since_ = now;
  if (now - *healthy_since_ >= kHealthy) go_shared(now);
}

/// A larger share counts once the others had time to hear of it: they tell a store that forgot everything.
void SharedPace::learn_share(TimePoint now, Milli share) {
  if (share > share_) {
    if (!larger_since_) larger_since_ = now;
    if (now - *larger_since_ < kSharedFor) return;
  }
  share_ = share;
  larger_since_.reset();
}

void SharedPace::keep(TimePoint now, const Lease& lease) {
  if (lease.slots == 0) slots_from_ = std::max(lease.again, now + kPoll);
  for (std::int64_t i = 0; i < lease.slots; ++i) {
    const auto from = lease.first + i * lease.interval;
    if (from >= frozen_until_) slots_.push_back({from - lease.doubt, from});
  }
}

void SharedPace::failed(TimePoint now) {
  if (!asked_at_) return;
  const auto waited = now - *asked_at_;
  asked_at_.reset();
  resting_ = false;
  ++failures_;
  healthy_since_.reset();
  late_ = std::max(late_, late_told_);
  freeze_news_ = freeze_news_ || freeze_told_;
  if (mode_ == Mode::shared && (failures_ >= kPatience || waited >= kTripTime)) go_local(now);
  retry_at_ = now + (mode_ == Mode::shared ? kRetry : kProbe);
}

void SharedPace::go_local(TimePoint now) {
  mode_ = Mode::local;
  slots_.clear();
  larger_since_.reset();
  // Its calls start one distance later, as if one had left before: many workers that go local together would leave at once.
  pace_share(now + kSwitchPause + distance(static_cast<double>(share_) / 1000));
  if (observer_) observer_(mode_);
}

void SharedPace::go_shared(TimePoint now) {
  mode_ = Mode::shared;
  healthy_since_.reset();
  beat_ = now;
  // The store keeps its share back until it hears otherwise: for as long as its last call stands alone.
  beat_ = retry_at_ = now + (local_ ? distance(local_->rate()) : Duration{});
  local_.reset();
  if (observer_) observer_(mode_);
}

void SharedPace::pace_share(TimePoint from) {
  local_.reset();
  if (share_ <= 0) return;
  local_ = make_local_(static_cast<double>(share_) / 1000);
  local_->freeze(std::max(from, frozen_until_));
}

void SharedPace::drop_lost(TimePoint now) {
  while (!slots_.empty() && now > slots_.front().from + kLate) slots_.pop_front();
}

std::int64_t SharedPace::missing(TimePoint now, std::size_t waiting) const {
  if (mode_ == Mode::local || now < slots_from_ || now < frozen_until_ - kReach) return 0;
  if (waiting <= slots_.size() || (!slots_.empty() && slots_.back().from - now > kReach)) return 0;
  return std::min(static_cast<std::int64_t>(waiting - slots_.size()), per_trip());
}

/// Its part of a tenth of a second, so that all workers together hold about as much.
std::int64_t SharedPace::per_trip() const {
  const auto part = std::chrono::duration<double>(kReach).count() * static_cast<double>(target()) / 1000;
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(part / static_cast<double>(sharing_))));
}

Milli SharedPace::target() const { return std::max<Milli>(1, static_cast<Milli>(static_cast<double>(limit_) * use_)); }

}  // namespace stsync::limits
