#include "sync/stream_gate.hpp"

#include <gmock/gmock.h>

#include "job_play.hpp"

namespace stsync::sync {
namespace {

using namespace std::chrono_literals;

/// Jobs in the order in which pages of theirs became visible: "hhgh…".
std::string pages(const World& w, int rows_of_a_page) {
  std::string out;
  int rows = 0;
  for (const auto& m : w.of("st.jpm.jobs"))
    if (rows++ % rows_of_a_page == 0) out += m.headers.at("st-job").front();
  return out;
}

class TwoJobsOfAStream : public testing::Test {
 protected:
  Job& host() { return life.start(sync_command(v1::full, "h"), {&gate, false}); }
  Job& guest() { return life.start(sync_command(v1::full, "g"), {&gate, true}); }
  World w;
  StreamGate gate{w.clock};
  Life life{w};
};

TEST_F(TwoJobsOfAStream, E7_TakeTurnsPageByPage) {
  w.feed.rows = 200;
  host();
  w.clock.run_for(200ms);
  guest();
  ASSERT_TRUE(w.clock.run_until([this] { return life.ended.contains("h"); }, 1h));
  gate.host_gone();  // as the lane does when a job has ended
  ASSERT_TRUE(life.run());
  const auto order = pages(w, w.feed.page);
  EXPECT_EQ(std::count(order.begin(), order.end(), 'h'), 20);
  EXPECT_EQ(std::count(order.begin(), order.end(), 'g'), 20);
  const auto first = order.find('g'), last = order.rfind('h');
  EXPECT_LE(first, 6u) << "it waits for no more than what was fetched";
  for (auto i = first; i < last; ++i) EXPECT_NE(order[i], order[i + 1]) << order << " at " << i;
}

TEST_F(TwoJobsOfAStream, EachGoesOnAloneWhenTheOtherIsGone) {
  for (const bool host_goes : {true, false}) {
    World world;
    StreamGate between(world.clock);
    Life both(world);
    auto& h = both.start(sync_command(v1::full, "h"), {&between, false});
    auto& g = both.start(sync_command(v1::full, "g"), {&between, true});
    world.clock.run_for(150ms);
    (host_goes ? h : g).cancel();
    world.clock.run_for(100ms);
    ASSERT_EQ(both.ended.size(), 1u);
    host_goes ? between.host_gone() : between.leave();
    ASSERT_TRUE(both.run(10s));
    EXPECT_EQ(world.memory().job(job_journal_key("acme", 1001, host_goes ? "g" : "h"))->phase(), v1::JobState::completed);
  }
}

TEST_F(TwoJobsOfAStream, AGuestThatIsStoppedWhileItWaitsHoldsNobodyUp) {
  w.feed.takes = 10s;
  host();
  w.clock.run_for(1s);
  auto& g = guest();
  w.clock.run_for(1s);
  g.cancel();
  w.clock.run_for(1s);
  EXPECT_EQ(life.ended.count("g"), 1u);
  ASSERT_TRUE(life.run(2min));
  EXPECT_EQ(w.memory().job(job_journal_key("acme", 1001, "h"))->phase(), v1::JobState::completed);
}

TEST_F(TwoJobsOfAStream, AHostThatIsStoppedWhileItLetsByEnds) {
  auto& h = host();
  w.clock.run_for(100ms);
  w.feed.takes = 10s;
  guest();
  w.clock.run_for(2s);
  h.cancel();
  w.clock.run_for(12s);
  EXPECT_EQ(life.ended.count("h"), 1u);
  gate.host_gone();
  ASSERT_TRUE(life.run(2min));
}

}  // namespace
}  // namespace stsync::sync
