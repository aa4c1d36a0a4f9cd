#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "simulation/codes.hpp"

namespace stsync::simulation {

/// The coordinator of one consumer group over one topic: who is a member, which generation it is, who has which partitions. Range
/// assignor, eager rebalances. Time is told from outside. Pure.
class GroupModel {
 public:
  explicit GroupModel(int partitions) : partitions_(partitions) {}

  /// Who a request says it comes from.
  struct Identity {
    std::string member;
    std::string instance;  ///< static membership; empty: none
    std::int32_t generation = -1;
  };
  struct Joined {
    Code code = Code::ok;
    std::string member;
  };
  struct Assignment {
    Code code = Code::ok;
    std::int32_t generation = -1;
    std::vector<std::int32_t> partitions;
  };

  /// An empty `who.member` is given a new one. Here and below not_now: the group moves. unknown_member, fenced_instance. A static
  /// member that comes back takes its place and its partitions over; any other join begins a rebalance.
  Joined join(const Identity& who, core::Duration session, core::TimePoint now);
  /// What a member that has joined waits for. rebalance: not yet; unknown_member, fenced_instance.
  Assignment sync(const Identity& who, core::TimePoint now);
  /// rebalance: give everything back and join again. illegal_generation, unknown_member, fenced_instance.
  Code heartbeat(const Identity& who, core::TimePoint now);
  void leave(const Identity& who, core::TimePoint now);
  /// Whether this member may commit offsets.
  Code check(const Identity& who) const;
  /// Another broker takes the group over: until then there is no answer, and members count as heard of at its end.
  void move_until(core::TimePoint end) { moving_until_ = end; }
  bool moves(core::TimePoint now) const noexcept { return now < moving_until_; }
  /// Ends sessions that ran out, and rebalances that have waited long enough.
  void tick(core::TimePoint now);

  /// The member that has the partition; nothing: a rebalance goes on, or nobody has it.
  std::optional<std::string> owner(std::int32_t partition) const;
  std::int32_t generation() const noexcept { return generation_; }
  std::size_t size() const noexcept { return members_.size(); }

  /// How long a rebalance waits for members that do not join again.
  static constexpr core::Duration kRebalanceTimeout = std::chrono::seconds(300);

 private:
  struct Member {
    std::string instance;
    core::Duration session{};
    core::TimePoint heard{};
    bool joined = false;  ///< the rebalance that goes on
    std::vector<std::int32_t> partitions;
  };

  Code known(const Identity& who) const;
  void rebalance(core::TimePoint now);
  void complete_when_all_joined();
  void assign();

  const int partitions_;
  std::map<std::string, Member> members_;
  std::map<std::string, std::string> by_instance_;
  std::int32_t generation_ = 0;
  int next_member_ = 0;
  bool preparing_ = false;
  core::TimePoint since_{};
  core::TimePoint moving_until_{};
};

}  // namespace stsync::simulation
