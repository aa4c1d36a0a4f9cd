#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "limits/lease.hpp"

namespace stsync::limits::test {

/// What the script in Redis does, on a clock that the test moves. redis_store_test.cpp compares the two.
class StoreModel {
 public:
  struct Answer {
    std::int64_t given = 0, wait = 0, interval = 0, again = 0, frozen = 0, offer = 0, claims = 0, members = 0, sharing = 0;
    friend bool operator==(const Answer&, const Answer&) = default;
  };

  /// `clock` in microseconds.
  Answer lease(std::int64_t clock, const std::string& me, const LeaseRequest& r) {
    auto& s = limits_.try_emplace(r.limit, State{clock + kSecond, clock, clock, 0, 0, 0, {}}).first->second;
    const auto now = tick(s, clock);
    if (now - s.last > kSecond) s.tat = std::max(s.tat, now + kSecond);
    const auto freeze = micros(r.freeze);
    if (freeze > 0) s.frozen = std::max(s.frozen, now + std::min(freeze, kLongest));
    if (s.frozen > now + kLongest) s.frozen = now;
    if (s.tat > now + kLongest) s.tat = now + kSecond;
    s.tat = std::max(s.tat, s.frozen);
    const auto late = micros(r.late);
    if (late > 0) s.tat = std::max(s.tat, now) + std::min(late, kSecond);

    std::int64_t others = 0, sharing = 0;
    Milli claims = 0, kept = 0, mine = r.known > 0 ? r.share : 0;
    for (auto at = s.members.begin(); at != s.members.end();) {
      const auto& m = at->second;
      if (at->first == me) {
        mine = m.claim;
      } else if (now - m.seen > kMemory) {
        s.known -= m.claim;
        at = s.members.erase(at);
        continue;
      } else {
        ++others;
        claims += m.claim;
        const auto alone = m.how == Sharing::alone || (m.how == Sharing::leased && now - m.seen > kShared);
        if (alone) kept += m.claim;
        if (!alone && m.how == Sharing::leased) ++sharing;
      }
      ++at;
    }
    if (!s.members.contains(me) && now - s.born < kBirth) s.known = std::max(s.known, r.known);
    const auto hearsay = now - s.born < kMemory ? std::max<Milli>(0, s.known - claims - mine) : 0;
    const auto count = std::max(others + 1, r.least);
    const auto missing = std::max((count - others - 1) * own_share(r.per_second, count), hearsay);
    kept += missing;

    auto offer = std::max<Milli>(0, std::min(own_share(r.per_second, count), r.per_second - claims - missing));
    if (offer >= 1000) offer = offer / 1000 * 1000;
    if (r.sharing == Sharing::alone) offer = std::min(offer, r.share);
    const auto claim = std::max(offer, r.share);
    s.known += claim - mine;
    if (r.sharing == Sharing::leased) ++sharing;
    auto pool = r.per_second - kept;
    if (kept > 0 && pool >= 1000) pool = pool / 1000 * 1000;

    Answer a;
    a.again = kAhead;
    if (r.slots > 0 && r.sharing == Sharing::leased && pool > 0) {
      a.interval = (r.per_second * 1'000'000'000 + pool * r.target - 1) / (pool * r.target);
      const auto first = std::max(s.tat, now);
      const auto reach = now + kAhead - first;
      const auto room = reach < 0 ? 0 : reach / a.interval + 1;
      a.given = std::min(r.slots, room);
      a.wait = first - now;
      a.again = std::max<std::int64_t>(0, a.wait - kAhead);
      if (a.given > 0) s.tat = first + a.given * a.interval;
    }
    s.last = now;
    s.members[me] = {now, r.sharing, claim};
    a.frozen = std::max<std::int64_t>(0, s.frozen - now);
    a.offer = offer;
    a.claims = claims + claim + hearsay;
    a.members = count;
    a.sharing = sharing;
    return a;
  }
  void leave(const std::string& me, const std::string& limit) {
    const auto at = limits_.find(limit);
    if (at == limits_.end()) return;
    const auto member = at->second.members.find(me);
    if (member == at->second.members.end()) return;
    at->second.known -= member->second.claim;
    at->second.members.erase(member);
  }
  void forget() { limits_.clear(); }

 private:
  static constexpr std::int64_t kSecond = 1'000'000, kMemory = 600 * kSecond, kLongest = 330 * kSecond, kBirth = 10 * kSecond;
  static std::int64_t micros(core::Duration d) { return std::chrono::duration_cast<std::chrono::microseconds>(d).count(); }
  static constexpr std::int64_t kAhead =
      std::chrono::microseconds(std::chrono::duration_cast<std::chrono::microseconds>(kLeaseAhead)).count();
  static constexpr std::int64_t kShared = std::chrono::duration_cast<std::chrono::microseconds>(kSharedFor).count();

  struct Member {
    std::int64_t seen;
    Sharing how;
    Milli claim;
  };
  struct State {
    std::int64_t tat, last, born, shift, known, frozen;
    std::map<std::string, Member> members;
  };
  static std::int64_t tick(State& s, std::int64_t clock) {
    const auto now = clock + s.shift;
    if (now >= s.last) return now;
    s.shift += s.last - now;
    return s.last;
  }

  std::map<std::string, State> limits_;
};

}  // namespace stsync::limits::test
