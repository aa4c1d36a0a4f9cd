// What is checked of the statuses of jobs: orders, cursors, pages fetched again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "codec/wire.hpp"
#include "kafka/client.hpp"
#include "simulation/controls.hpp"
#include "simulation/cursor_check.hpp"
#include "simulation/fetch_check.hpp"
#include "support/virtual_clock.hpp"
#include "sync/names.hpp"
#include "sync/status.hpp"

namespace stsync::simulation {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kJob = "acme/1001/j1";

/// Statuses of one tenant, each in a transaction of its own: the first ends as number 1.
struct Histories : ::testing::Test {
  Histories() {
    cluster.broker.create_topic("st.status", 1);
    producer = cluster.broker.init_producer("t", std::chrono::seconds(60), {});
  }
  static core::WallTime at(int seconds) { return core::WallTime(std::chrono::seconds(seconds)); }
  void tell(v1::StatusEvent::Type type, const std::string& job = "j1", int seconds = 0) {
    v1::StatusEvent e;
    e.set_type(type);
    e.set_job(job);
    e.set_app("acme");
    e.set_tenant(1001);
    sync::set_time(*e.mutable_time(), at(seconds));
    Entry entry;
    entry.value = codec::to_json(e);
    cluster.broker.produce("t", producer, "st.status", 0, told++, {entry}, {});
    cluster.broker.end_transaction("t", producer, true, {});
    statuses.read_on();
  }
  v1::Command& send(const std::string& id) {
    v1::Command c;
    c.set_id(id);
    c.set_app("acme");
    c.set_tenant(1001);
    sent.push_back(c);
    return sent.back();
  }
  void run_job() {
    send("j1").mutable_sync()->set_resource("jpm.jobs");
    tell(v1::StatusEvent::accepted);
    tell(v1::StatusEvent::started);
  }

