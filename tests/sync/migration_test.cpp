#include "sync/migration.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kafka/client.hpp"
#include "sync/memory.hpp"
#include "sync/names.hpp"

namespace stsync::sync {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int kBefore = 3, kAfter = 8;

std::int32_t before(std::int64_t tenant) { return kafka::partition_for(tenant_key("acme", tenant), kBefore); }
std::int32_t after(std::int64_t tenant) { return kafka::partition_for(tenant_key("acme", tenant), kAfter); }

/// One that moves, and one of the same partition that does not.
struct Tenants {
  std::int64_t moves = 0, stays = 0;
};
Tenants find_tenants() {
  Tenants out;
  for (std::int64_t t = 1001; out.moves == 0; ++t)
    if (before(t) != after(t)) out.moves = t;
  for (std::int64_t t = 1001; out.stays == 0; ++t)
    if (before(t) == after(t) && before(t) == before(out.moves)) out.stays = t;
  return out;
}

std::string job_bytes(const std::string& id, v1::JobState::Phase phase, std::int64_t order) {
  v1::JobState job;
  job.mutable_command()->set_id(id);
  job.set_phase(phase);
  job.set_order(order);
  return job.SerializeAsString();
}

struct Moves : ::testing::Test {
  const Tenants tenants = find_tenants();
  const std::int32_t from = before(tenants.moves), to = after(tenants.moves);
  Rekeying journal{"st.journal", kAfter};

