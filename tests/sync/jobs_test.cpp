// What is asked of all jobs at once, found without looking at all of them.
#include "sync/jobs.hpp"

#include <limits>
#include <map>
#include <random>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "journal_job.hpp"
#include "sync/memory.hpp"
#include "sync/memory_shares.hpp"
#include "sync/names.hpp"

namespace stsync::sync {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr KeptJobs kNone{0, 0};
constexpr KeptJobs of(std::size_t count) { return {count, std::numeric_limits<std::size_t>::max()}; }

TEST(Jobs, KnowsWhoFollowsAJobForAsLongAsTheyDo) {
  Memory memory;
  const auto key = [](const char* id) { return job_journal_key("acme", 1001, id); };
  const auto follower = [&](const char* id, v1::JobState::Phase phase) {
    auto entry = job(id, phase, 1);
    std::get<v1::JobState>(*entry.value).set_target("t");
    return entry;
  };
  memory.apply(job("t", v1::JobState::running));
  memory.apply(follower("a", v1::JobState::coalesced));
  memory.apply(follower("b", v1::JobState::coalesced));
  EXPECT_THAT(memory.jobs().followers(key("t")), ElementsAre(key("a"), key("b")));
  EXPECT_THAT(memory.jobs().expired(1000, kNone, 10), IsEmpty()) << "their job is open";
  memory.apply(follower("a", v1::JobState::cancelled));
  EXPECT_THAT(memory.jobs().followers(key("t")), ElementsAre(key("b")));
  memory.apply({key("b"), std::nullopt});
  EXPECT_THAT(memory.jobs().followers(key("t")), IsEmpty());
  memory.apply(follower("b", v1::JobState::coalesced));
  memory.apply(job("t", v1::JobState::completed, 2));
  EXPECT_EQ(memory.jobs().expired(1000, kNone, 10).size(), 3u);
}

TEST(Jobs, ForgetsOnlyFinishedJobsOldestFirst) {
  Memory memory;
  memory.apply(job("open", v1::JobState::waiting));
  for (int i = 0; i < 10; ++i) memory.apply(job("j" + std::to_string(i), v1::JobState::completed, 100 + i));
  EXPECT_THAT(memory.jobs().expired(102, of(100), 100),
              ElementsAre(job_journal_key("acme", 1001, "j0"), job_journal_key("acme", 1001, "j1")));
  EXPECT_EQ(memory.jobs().expired(0, of(3), 100).size(), 7u) << "beyond what is kept";
  EXPECT_EQ(memory.jobs().expired(0, of(3), 5).size(), 5u);
  EXPECT_THAT(memory.jobs().expired(0, of(100), 100), IsEmpty());
}

TEST(Jobs, KnowsWhatATenantHasThatHasNotEnded) {
  Jobs jobs;
  const auto put = [&](const std::string& id, v1::JobState::Phase phase, std::int64_t tenant = 1001,
                       const std::string& target = {}) {
    v1::JobState state;
    state.mutable_command()->set_id(id);
    state.set_phase(phase);
    state.set_target(target);
    jobs.put(job_journal_key("acme", tenant, id), state);
  };
  const auto load = [&](std::int64_t tenant = 1001) { return jobs.load("acme", tenant); };
  put("a", v1::JobState::waiting);
  const auto one = load().bytes;
  EXPECT_GT(one, 400u);
  put("b", v1::JobState::waiting);
  put("c", v1::JobState::waiting, 100);
  put("d", v1::JobState::completed);
  EXPECT_EQ(load().waiting, 2u);
  EXPECT_EQ(load().bytes, 2 * one);
  EXPECT_EQ(load(100).waiting, 1u);
  EXPECT_EQ(load(10).waiting, 0u);
  EXPECT_EQ(jobs.open_bytes(), 3 * one);
  put("f", v1::JobState::coalesced, 1001, "a");
  const auto follower = load().bytes - 2 * one;
  EXPECT_GT(follower, 400u) << "it cannot be forgotten before its job";
  put("a", v1::JobState::running);
  EXPECT_EQ(load().waiting, 1u);
  EXPECT_EQ(load().bytes, 2 * one + follower);
  put("a", v1::JobState::completed);
  EXPECT_EQ(load().bytes, one);
  put("a", v1::JobState::running);  // a commit that is taken back
  EXPECT_EQ(load().bytes, 2 * one + follower);
  jobs.erase(job_journal_key("acme", 1001, "a"));
  EXPECT_EQ(load().bytes, one);
  for (const auto* id : {"b", "d", "f"}) jobs.erase(job_journal_key("acme", 1001, id));
  EXPECT_EQ(load().bytes, 0u);
  jobs.erase(job_journal_key("acme", 100, "c"));
  EXPECT_EQ(jobs.open_bytes(), 0u);
  EXPECT_EQ(jobs.size(), 0u);
}

TEST(Jobs, FindsThoseThatDoTheSame) {
  Jobs jobs;
  const auto put = [&](const std::string& id, const v1::Sync& sync, std::int64_t order, v1::JobState::Phase phase) {
    v1::JobState state;
    state.mutable_command()->set_id(id);
    state.mutable_command()->set_app("acme");
    state.mutable_command()->set_tenant(1001);
    *state.mutable_command()->mutable_sync() = sync;
    state.set_order(order);
    state.set_phase(phase);
    jobs.put(job_journal_key("acme", 1001, id), state);
    return kind_of_sync(state.command(), sync.mode());
  };
  v1::Sync ids;
  ids.set_resource("jpm.jobs");
  ids.set_mode(v1::ids);
  ids.add_ids("7");
  auto others = ids;
  others.add_ids("8");
  auto window = ids;
  window.set_mode(v1::window);
  window.mutable_to()->set_seconds(5);
  const auto kind = put("z", ids, 1, v1::JobState::waiting);
  EXPECT_EQ(put("a", others, 2, v1::JobState::running), kind);
  EXPECT_NE(put("w", window, 3, v1::JobState::waiting), kind);
  const auto key = [](const char* id) { return job_journal_key("acme", 1001, id); };
  EXPECT_THAT(jobs.of_kind(kind), ElementsAre(std::pair(1, key("z")), std::pair(2, key("a")))) << "by their order";
  put("z", ids, 1, v1::JobState::completed);
  EXPECT_THAT(jobs.of_kind(kind), ElementsAre(std::pair(2, key("a"))));
  jobs.erase(key("a"));
  EXPECT_THAT(jobs.of_kind(kind), IsEmpty());
}

TEST(Jobs, ForgetsTheOldestWhereTheyTakeTooMuchMemory) {
  Memory memory;
  for (int i = 0; i < 10; ++i) memory.apply(job("j" + std::to_string(i), v1::JobState::completed, 100 + i));
  const auto bytes = memory_of(*memory.job(job_journal_key("acme", 1001, "j0")));
  EXPECT_THAT(memory.jobs().expired(0, {100, 8 * bytes}, 100),
              ElementsAre(job_journal_key("acme", 1001, "j0"), job_journal_key("acme", 1001, "j1")));
  EXPECT_THAT(memory.jobs().expired(0, {100, 10 * bytes}, 100), IsEmpty());
}

/// From scratch after every step, whatever the steps are.
TEST(Jobs, CountsAsIfItCountedAnew) {
  std::mt19937_64 random(7);
  Jobs jobs;
  std::map<std::string, v1::JobState> plain;
  for (int step = 0; step < 5000; ++step) {
    const auto id = fmt::format("j{}", random() % 8);
    const auto key = job_journal_key("acme", 1001, id);
    if (random() % 4 == 0) {
      jobs.erase(key);
      plain.erase(key);
    } else {
      v1::JobState state;
      state.mutable_command()->set_id(id);
      state.mutable_command()->mutable_sync()->set_resource("jpm.jobs");
      state.set_phase(static_cast<v1::JobState::Phase>(1 + random() % 12));
      state.set_finished_ms(static_cast<std::int64_t>(random() % 50));
      if (state.phase() == v1::JobState::coalesced) state.set_target(fmt::format("j{}", random() % 8));
      jobs.put(key, state);
      plain[key] = state;
    }
    Jobs anew;
    for (const auto& [k, state] : plain) anew.put(k, state);
    ASSERT_EQ(jobs.open(), anew.open());
    ASSERT_EQ(jobs.open_bytes(), anew.open_bytes()) << step;
    ASSERT_EQ(jobs.load("acme", 1001).waiting, anew.load("acme", 1001).waiting);
    ASSERT_EQ(jobs.load("acme", 1001).bytes, anew.load("acme", 1001).bytes);
    ASSERT_EQ(jobs.expired(25, of(2), 100), anew.expired(25, of(2), 100));
    ASSERT_EQ(jobs.expired(0, {100, 2000}, 100), anew.expired(0, {100, 2000}, 100));
  }
}

TEST(MemoryShares, JobsBeyondTheirShareArePagesLess) {
  const MemoryShares shares(100u << 20);
  const std::size_t jobs = (100u << 20) / 10 * 2;
  EXPECT_EQ(shares.pages(0), shares.pages(jobs));
  EXPECT_EQ(shares.pages(jobs + 1000), shares.pages(0) - 1000);
  EXPECT_EQ(shares.pages(std::size_t{1} << 40), 0u);
  EXPECT_EQ(shares.free_for_jobs(0), jobs);
  EXPECT_EQ(shares.free_for_jobs(jobs + 1), 0u);
  EXPECT_LE(shares.pages(0) + jobs + 12 * shares.finished_jobs(12) + shares.commands(1), 95u << 20) << "the program takes some";
}

}  // namespace
}  // namespace stsync::sync
