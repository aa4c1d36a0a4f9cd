#include "sync/committer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/task_group.hpp"
#include "fake_runner.hpp"
#include "support/virtual_clock.hpp"
#include "sync/names.hpp"

namespace stsync::sync {
namespace {

using namespace std::chrono_literals;
using core::ErrorKind;
using kafka::Outcome;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::string kStream = stream_journal_key("acme", 1001, "jpm.jobs");

JournalEntry stream_at(const std::string& token) {
  v1::StreamState s;
  s.set_token(token);
  return {kStream, s};
}

Contribution named(const std::string& name, std::int64_t settled = -1) {
  Contribution c;
  c.messages.push_back({"t", -1, name, "v"});
  c.settled = settled;
  return c;
}

struct CommitterTest : ::testing::Test {
  void start() { tasks.spawn("committer", run()); }
  boost::asio::awaitable<void> run() { result = co_await committer.run(give_up.token()); }
  ~CommitterTest() override {
    committer.close();
    give_up.request_stop();
    clock.run_for(10s);
  }
  /// Keys of topic "t" by transaction.
  std::vector<std::vector<std::string>> keys() const {
    std::vector<std::vector<std::string>> out;
    for (const auto& transaction : runner.committed) {
      out.emplace_back();
      for (const auto& m : transaction)
        if (m.topic == "t") out.back().push_back(m.key);
    }
    return out;
  }
  std::string outcome(const std::shared_ptr<Ticket>& ticket) {
    std::string text = "open";
    auto wait = [](Ticket& t, std::string& out) -> boost::asio::awaitable<void> {
      auto r = co_await t.wait();
      out = r ? "ok" : std::string(core::to_string(r.error().kind()));
    };
    if (!ticket->ended()) return text;
    tasks.spawn("ticket", wait(*ticket, text));
    clock.run_for(0s);
    return text;
  }
  /// Aborts every transaction that holds one of these keys, for good.
  void refuse(std::set<std::string> bad, ErrorKind kind = ErrorKind::not_found) {
    runner.answer = [bad = std::move(bad), kind](const kafka::Batch& batch) {
      for (const auto& m : batch.messages)
        if (bad.contains(m.key)) return FakeRunner::failed(Outcome::aborted, kind);
      return FakeRunner::ok();
    };
  }