  boost::asio::io_context loop;
  test::VirtualClock clock{loop};
  core::Rng rng{1};
  SimCluster cluster{loop.get_executor(), clock, rng, "st.commands", 4};
  VendorModel vendor{clock, rng};
  ProducerId producer;
  std::int64_t told = 0;
  StatusReader statuses{cluster.broker, "st.status"};
  std::vector<v1::Command> sent;
};

struct Orders : Histories {
  std::vector<std::string> problems(std::set<std::uint64_t> pages) const {
    return check_controls(Controls(statuses, sent), statuses, {{kJob, std::move(pages)}});
  }
};

TEST_F(Orders, ACancelledJobMayPublishThePageUnderWay) {
  run_job();
  send("c2").mutable_cancel()->set_job("j1");
  tell(v1::StatusEvent::completed, "c2");
  EXPECT_THAT(problems({2, 3, 4}), IsEmpty());
  EXPECT_THAT(problems({2, 3, 4, 5}), ElementsAre(HasSubstr("2 pages after c2 had asked it to end")));
}

TEST_F(Orders, AJobThatOthersWaitForGoesOn) {
  run_job();
  send("c2").mutable_cancel()->set_job("j1");
  tell(v1::StatusEvent::completed, "c2");
  Entry entry;
  entry.value = R"({"type":"coalesced","job":"j9","app":"acme","tenant":1001,"target":"j1"})";
  cluster.broker.append("st.status", 0, entry);
  statuses.read_on();
  EXPECT_THAT(problems({4, 5, 6}), IsEmpty());
}

TEST_F(Orders, AJobThatGoesOnForOthersStaysPausedWhenItsOwnCommandIsCancelled) {
  run_job();
  Entry entry;
  entry.value = R"({"type":"coalesced","job":"j9","app":"acme","tenant":1001,"target":"j1"})";
  cluster.broker.append("st.status", 0, entry);
  send("c2").mutable_pause()->set_job("j1");
  tell(v1::StatusEvent::completed, "c2");
  send("c3").mutable_cancel()->set_job("j1");
  tell(v1::StatusEvent::completed, "c3");
  statuses.read_on();
  EXPECT_THAT(Controls(statuses, sent).paused(), ElementsAre(kJob));
}

TEST_F(Orders, APauseHoldsUntilTheNextOrder) {
  run_job();
  send("c2").mutable_pause()->set_resource("jpm.jobs");
  tell(v1::StatusEvent::completed, "c2");
  EXPECT_THAT(problems({4, 5}), ElementsAre(HasSubstr("2 pages after c2 had asked it to pause")));
  EXPECT_THAT(Controls(statuses, sent).paused(), ElementsAre(kJob));
  send("c3").mutable_resume();
  tell(v1::StatusEvent::completed, "c3");
  EXPECT_THAT(problems({5, 6}), IsEmpty());
  EXPECT_THAT(Controls(statuses, sent).paused(), IsEmpty());
}

TEST_F(Orders, OfOthersMeanNothing) {
  run_job();
  send("c2").mutable_cancel()->set_resource("crm.customers");
  tell(v1::StatusEvent::completed, "c2");
  send("c3").mutable_pause();
  tell(v1::StatusEvent::rejected, "c3");
  EXPECT_THAT(problems({4, 5, 6}), IsEmpty());
  EXPECT_THAT(Controls(statuses, sent).paused(), IsEmpty());
}

TEST_F(Histories, AfterACursorWasSetTheNextIncrementalBeginsThere) {
  auto& cursor = *send("k").mutable_cursor();
  cursor.set_resource("jpm.jobs");
  cursor.set_set("token-7");
  tell(v1::StatusEvent::completed, "k");
  run_job();
  EXPECT_THAT(check_cursor_orders(statuses, sent, {{kJob, 7}}), IsEmpty());
  EXPECT_THAT(check_cursor_orders(statuses, sent, {{kJob, 8}}), ElementsAre(HasSubstr("begins at row 8")));
  EXPECT_EQ(skipped_rows(statuses, sent, "1001/jpm.jobs"), 7);
  EXPECT_EQ(skipped_rows(statuses, sent, "1001/crm.customers"), 0);
}

TEST_F(Histories, ACursorThatIsSetDuringAJobIsNotLookedAt) {
  send("j0").mutable_sync()->set_resource("jpm.jobs");
  tell(v1::StatusEvent::accepted, "j0");
  tell(v1::StatusEvent::started, "j0");
  auto& cursor = *send("k").mutable_cursor();
  cursor.set_resource("jpm.jobs");
  cursor.set_reset(true);
  tell(v1::StatusEvent::completed, "k");
  tell(v1::StatusEvent::completed, "j0");
  run_job();
  EXPECT_THAT(check_cursor_orders(statuses, sent, {{kJob, 8}}), IsEmpty());
}

TEST_F(Histories, EachTakeoverAndEachPauseCostsTwoPages) {
  send("j1").mutable_sync()->set_resource("jpm.jobs");
  tell(v1::StatusEvent::started, "j1", 10);
  tell(v1::StatusEvent::paused, "j1", 20);
  tell(v1::StatusEvent::started, "j1", 30);
  tell(v1::StatusEvent::completed, "j1", 40);
  const auto deliver = [&](const std::string& from, int seconds) {
    vendor.delivered.push_back({1001, "jpm/jobs", from, at(seconds)});
  };
  const auto problems = [&] { return check_fetches(vendor, cluster, statuses, sent, 4); };
  for (const auto* from : {"a", "b", "c", "d"}) deliver(from, 15);
  for (const auto* from : {"a", "b"}) deliver(from, 31);
  deliver("a", 25);  // somebody else's
  EXPECT_THAT(problems(), IsEmpty());
  deliver("c", 32);
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("3 pages were fetched again, it was disturbed 1 times")));
  cluster.takeovers.emplace(kafka::partition_for(sync::tenant_key("acme", 1001), 4), at(12));
  EXPECT_THAT(problems(), IsEmpty());
}

}  // namespace
}  // namespace stsync::simulation