  std::string key(const std::string& id) const { return job_journal_key("acme", tenants.moves, id); }
  /// What a reader of the two partitions makes of the journal afterwards.
  std::pair<Memory, Memory> carried_out() const {
    std::pair<Memory, Memory> out;
    for (const auto& m : journal.moves(from)) {
      EXPECT_EQ(m.topic, "st.journal");
      auto& memory = m.partition == from ? out.first : out.second;
      EXPECT_TRUE(m.partition == from || m.partition == to);
      EXPECT_TRUE(memory.read(m.key, m.value));
    }
    return out;
  }
};

TEST_F(Moves, WhatBelongsElsewhereAndNothingElse) {
  v1::StreamState stream;
  stream.set_token("t");
  v1::TenantState paused;
  paused.set_paused(true);
  v1::LaneState lane;
  lane.set_offset(41);
  const auto stream_key = stream_journal_key("acme", tenants.moves, "jpm.jobs");
  journal.read(from, key("done"), job_bytes("done", v1::JobState::completed, 5));
  journal.read(from, stream_key, stream.SerializeAsString());
  journal.read(from, tenant_journal_key("acme", tenants.moves), paused.SerializeAsString());
  journal.read(from, job_journal_key("acme", tenants.stays, "x"), job_bytes("x", v1::JobState::waiting, 6));
  journal.read(from, lane_journal_key(from), lane.SerializeAsString());
  journal.read(from, "somebody/elses", "bytes");
  EXPECT_EQ(journal.entries(), 6u);
  EXPECT_EQ(journal.misplaced(), 3u);
  EXPECT_EQ(journal.offset(from), 41);
  EXPECT_EQ(journal.offset(to), -1);
  EXPECT_EQ(journal.moves(from).size(), 6u) << "a copy and a tombstone each";
  const auto [here, there] = carried_out();
  EXPECT_EQ(there.jobs().size(), 1u);
  EXPECT_EQ(there.job(key("done"))->order(), 5) << "as it was";
  EXPECT_EQ(there.stream(stream_key).token(), "t");
  EXPECT_TRUE(there.tenant(tenant_journal_key("acme", tenants.moves)).paused());
  EXPECT_EQ(here.jobs().size(), 0u);
  EXPECT_THAT(journal.moves(to), IsEmpty());
}

TEST_F(Moves, WhatTheJournalSaidLast) {
  journal.read(from, key("a"), job_bytes("a", v1::JobState::waiting, 1));
  journal.read(from, key("b"), job_bytes("b", v1::JobState::waiting, 2));
  journal.read(from, key("b"), job_bytes("b", v1::JobState::completed, 2));
  journal.read(from, key("a"), std::nullopt);
  EXPECT_EQ(journal.misplaced(), 1u);
  const auto [here, there] = carried_out();
  EXPECT_EQ(there.jobs().size(), 1u);
  EXPECT_EQ(there.job(key("b"))->phase(), v1::JobState::completed);
}

TEST_F(Moves, OpenJobsInTheirOrderBeforeAllThatTheOtherPartitionWillAccept) {
  journal.read(from, key("a"), job_bytes("a", v1::JobState::paused, 900));
  journal.read(from, key("b"), job_bytes("b", v1::JobState::waiting, 70));
  journal.read(from, key("c"), job_bytes("c", v1::JobState::running, 8));
  const auto [here, there] = carried_out();
  const auto order = [&jobs = there, this](const char* id) { return jobs.job(key(id))->order(); };
  EXPECT_LT(order("c"), order("b"));
  EXPECT_LT(order("b"), order("a"));
  EXPECT_LT(order("a"), 0) << "the first offset";
}

TEST_F(Moves, NothingOverWhatTheOtherPartitionHasAlready) {
  journal.read(from, key("a"), job_bytes("a", v1::JobState::waiting, 1));
  journal.read(to, key("a"), job_bytes("a", v1::JobState::completed, 2));
  journal.read(from, key("b"), job_bytes("b", v1::JobState::completed, 1));
  journal.read(to, key("b"), job_bytes("b", v1::JobState::completed, 1));
  journal.read(to, key("b"), std::nullopt);
  const auto [here, there] = carried_out();
  EXPECT_EQ(there.jobs().size(), 1u);
  EXPECT_NE(there.job(key("b")), nullptr) << "it has no such entry any more";
  EXPECT_EQ(journal.moves(from).size(), 3u) << "one copy, two tombstones";
}

TEST_F(Moves, WhatItCannotReadAsItIs) {
  journal.read(from, key("damaged"), "\xff\xff\xff");
  const auto moves = journal.moves(from);
  ASSERT_EQ(moves.size(), 2u);
  EXPECT_EQ(moves[0].value, "\xff\xff\xff");
}

TEST_F(Moves, FieldsOfALaterVersionToo) {
  v1::JobState later;
  later.set_phase(v1::JobState::waiting);
  later.GetReflection()->MutableUnknownFields(&later)->AddLengthDelimited(900, "new");
  journal.read(from, key("a"), later.SerializeAsString());
  const auto [here, there] = carried_out();
  EXPECT_THAT(there.job(key("a"))->SerializeAsString(), HasSubstr("new"));
}

TEST(OwnerOfAJournalKey, IsItsAppAndTenant) {
  EXPECT_EQ(owner_of("job/acme/1001/a/b"), "acme:1001");
  EXPECT_EQ(owner_of(stream_journal_key("acme", 1001, "reporting.reports/x/1")), "acme:1001");
  EXPECT_EQ(owner_of(tenant_journal_key("acme", 7)), "acme:7");
  EXPECT_EQ(owner_of("kindoflater/acme/1001/a"), "acme:1001");
  for (const auto* foreign : {"lane/3", "", "job/", "job/acme", "job//1001/x", "job/acme/x/y", "/acme/1001/a", "a-b/acme/1001/a"})
    EXPECT_EQ(owner_of(foreign), std::nullopt) << foreign;
}

kafka::Message command(std::int64_t offset, std::optional<std::string> key, std::string value) {
  kafka::Message m;
  m.topic = "st.commands";
  m.offset = offset;
  m.key = std::move(key);
  m.value = std::move(value);
  return m;
}

TEST(UnreadCommands, AreWrittenAgainInTheirOrderEachWhereItBelongs) {
  const auto tenants = find_tenants();
  const auto from = before(tenants.moves);
  const auto moving = tenant_key("acme", tenants.moves), staying = tenant_key("acme", tenants.stays);
  auto first = command(5, moving, "1");
  first.headers = {{"content-type", "application/json"}};
  const auto placed =
      place_unread({first, command(6, staying, "2"), command(8, std::nullopt, "3"), command(9, moving, "4")}, from, kAfter);
  EXPECT_EQ(placed.misplaced, 2u);
  EXPECT_EQ(placed.next, 10);
  std::vector<std::string> written;
  for (const auto& m : placed.again) written.push_back(fmt::format("{} {}", m.partition, *m.value));
  const auto to = after(tenants.moves);
  EXPECT_THAT(written,
              ElementsAre(fmt::format("{} 1", to), fmt::format("{} 2", from), fmt::format("{} 3", from), fmt::format("{} 4", to)));
  EXPECT_EQ(placed.again[0].headers, first.headers);
}

TEST(UnreadCommands, StayWhereTheyAreWhenAllBelongThere) {
  const auto tenants = find_tenants();
  const auto placed = place_unread({command(6, tenant_key("acme", tenants.stays), "2")}, before(tenants.moves), kAfter);
  EXPECT_THAT(placed.again, IsEmpty());
  EXPECT_EQ(placed.next, -1);
}

TEST(WrongPartitions, SayWhatToDo) {
  EXPECT_EQ(wrong_partitions(3, 3), "");
  EXPECT_THAT(wrong_partitions(3, 8), HasSubstr("topics migrate"));
  EXPECT_THAT(wrong_partitions(8, 3), HasSubstr("cannot lose partitions"));
}

}  // namespace
}  // namespace stsync::sync