  boost::asio::io_context loop;
  test::VirtualClock clock{loop};
  FakeRunner runner{clock};
  Memory memory;
  int busy_lanes = 1;
  Committer committer{clock, runner, memory, {"st.journal", 2}, [this] { return busy_lanes; }, [](const auto&) {}};
  core::StopSource give_up;
  std::optional<core::Result<void>> result;
  core::TaskGroup tasks{loop.get_executor(), clock};
};

TEST_F(CommitterTest, WhatComesTogetherIsOneTransactionInItsOrder) {
  start();
  clock.run_for(1s);
  std::vector<std::shared_ptr<Ticket>> tickets;
  for (const auto* name : {"a", "b", "c"}) tickets.push_back(committer.submit(named(name)));
  EXPECT_FALSE(committer.idle());
  clock.run_for(1s);
  EXPECT_THAT(keys(), ElementsAre(ElementsAre("a", "b", "c")));
  for (const auto& t : tickets) EXPECT_EQ(outcome(t), "ok");
  EXPECT_TRUE(committer.idle());
}

TEST_F(CommitterTest, AnIdleLaneCommitsNothing) {
  start();
  clock.run_for(1h);
  EXPECT_THAT(runner.tried, IsEmpty());
}

TEST_F(CommitterTest, WhatComesDuringACommitGoesIntoTheNextOne) {
  runner.takes = 300ms;
  start();
  committer.submit(named("a"));
  clock.run_for(100ms);
  committer.submit(named("b"));
  clock.run_for(2s);
  EXPECT_THAT(keys(), ElementsAre(ElementsAre("a"), ElementsAre("b")));
}

TEST_F(CommitterTest, ATransactionHoldsAtMostTwiceTheBytesOfAGroup) {
  for (const auto* name : {"a", "b", "c", "d", "e"}) {
    auto c = named(name);
    c.bytes = CommitPacer::kBytes - 1;
    committer.submit(std::move(c));
  }
  auto huge = named("huge");
  huge.bytes = 10 * CommitPacer::kBytes;
  committer.submit(std::move(huge));
  start();
  clock.run_for(5s);
  EXPECT_THAT(keys(), ElementsAre(ElementsAre("a", "b"), ElementsAre("c", "d"), ElementsAre("e"), ElementsAre("huge")));
}

TEST_F(CommitterTest, TheLastEntryOfAJournalKeyStandsForAllAndTheHighestOffsetIsSent) {
  auto first = named("a", 5);
  first.journal.push_back(stream_at("one"));
  auto second = named("b", 7);
  second.journal.push_back(stream_at("two"));
  second.journal.push_back({"job/acme/1001/old", std::nullopt});
  committer.submit(std::move(first));
  committer.submit(std::move(second));
  committer.submit(named("c"));
  EXPECT_EQ(memory.stream(kStream).token(), "two");  // at once, before the commit
  start();
  clock.run_for(2s);
  ASSERT_EQ(runner.committed.size(), 1u);
  EXPECT_THAT(runner.offsets, ElementsAre(7));
  std::map<std::string, std::optional<std::string>> journal;
  for (const auto& m : runner.committed[0])
    if (m.topic == "st.journal") {
      EXPECT_EQ(m.partition, 2);
      EXPECT_TRUE(journal.emplace(m.key, m.value).second) << m.key << " twice";
    }
  ASSERT_EQ(journal.size(), 3u);
  Memory read;
  for (const auto& [key, value] : journal) EXPECT_TRUE(read.read(key, value));
  EXPECT_EQ(read.stream(kStream).token(), "two");
  EXPECT_EQ(read.offset(), 7);
  EXPECT_EQ(journal.at("job/acme/1001/old"), std::nullopt);
}

TEST_F(CommitterTest, NoOffsetIsSentWhenNoCommandWasSettled) {
  committer.submit(named("a"));
  start();
  clock.run_for(2s);
  ASSERT_THAT(runner.offsets, ElementsAre(-1));
  for (const auto& m : runner.committed[0]) EXPECT_NE(m.topic, "st.journal");
}

TEST_F(CommitterTest, AnAbortedTransactionIsRepeatedWithGrowingPausesUntilItSucceeds) {
  int left = 8;
  runner.answer = [&](const kafka::Batch&) {
    return left-- > 0 ? FakeRunner::failed(Outcome::aborted, ErrorKind::broker) : FakeRunner::ok();
  };
  runner.takes = {};
  bool counted = false;
  auto c = named("a");
  c.on_committed = [&] { counted = true; };
  const auto ticket = committer.submit(std::move(c));
  start();
  clock.run_for(1500ms);
  const auto other = committer.submit(named("b"));
  clock.run_for(14s);
  EXPECT_EQ(outcome(ticket), "open");
  EXPECT_FALSE(counted);
  clock.run_for(10s);
  EXPECT_EQ(outcome(ticket), "ok");
  EXPECT_TRUE(counted);
  EXPECT_EQ(outcome(other), "ok");
  EXPECT_THAT(keys(), ElementsAre(ElementsAre("a"), ElementsAre("b")));
  std::vector<core::Duration> pauses;
  for (std::size_t i = 1; i < 9; ++i) pauses.push_back(runner.tried[i] - runner.tried[i - 1]);
  EXPECT_THAT(pauses, ElementsAre(100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 5s, 5s));
}

TEST_F(CommitterTest, OnlyTheContributionToBlameFails) {
  refuse({"bad"}, ErrorKind::too_large);
  std::vector<std::shared_ptr<Ticket>> tickets;
  for (const auto* name : {"a", "bad", "c"}) tickets.push_back(committer.submit(named(name)));
  start();
  clock.run_for(5s);
  EXPECT_EQ(outcome(tickets[0]), "ok");
  EXPECT_EQ(outcome(tickets[1]), "too_large");
  EXPECT_EQ(outcome(tickets[2]), "ok");
  EXPECT_THAT(keys(), ElementsAre(ElementsAre("a"), ElementsAre("c")));
  EXPECT_TRUE(committer.idle());
  const auto after = committer.submit(named("d"));
  clock.run_for(5s);
  EXPECT_EQ(outcome(after), "ok");
}

TEST_F(CommitterTest, WhatTheOwnerBuiltOnItFailsTooAndTheMemoryGoesBackToWhatIsCommitted) {
  for (const bool during_commit : {false, true}) {
    memory.apply(stream_at("committed"));
    refuse({"p1"});
    const int job = 0;
    std::vector<std::shared_ptr<Ticket>> pages;
    const auto page = [&](const std::string& name, const std::string& token) {
      auto c = named(name);
      c.owner = &job;
      c.journal.push_back(stream_at(token));
      pages.push_back(committer.submit(std::move(c)));
    };
    const auto before = runner.committed.size();
    page("p1", "one");
    const auto other = committer.submit(named("other"));
    page("p2", "two");
    if (!during_commit)
      page("p3", "three");
    else
      runner.takes = 1s;
    if (!result && before == 0) start();
    clock.run_for(1200ms);
    if (during_commit) page("p3", "three");
    clock.run_for(30s);
    for (const auto& p : pages) EXPECT_EQ(outcome(p), "not_found");
    EXPECT_EQ(outcome(other), "ok");
    EXPECT_EQ(memory.stream(kStream).token(), "committed");
    EXPECT_EQ(runner.committed.size(), before + 1);
  }
}

TEST_F(CommitterTest, ALaterChangeOfSomebodyElseStandsWhenAnEarlierOneIsTakenBack) {
  memory.apply(stream_at("committed"));
  refuse({"page"});
  const int job = 0;
  auto page = named("page");
  page.owner = &job;
  page.journal.push_back(stream_at("of the page"));
  committer.submit(std::move(page));
  auto control = named("control");
  control.journal.push_back(stream_at("set by hand"));
  committer.submit(std::move(control));
  start();
  clock.run_for(5s);
  EXPECT_EQ(memory.stream(kStream).token(), "set by hand");
}

TEST_F(CommitterTest, WhenBothFailTheMemoryGoesBackToBeforeTheFirst) {
  memory.apply(stream_at("committed"));
  refuse({"page", "control"});
  auto page = named("page");
  page.journal.push_back(stream_at("of the page"));
  committer.submit(std::move(page));
  auto control = named("control");
  control.journal.push_back(stream_at("set by hand"));
  committer.submit(std::move(control));
  start();
  clock.run_for(5s);
  EXPECT_EQ(memory.stream(kStream).token(), "committed");
}

TEST_F(CommitterTest, DoubtAndFencingEndEverything) {
  for (const auto& [outcome_of, kind] :
       {std::pair(Outcome::doubt, ErrorKind::doubt), std::pair(Outcome::fenced, ErrorKind::fenced)}) {
    Committer c(clock, runner, memory, {"st.journal", 0}, [] { return 1; }, [](const auto&) {});
    runner.answer = [o = outcome_of](const kafka::Batch&) { return FakeRunner::failed(o, ErrorKind::broker); };
    std::optional<core::Result<void>> end;
    auto run = [](Committer& committer, core::StopToken stop,
                  std::optional<core::Result<void>>& out) -> boost::asio::awaitable<void> { out = co_await committer.run(stop); };
    const auto inside = c.submit(named("a"));
    tasks.spawn("committer", run(c, give_up.token(), end));
    clock.run_for(1ms);
    const auto queued = c.submit(named("b"));
    clock.run_for(2s);
    ASSERT_TRUE(end);
    ASSERT_FALSE(*end);
    EXPECT_EQ(end->error().kind(), kind);
    EXPECT_EQ(outcome(inside), core::to_string(kind));
    EXPECT_EQ(outcome(queued), core::to_string(kind));
    EXPECT_EQ(outcome(c.submit(named("late"))), core::to_string(kind));
    EXPECT_THAT(runner.committed, IsEmpty());
  }
}

TEST_F(CommitterTest, ACommandWhoseAnswerCannotBeWrittenIsReadAgainAndNotSteppedOver) {
  refuse({"2"});
  start();
  const auto one = committer.submit(named("1", 11));
  const auto two = committer.submit(named("2", 12));
  const auto three = committer.submit(named("3", 13));
  clock.run_for(5s);
  EXPECT_EQ(outcome(one), "ok");
  EXPECT_EQ(outcome(two), "doubt");
  EXPECT_EQ(outcome(three), "doubt");
  EXPECT_THAT(runner.offsets, ElementsAre(11));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->error().kind(), ErrorKind::doubt);
}

TEST_F(CommitterTest, DoubtWhileTakingApartEndsTheRestToo) {
  int n = 0;
  runner.answer = [&](const kafka::Batch&) {
    return n++ == 0 ? FakeRunner::failed(Outcome::aborted, ErrorKind::not_found)
                    : FakeRunner::failed(Outcome::doubt, ErrorKind::broker);
  };
  const auto a = committer.submit(named("a"));
  const auto b = committer.submit(named("b"));
  start();
  clock.run_for(5s);
  ASSERT_TRUE(result && !*result);
  EXPECT_EQ(outcome(a), "doubt");
  EXPECT_EQ(outcome(b), "doubt");
}

TEST_F(CommitterTest, ClosedItCommitsWhatIsThereAtOnceAndEnds) {
  start();
  clock.run_for(1s);
  committer.submit(named("first"));
  clock.run_for(10ms);
  const auto ticket = committer.submit(named("a"));
  committer.close();
  clock.run_for(10ms);
  EXPECT_EQ(outcome(ticket), "ok");
  ASSERT_TRUE(result);
  EXPECT_TRUE(*result);
}

TEST_F(CommitterTest, GivingUpEndsARepeatedTransaction) {
  runner.answer = [](const kafka::Batch&) { return FakeRunner::failed(Outcome::aborted, ErrorKind::broker); };
  const auto a = committer.submit(named("a"));
  start();
  clock.run_for(10s);
  const auto b = committer.submit(named("b"));
  give_up.request_stop();
  clock.run_for(10ms);
  ASSERT_TRUE(result && !*result);
  EXPECT_EQ(result->error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(outcome(a), "broker");
  EXPECT_EQ(outcome(b), "cancelled");
}

TEST(CommitPacer, SaysWhenToCommit) {
  const auto at = [](core::Duration d) { return core::TimePoint(d); };
  CommitPacer pacer;
  pacer.began(at(10s));
  const auto due = [&](std::size_t bytes, std::size_t pages, std::optional<core::Duration> oldest,
                       std::optional<core::Duration> urgent, int lanes) -> std::optional<core::Duration> {
    Backlog b{bytes, pages, {}, {}};
    if (oldest) b.oldest = at(*oldest);
    if (urgent) b.urgent = at(*urgent);
    const auto when = pacer.due(b, lanes);
    if (!when) return std::nullopt;
    return when->time_since_epoch();
  };
  EXPECT_EQ(due(0, 0, std::nullopt, std::nullopt, 1), std::nullopt);             // nothing waits
  EXPECT_EQ(due(1, 1, 10'010ms, std::nullopt, 1), 10'050ms);                     // one lane: 20 a second
  EXPECT_EQ(due(1, 1, 10'010ms, std::nullopt, 0), 10'050ms);                     // never divides by no lane
  EXPECT_EQ(due(1, 1, 10'010ms, std::nullopt, 10), 10'500ms);                    // its share of ten
  EXPECT_EQ(due(1, 1, 10'010ms, std::nullopt, 1000), 11s);                       // a second at the latest
  EXPECT_EQ(due(1, 1, 12s, std::nullopt, 10), 12s);                              // long quiet: at once
  EXPECT_EQ(due(CommitPacer::kBytes, 1, 10'010ms, std::nullopt, 10), 10'010ms);  // full
  EXPECT_EQ(due(1, CommitPacer::kPages, 10'010ms, std::nullopt, 10), 10'010ms);
  EXPECT_EQ(due(CommitPacer::kBytes - 1, CommitPacer::kPages - 1, 10'010ms, std::nullopt, 10), 10'500ms);
  EXPECT_EQ(due(1, 1, 10'010ms, 10'020ms, 10), 10'100ms);  // somebody waits
  EXPECT_EQ(due(1, 1, 10'010ms, 10'300ms, 10), 10'300ms);
  EXPECT_EQ(due(1, 1, 10'010ms, 10'900ms, 10), 10'500ms);  // never later than without
}

}  // namespace
}  // namespace stsync::sync
