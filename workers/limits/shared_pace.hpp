#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "limits/lease.hpp"
#include "limits/pace.hpp"

namespace stsync::limits {

/// Limits that rest and whose time to be heard of comes within this are told in one trip.
inline constexpr core::Duration kRestTogether = std::chrono::minutes(1);

/// A limit that several workers share: its slots are leased from a store, a tenth of a second at a time. Without the store it goes
/// local: after a pause it paces its own share, of which the store keeps its hands off. Whatever each worker knows, what all of
/// them use adds up to no more than the limit; while some go over to their shares, less of it is used.
///
/// The store's slots allow for calls that arrive 5 ms and leave 3 ms late. A slot used later than that, by at most 20 ms, is made
/// up for: the store then moves every following slot by the difference. A worker that loses the store before it could say so costs
/// one call above the limit in that one second.
///
/// The sum holds where `members` is right. Where it is too low it holds for workers that heard of each other through the store,
/// short of one that cannot reach the store while that loses its memory and its last word to the others; one that starts without
/// the store, unknown to the others, takes the share that `members` tells. It does not hold where the limit is below 10/9 calls a
/// second for each worker that lost the store: such shares are no whole calls. A member that was silent for ten minutes is
/// forgotten.
///
/// Decides only; whoever owns it makes the trips. Loop thread only.
class SharedPace final : public Pace {
 public:
  enum class Mode { shared, local };
  struct Settings {
    std::string name;          ///< of the limit, the same in every worker
    double per_second = 0;     ///< the whole limit
    std::int64_t members = 1;  ///< at least so many workers share it
    /// Whether it rests while nobody calls, for limits that are many: the store then hears of it every five minutes instead of
    /// every 0.4 s, and the first call afterwards waits a second.
    bool may_rest = false;
  };
  /// Paces a worker's own share: at most per_second calls in any second.
  using MakeLocal = std::function<std::unique_ptr<Pace>(double per_second)>;
  /// Hears of every change of mode: for logs and metrics.
  using Observer = std::function<void(Mode)>;

  SharedPace(Settings settings, MakeLocal make_local, Observer observer);

  core::TimePoint next(core::TimePoint now) override;
  void take(core::TimePoint now) override;
  void freeze(core::TimePoint until) override;
  void left_late(core::TimePoint taken, core::TimePoint now) override;
  void refused(core::TimePoint sent, core::TimePoint now) override;
  double rate() const override;

  /// What to ask the store now, while `waiting` calls stand in line; the answer goes to granted() or failed(). Nothing while one
  /// request is under way.
  std::optional<LeaseRequest> wants(core::TimePoint now, std::size_t waiting);
  /// When wants() or look() may have something to do, if nothing else happens before.
  core::TimePoint wakes(core::TimePoint now, std::size_t waiting) const;
  /// Time passed: gives up a request that is under way for too long. Its answer is ignored then.
  void look(core::TimePoint now);
  void granted(core::TimePoint now, const Lease& lease);
  void failed(core::TimePoint now);

  Mode mode() const noexcept { return mode_; }
  /// Until when wants() has nothing to do unless somebody waits or it is frozen, as far as the store knows; nothing: it is in use.
  std::optional<core::TimePoint> rests_until() const noexcept {
    return resting_ && !asked_at_ ? std::optional(beat_) : std::nullopt;
  }
  const std::string& name() const noexcept { return settings_.name; }
  /// Workers that share the limit, as the store last said.
  std::int64_t members() const noexcept { return members_; }

 private:
  struct Slot {
    core::TimePoint due;   ///< not later than the store meant
    core::TimePoint from;  ///< not earlier
  };
  void drop_lost(core::TimePoint now);
  std::int64_t missing(core::TimePoint now, std::size_t waiting) const;
  std::int64_t per_trip() const;
  Milli target() const;
  void learn_share(core::TimePoint now, Milli share);
  void keep(core::TimePoint now, const Lease& lease);
  void stand_still(core::TimePoint until);
  bool nobody_calls(core::TimePoint now, std::size_t waiting) const;
  void go_local(core::TimePoint now);
  void go_shared(core::TimePoint now);
  void pace_share(core::TimePoint from);

  Settings settings_;
  MakeLocal make_local_;
  Observer observer_;
  Mode mode_ = Mode::shared;
  std::deque<Slot> slots_;
  struct Taken {
    core::TimePoint at, due;
  };
  std::deque<Taken> taken_;      ///< the last ones, whose calls may still leave late
  std::unique_ptr<Pace> local_;  ///< none: nothing may leave in local mode
  Milli limit_;
  Milli share_;
  Milli claims_ = 0;
  std::int64_t members_;
  std::int64_t sharing_ = 1;
  double use_;  ///< of the limit
  core::TimePoint slowed_at_ = core::TimePoint::min();
  std::optional<core::TimePoint> granted_at_;
  core::TimePoint frozen_until_{};
  core::Duration late_{}, late_told_{};
  bool freeze_news_ = false, freeze_told_ = false;
  std::optional<core::TimePoint> asked_at_;
  core::TimePoint beat_{};        ///< when the store must hear of this worker
  core::TimePoint used_{};        ///< somebody called, or wanted to
  bool resting_ = false;          ///< as the store was told last
  core::TimePoint retry_at_{};    ///< no request before
  core::TimePoint slots_from_{};  ///< no slots to be had before
  int failures_ = 0;
  std::optional<core::TimePoint> healthy_since_;
  std::optional<core::TimePoint> larger_since_;  ///< the store offers a larger share
};

}  // namespace stsync::limits
