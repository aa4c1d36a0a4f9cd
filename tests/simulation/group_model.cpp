#include "simulation/group_model.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace stsync::simulation {

using core::TimePoint;

Code GroupModel::known(const Identity& who) const {
  if (!who.instance.empty()) {
    const auto it = by_instance_.find(who.instance);
    if (it == by_instance_.end()) return Code::unknown_member;
    return it->second == who.member ? Code::ok : Code::fenced_instance;
  }
  return members_.contains(who.member) ? Code::ok : Code::unknown_member;
}

GroupModel::Joined GroupModel::join(const Identity& who, core::Duration session, TimePoint now) {
  if (moves(now)) return {Code::not_now, {}};
  if (!who.member.empty()) {
    if (const auto code = known(who); code != Code::ok) return {code, {}};
    auto& m = members_.at(who.member);
    m.heard = now;
    rebalance(now);
    m.joined = true;
    complete_when_all_joined();
    return {Code::ok, who.member};
  }
  auto id = fmt::format("{}-{:05}", who.instance.empty() ? "member" : who.instance, ++next_member_);
  Member fresh{who.instance, session, now, true, {}};
  const auto twin = who.instance.empty() ? by_instance_.end() : by_instance_.find(who.instance);
  if (twin != by_instance_.end()) {
    fresh.partitions = members_.at(twin->second).partitions;
    members_.erase(twin->second);
    twin->second = id;
  } else {
    if (!who.instance.empty()) by_instance_[who.instance] = id;
    rebalance(now);
  }
  members_[id] = std::move(fresh);
  complete_when_all_joined();
  return {Code::ok, id};
}

GroupModel::Assignment GroupModel::sync(const Identity& who, TimePoint now) {
  if (moves(now)) return {Code::not_now, -1, {}};
  if (const auto code = known(who); code != Code::ok) return {code, -1, {}};
  auto& m = members_.at(who.member);
  m.heard = now;
  if (preparing_) return {Code::rebalance, -1, {}};
  return {Code::ok, generation_, m.partitions};
}

Code GroupModel::heartbeat(const Identity& who, TimePoint now) {
  if (moves(now)) return Code::not_now;
  if (const auto code = known(who); code != Code::ok) return code;
  members_.at(who.member).heard = now;
  if (who.generation != generation_) return Code::illegal_generation;
  return preparing_ ? Code::rebalance : Code::ok;
}

void GroupModel::leave(const Identity& who, TimePoint now) {
  if (moves(now) || known(who) != Code::ok) return;
  by_instance_.erase(members_.at(who.member).instance);
  members_.erase(who.member);
  rebalance(now);
  complete_when_all_joined();
}

Code GroupModel::check(const Identity& who) const {
  if (const auto code = known(who); code != Code::ok) return code;
  return who.generation == generation_ ? Code::ok : Code::illegal_generation;
}

std::optional<std::string> GroupModel::owner(std::int32_t partition) const {
  if (preparing_) return std::nullopt;
  for (const auto& [id, m] : members_)
    if (std::find(m.partitions.begin(), m.partitions.end(), partition) != m.partitions.end()) return id;
  return std::nullopt;
}

void GroupModel::tick(TimePoint now) {
  if (moves(now)) return;
  const auto expired = [&](const Member& m) {
    const bool slow = preparing_ && !m.joined && now - since_ >= kRebalanceTimeout;
    return slow || now - std::max(m.heard, moving_until_) > m.session;
  };
  bool gone = false;
  for (auto it = members_.begin(); it != members_.end();) {
    if (!expired(it->second)) {
      ++it;
      continue;
    }
    by_instance_.erase(it->second.instance);
    it = members_.erase(it);
    gone = true;
  }
  if (gone) rebalance(now);
  complete_when_all_joined();
}

void GroupModel::rebalance(TimePoint now) {
  if (preparing_) return;
  preparing_ = true;
  since_ = now;
  for (auto& [id, m] : members_) m.joined = false;
}

void GroupModel::complete_when_all_joined() {
  if (!preparing_) return;
  if (!std::all_of(members_.begin(), members_.end(), [](const auto& m) { return m.second.joined; })) return;
  preparing_ = false;
  ++generation_;
  assign();
}

/// Contiguous ranges in the order of the members' ids.
void GroupModel::assign() {
  const auto count = static_cast<int>(members_.size());
  int index = 0;
  int next = 0;
  for (auto& [id, m] : members_) {
    m.partitions.clear();
    const int share = partitions_ / count + (index++ < partitions_ % count ? 1 : 0);
    for (int i = 0; i < share; ++i) m.partitions.push_back(next++);
  }
}

}  // namespace stsync::simulation
