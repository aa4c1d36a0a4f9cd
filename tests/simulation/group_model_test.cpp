#include "simulation/group_model.hpp"

#include <gtest/gtest.h>

namespace stsync::simulation {
namespace {

using namespace std::chrono_literals;
using Identity = GroupModel::Identity;
using Partitions = std::vector<std::int32_t>;

struct Group : ::testing::Test {
  Identity join(Identity who) {
    const auto joined = group.join(who, 45s, now);
    EXPECT_EQ(joined.code, Code::ok);
    who.member = joined.member;
    return who;
  }
  /// The partitions of a member that has joined.
  Partitions take(Identity& who) {
    const auto a = group.sync(who, now);
    EXPECT_EQ(a.code, Code::ok);
    who.generation = a.generation;
    return a.partitions;
  }
  GroupModel group{4};
  core::TimePoint now{};
};

TEST_F(Group, TheFirstMemberHasEverything) {
  auto a = join({});
  EXPECT_EQ(take(a), (Partitions{0, 1, 2, 3}));
  EXPECT_EQ(group.heartbeat(a, now), Code::ok);
  EXPECT_EQ(group.check(a), Code::ok);
}

TEST_F(Group, ANewMemberWaitsUntilAllHaveJoinedAgain) {
  auto a = join({});
  take(a);
  auto b = join({});
  EXPECT_EQ(group.sync(b, now).code, Code::rebalance);
  EXPECT_EQ(group.heartbeat(a, now), Code::rebalance);
  EXPECT_EQ(group.check(a), Code::ok) << "the last transaction of the old generation";
  join(a);
  EXPECT_EQ(group.check(a), Code::illegal_generation);
  EXPECT_EQ(take(a), (Partitions{0, 1}));
  EXPECT_EQ(take(b), (Partitions{2, 3}));
}

TEST_F(Group, WhoIsNotHeardOfIsOut) {
  auto a = join({});
  take(a);
  auto b = join({});
  join(a);
  take(a);
  take(b);
  now += 40s;
  EXPECT_EQ(group.heartbeat(b, now), Code::ok);
  now += 10s;
  group.tick(now);
  EXPECT_EQ(group.heartbeat(a, now), Code::unknown_member);
  EXPECT_EQ(group.heartbeat(b, now), Code::rebalance);
  join(b);
  EXPECT_EQ(take(b), (Partitions{0, 1, 2, 3}));
}

TEST_F(Group, WhileItMovesNobodyIsAnsweredAndNobodyIsOut) {
  auto a = join({});
  take(a);
  group.move_until(now + 60s);
  now += 59s;
  group.tick(now);
  EXPECT_EQ(group.heartbeat(a, now), Code::not_now);
  EXPECT_EQ(group.sync(a, now).code, Code::not_now);
  EXPECT_EQ(group.join({}, 45s, now).code, Code::not_now);
  now += 40s;
  group.tick(now);
  EXPECT_EQ(group.heartbeat(a, now), Code::ok) << "its session begins anew with the move";
  now += 46s;
  group.tick(now);
  EXPECT_EQ(group.heartbeat(a, now), Code::unknown_member);
}

TEST_F(Group, WhoLeavesIsOutAtOnce) {
  auto a = join({});
  take(a);
  auto b = join({});
  join(a);
  take(a);
  take(b);
  group.leave(b, now);
  EXPECT_EQ(group.check(b), Code::unknown_member);
  join(a);
  EXPECT_EQ(take(a).size(), 4u);
}

TEST_F(Group, AStaticMemberThatComesBackTakesItsPlaceWithoutARebalance) {
  auto a = join({"", "w-0", -1});
  take(a);
  auto b = join({"", "w-1", -1});
  join(a);
  const auto had = take(a);
  take(b);
  auto again = join({"", "w-0", -1});
  EXPECT_EQ(take(again), had);
  EXPECT_EQ(again.generation, b.generation);
  EXPECT_EQ(group.check(a), Code::fenced_instance);
  EXPECT_EQ(group.heartbeat(a, now), Code::fenced_instance);
  EXPECT_EQ(group.heartbeat(b, now), Code::ok);
}

TEST_F(Group, ARebalanceGoesOnWithoutThoseWhoDoNotJoin) {
  auto a = join({});
  take(a);
  auto b = join({});
  for (; now < core::TimePoint(GroupModel::kRebalanceTimeout); now += 5s) {
    group.heartbeat(a, now);
    group.sync(b, now);
    group.tick(now);
  }
  EXPECT_EQ(group.sync(b, now).code, Code::rebalance);
  group.tick(now);
  EXPECT_EQ(take(b).size(), 4u);
  EXPECT_EQ(group.heartbeat(a, now), Code::unknown_member);
}

TEST_F(Group, ItIsNotKnownUnderAnOldName) { EXPECT_EQ(group.join({"somebody", "", -1}, 45s, now).code, Code::unknown_member); }

}  // namespace
}  // namespace stsync::simulation
