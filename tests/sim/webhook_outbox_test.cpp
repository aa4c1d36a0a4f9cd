// Which event is sent when, without a clock or a connection.
#include <gmock/gmock.h>

#include <set>

#include "sim/webhook_outbox.hpp"

namespace stsync::sim {
namespace {

using namespace std::chrono_literals;
using core::TimePoint;
using ::testing::ElementsAre;

constexpr core::WallTime kWall{std::chrono::milliseconds(1'767'225'600'000)};

WebhookEvent event(const std::string& id, std::size_t bytes = 10) {
  WebhookEvent out;
  out.id = id;
  out.data.assign(bytes, ' ');
  return out;
}

struct Outbox : ::testing::Test {
  TimePoint now{};

  /// Takes everything that is due, and answers it.
  std::vector<std::string> send(WebhookOutbox& box, bool accepted) {
    std::vector<std::string> out;
    while (auto delivery = box.take(now, kWall)) {
      out.push_back(delivery->record->event.id);
      box.finish(std::move(*delivery), accepted, now, kWall);
    }
    return out;
  }
};

TEST_F(Outbox, WhatFailsGoesOutAgainAfterTenThirtySixtyAndThreeHundredSecondsAndThenNoMore) {
  WebhookOutbox box(1, {});
  box.add(event("a"), now);
  std::vector<std::int64_t> waits;
  for (auto before = now; box.next_due(); before = now) {
    now = *box.next_due();
    waits.push_back(std::chrono::duration_cast<std::chrono::seconds>(now - before).count());
    EXPECT_THAT(send(box, false), ElementsAre("a"));
  }
  EXPECT_THAT(waits, ElementsAre(0, 10, 30, 60, 300));
  EXPECT_EQ(box.counts().sent, 5u);
  EXPECT_EQ(box.counts().retried, 4u);
  EXPECT_EQ(box.counts().given_up, 1u);
  EXPECT_EQ(box.counts().accepted, 0u);
  EXPECT_EQ(box.remembered().front()->tries, 5u);
}

TEST_F(Outbox, AYesAtAnyTryEndsIt) {
  WebhookOutbox box(1, {});
  box.retry_scale = 10;
  box.add(event("a"), now);
  send(box, false);
  now += 999ms;
  EXPECT_THAT(send(box, true), ElementsAre());
  now += 1ms;
  EXPECT_THAT(send(box, true), ElementsAre("a"));
  EXPECT_FALSE(box.next_due());
  EXPECT_EQ(box.counts().accepted, 1u);
  EXPECT_EQ(box.remembered().front()->accepted, kWall);
}

TEST_F(Outbox, EventsGoOutInTheOrderInWhichTheyCameAndRetriesWhenTheirTimeComes) {
  WebhookOutbox box(1, {});
  box.add(event("a"), now);
  send(box, false);
  now += 9s;
  box.add(event("b"), now);
  box.add(event("c"), now);
  now += 2s;
  EXPECT_THAT(send(box, true), ElementsAre("b", "c", "a"));
}

TEST_F(Outbox, DuplicatesAreTheSameEventInDeliveriesOfTheirOwn) {
  WebhookOutbox box(1, {});
  box.duplicates = 1;
  box.add(event("a"), now);
  const auto first = box.take(now, kWall), second = box.take(now, kWall);
  ASSERT_TRUE(first && second) << "both are under way at once";
  EXPECT_EQ(first->record->event.id, second->record->event.id);
  EXPECT_NE(first->id, second->id);
  box.finish(*first, true, now, kWall);
  box.finish(*second, true, now, kWall);
  EXPECT_EQ(box.counts().accepted, 1u) << "of one event";
  EXPECT_EQ(box.counts().sent, 2u);
}

TEST_F(Outbox, AShareOfTheEventsComesTwice) {
  WebhookOutbox box(1, {});
  box.duplicates = 0.25;
  for (int i = 0; i < 1000; ++i) box.add(event(std::to_string(i)), now);
  const auto extra = send(box, true).size() - 1000;
  EXPECT_GT(extra, 150u);
  EXPECT_LT(extra, 350u);
}

TEST_F(Outbox, ADuplicateThatFailsGivesNothingUpWhileTheOtherOneGoesOn) {
  WebhookOutbox box(1, {});
  box.duplicates = 1;
  box.add(event("a"), now);
  for (int i = 0; i < 5; ++i) {
    const auto one = box.take(now, kWall), other = box.take(now, kWall);
    ASSERT_TRUE(one && other);
    box.finish(*one, false, now, kWall);
    EXPECT_EQ(box.counts().given_up, 0u);
    box.finish(*other, false, now, kWall);
    if (box.next_due()) now = *box.next_due();
  }
  EXPECT_EQ(box.counts().given_up, 1u) << "once, although both failed";
}

TEST_F(Outbox, BeyondItsBoundsEventsAreGivenUpAndTheOldestGoOnWaiting) {
  WebhookOutbox box(1, {.waiting = 2, .remembered = 10, .bytes = 1000});
  for (const auto* id : {"a", "b", "c"}) box.add(event(id), now);
  EXPECT_EQ(box.waiting(), 2u);
  EXPECT_EQ(box.counts().given_up, 1u);
  EXPECT_THAT(send(box, true), ElementsAre("a", "b"));
  box.add(event("large", 2000), now);
  EXPECT_EQ(box.counts().given_up, 2u);
  box.add(event("d", 600), now);
  box.add(event("e", 600), now);
  EXPECT_EQ(box.counts().given_up, 3u);
  EXPECT_THAT(send(box, true), ElementsAre("d"));
  box.add(event("f", 600), now);
  EXPECT_THAT(send(box, true), ElementsAre("f")) << "what was sent takes no room any more";
}

TEST_F(Outbox, TheNewestAreRememberedByNumberAndByBytes) {
  WebhookOutbox box(1, {.waiting = 10, .remembered = 3, .bytes = 1000});
  for (const auto* id : {"a", "b", "c", "d"}) box.add(event(id), now);
  EXPECT_EQ(box.remembered().size(), 3u);
  EXPECT_FALSE(box.replay("a", now));
  EXPECT_THAT(send(box, true), ElementsAre("a", "b", "c", "d")) << "what is forgotten is delivered all the same";
  box.add(event("e", 990), now);
  EXPECT_EQ(box.remembered().size(), 2u);
}

TEST_F(Outbox, AReplayDeliversWhateverBecameOfTheEvent) {
  WebhookOutbox box(1, {});
  box.add(event("lost"), now);
  while (box.next_due()) {
    now = *box.next_due();
    send(box, false);
  }
  box.add(event("taken"), now);
  send(box, true);
  ASSERT_EQ(box.counts().given_up, 1u);
  EXPECT_FALSE(box.replay("unknown", now));
  EXPECT_TRUE(box.replay("lost", now));
  EXPECT_EQ(box.counts().given_up, 0u);
  EXPECT_THAT(send(box, false), ElementsAre("lost"));
  EXPECT_EQ(*box.next_due() - now, 10s) << "its tries begin anew";
  now += 10s;
  EXPECT_THAT(send(box, true), ElementsAre("lost"));
  EXPECT_EQ(box.counts().accepted, 2u);
  EXPECT_EQ(box.replay_all(now), 2u);
  EXPECT_THAT(send(box, true), ElementsAre("lost", "taken"));
  EXPECT_EQ(box.counts().accepted, 2u);
}

}  // namespace
}  // namespace stsync::sim
