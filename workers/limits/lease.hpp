#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/error.hpp"

namespace stsync::limits {

/// Rates in a store are whole thousandths of a call a second: every worker and the script then round alike.
using Milli = std::int64_t;

/// The store grants no slot further ahead than this, so slots that are lost or outdated are few.
inline constexpr core::Duration kLeaseAhead = std::chrono::milliseconds(300);
/// A member that was silent for this long counts as one that uses its own share.
inline constexpr core::Duration kSharedFor = std::chrono::seconds(1);
/// How long connecting and one trip to the store may take together.
inline constexpr core::Duration kTripTime = std::chrono::milliseconds(250);
/// Who leaves the shared limit starts on its share after this: the store has noticed by then, the slots it granted before are used
/// up, and a request that was on its way is read or lost.
inline constexpr core::Duration kSwitchPause = kLeaseAhead + kSharedFor + std::chrono::milliseconds(200);

/// What each of `members` may use of a limit when none of them knows of the others: whole calls a second where it is at least one,
/// so that evenly paced streams never add up to more in any second.
constexpr Milli own_share(Milli limit, std::int64_t members) {
  const auto share = limit * 9 / (10 * (members < 1 ? 1 : members));
  return share >= 1000 ? share / 1000 * 1000 : share;
}

/// How a worker uses a limit that is shared.
enum class Sharing : std::uint8_t {
  leased,  ///< by slots of the store; one that falls silent is taken for alone
  alone,   ///< by its own share
  resting  ///< not at all: it asks before it calls again, or finds the store gone and is alone then
};

/// What one worker tells and asks about one limit.
struct LeaseRequest {
  std::string limit;  ///< its name, the same in every worker
  Milli per_second = 0;
  Milli target = 0;        ///< what this worker aims at, below per_second
  std::int64_t slots = 0;  ///< at most so many; 0: only to be heard
  Sharing sharing = Sharing::leased;
  Milli share = 0;          ///< what it uses, or would use at once, without the store
  std::int64_t least = 1;   ///< configured: at least so many workers share the limit
  Milli known = 0;          ///< Lease::claims when it last heard, 0: it never did; helps a store that forgot
  core::Duration freeze{};  ///< the vendor asked to wait this long from now
  core::Duration late{};    ///< slots were used this much later than the pace allows for
};

/// What the store answers. Times are those of this worker's Clock.
struct Lease {
  core::TimePoint first;         ///< not before the turn of the first slot, whenever within the trip the store looked
  core::Duration doubt{};        ///< it may have been due this much earlier
  core::Duration interval{};     ///< between slots
  std::int64_t slots = 0;        ///< granted
  core::TimePoint again;         ///< when none were: not worth asking before
  core::TimePoint frozen_until;  ///< somebody was told to wait
  Milli share = 0;               ///< what this worker may use when it loses the store
  Milli claims = 0;              ///< what all workers together would use without it
  std::int64_t members = 1;      ///< that share the limit, as far as the store knows
  std::int64_t shared = 1;       ///< of these, in shared mode
};

/// Where the workers meet. Blocking, for one helper thread.
class LeaseStore {
 public:
  virtual ~LeaseStore() = default;
  /// All requests in one trip; the leases in the same order. network, timeout, protocol, bad_config: none of them counts.
  virtual core::Result<std::vector<Lease>> lease(const std::vector<LeaseRequest>& requests) = 0;
  /// This worker ends: the others need not keep its share of these limits.
  virtual core::Result<void> leave(const std::vector<std::string>& limits) = 0;
};

}  // namespace stsync::limits
