// Changes of the fields of a stream's records: told once, whoever reads and however often it dies.
#include "sync/drift.hpp"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "job_play.hpp"
#include "support/seeds.hpp"

namespace stsync::sync {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Names = std::vector<std::string>;

/// A stream, and jobs that look at it one after the other.
class Stream {
 public:
  struct Told {
    Names appeared, vanished;
    bool written;
  };
  Told job(const std::string& id, const Names& names, std::int64_t records = 100, bool whole = true) {
    Drift drift(state, id, whole);
    Told told{drift.look(names), drift.end(records), false};
    told.written = drift.write(state);
    return told;
  }
  v1::StreamState state;
};

TEST(Drift, TheFirstJobLearnsAndTellsNothing) {
  Stream s;
  const auto told = s.job("j1", {"id", "a"});
  EXPECT_THAT(told.appeared, IsEmpty());
  EXPECT_THAT(told.vanished, IsEmpty());
  EXPECT_EQ(s.state.fields(), "a\nid");
  EXPECT_THAT(s.job("j1", {"id", "b"}).appeared, IsEmpty()) << "the same job, after a restart";
  EXPECT_THAT(s.job("j2", {"id", "a", "b"}).appeared, IsEmpty());
}

TEST(Drift, ANewNameIsToldOnce) {
  Stream s;
  s.job("j1", {"id", "a"});
  const auto told = s.job("j2", {"id", "b", "a"});
  EXPECT_THAT(told.appeared, ElementsAre("b"));
  EXPECT_TRUE(told.written);
  const auto again = s.job("j3", {"id", "b", "a"});
  EXPECT_THAT(again.appeared, IsEmpty());
  EXPECT_FALSE(again.written) << "nothing to journal";
}

TEST(Drift, ANameThatAWholeJobDidNotHaveIsToldOnce) {
  Stream s;
  s.job("j1", {"id", "a", "b"});
  EXPECT_THAT(s.job("j2", {"id"}, 19).vanished, IsEmpty()) << "too few records to tell";
  EXPECT_THAT(s.job("j2", {"id"}, 1000, false).vanished, IsEmpty()) << "it may have stood before the restart";
  EXPECT_THAT(s.job("j2", {"id", "a"}, 20).vanished, ElementsAre("b"));
  EXPECT_EQ(s.state.vanished_fields(), "b");
  EXPECT_THAT(s.job("j3", {"id", "a"}, 20).vanished, IsEmpty());
  EXPECT_THAT(s.job("j4", {"id", "a", "b"}, 20).appeared, IsEmpty()) << "seen before";
  EXPECT_THAT(s.job("j5", {"id", "a"}, 20).vanished, IsEmpty()) << "it comes and goes";
}

TEST(Drift, AJobWithoutRecordsLearnsNothing) {
  Stream s;
  s.job("j1", {}, 0);
  EXPECT_THAT(s.job("j2", {"id"}).appeared, IsEmpty()) << "this one is the first";
  EXPECT_THAT(s.job("j3", {"id", "a"}).appeared, ElementsAre("a"));
}

TEST(Drift, NamesAreKeptShortAndPrintable) {
  Stream s;
  s.job("j1", {"id"});
  const auto told = s.job("j2", {R"(\u0061)", R"(line\nend)", "\xc3\xa9", std::string(200, 'x'), R"(\ud800)", ""}).appeared;
  EXPECT_THAT(told, ElementsAre("a", R"(line\x0aend)", R"(\xc3\xa9)", std::string(64, 'x') + "…", R"(\ud800)"));
  EXPECT_THAT(s.job("j3", {"a", R"(line\u000aend)", std::string(300, 'x')}).appeared, IsEmpty());
}

TEST(Drift, WhatIsKeptIsBounded) {
  Names many;
  for (int i = 0; i < 1000; ++i) many.push_back("a name of some length, as a key would be " + std::to_string(i));
  Stream s;
  s.job("j1", many);
  EXPECT_EQ(std::count(s.state.fields().begin(), s.state.fields().end(), '\n'), static_cast<long>(Drift::kMostNames) - 1);
  const auto told = s.job("j2", {"new"});
  EXPECT_THAT(told.appeared, IsEmpty());
  Names all(Drift::kMostNames, "");
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = many[i];
  Stream t;
  t.job("j1", all);
  EXPECT_THAT(t.job("j2", Names(codec::kMostNames, "id")).vanished, IsEmpty()) << "the page had more names than are told";
}

TEST(Drift, TheNoteIsOneLineOfBoundedLength) {
  EXPECT_EQ(drift_note({}, {}), "");
  EXPECT_EQ(drift_note({"a", "b"}, {}), "fields never seen before: a, b");
  EXPECT_EQ(drift_note({"a"}, {"b"}), "fields never seen before: a; fields gone: b");
  EXPECT_THAT(drift_note(Names(300, std::string(60, 'x')), Names(300, "y")), HasSubstr(" and 280 more"));
  EXPECT_LT(drift_note(Names(300, std::string(256, 'x')), Names(300, std::string(256, 'y'))).size(), 11'000u);
}

/// Notes that were told of a job, as the broker shows them.
Names notes(const World& w) {
  Names out;
  for (const auto& m : w.of("st.status")) {
    v1::StatusEvent e;
    if (codec::from_json(*m.value, e) && !e.note().empty()) {
      EXPECT_EQ(e.type(), v1::StatusEvent::progress);
      out.push_back(e.note());
    }
  }
  return out;
}

void run_job(World& w, v1::Mode mode, const std::string& id) {
  Life life(w);
  life.start(sync_command(mode, id));
  ASSERT_TRUE(life.run());
}

TEST(DriftOfAJob, IsToldInAnEventBeforeItsEndAndRemembered) {
  World w;
  const auto rows = [&w](const std::string& rest) {
    w.feed.answer = [rest](const std::string&) -> core::Result<std::string> {
      std::string data;
      for (int i = 0; i < 30; ++i) data += fmt::format(R"({}{{"id":{},"a":1{}}})", i == 0 ? "" : ",", i, rest);
      return R"({"hasMore":false,"continueFrom":"x","data":[)" + data + "]}";
    };
  };
  rows(R"(,"b":2)");
  run_job(w, v1::full, "j1");
  EXPECT_THAT(notes(w), IsEmpty());
  rows(R"(,"c":3)");
  run_job(w, v1::full, "j2");
  EXPECT_THAT(notes(w), ElementsAre("fields never seen before: c; fields gone: b"));
  EXPECT_EQ(w.statuses().back(), "completed");
  run_job(w, v1::full, "j3");
  EXPECT_THAT(notes(w), testing::SizeIs(1));
  EXPECT_EQ(w.memory().stream(stream_journal_key("acme", 1001, "jpm.jobs")).fields(), "a\nb\nc\nid");
  EXPECT_EQ(w.of("st.jpm.jobs").size(), 90u) << "data passes whatever it looks like";
}

TEST(DriftOfAJob, OfSingleRowsIsNotTold) {
  World w;
  run_job(w, v1::full, "j1");
  w.feed.list = [](const servicetitan::Query&) {
    return std::string(R"({"page":1,"pageSize":50,"hasMore":false,"totalCount":1,"data":[{"id":1,"other":2}]})");
  };
  auto command = sync_command(v1::ids, "j2");
  command.mutable_sync()->add_ids("1");
  Life life(w);
  life.start(command);
  ASSERT_TRUE(life.run());
  ASSERT_EQ(w.of("st.jpm.jobs").size(), 51u);
  EXPECT_THAT(notes(w), IsEmpty());
}

/// Names appear somewhere in the second job, which dies at any moment as often as it likes.
TEST(DriftOfAJob, IsToldExactlyOnceWhateverDies) {
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(60); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    World w;
    w.feed.rows = 100;
    w.feed.page = 10;
    run_job(w, v1::full, "j1");
    const auto changed = static_cast<int>(random() % 100);
    w.feed.answer = [&](const std::string& from) -> core::Result<std::string> {
      auto page = w.feed.page_at(from);
      const auto at = page.find(fmt::format("\"n\" : {}}}", changed));
      if (at != std::string::npos) page.insert(at, "\"appeared\":1,");
      return page;
    };
    bool done = false;
    for (int lives = 0; !done && lives < 200; ++lives) {
      Life life(w);
      life.start(sync_command(v1::full, "j2"));
      const auto lifetime = std::chrono::milliseconds(random() % 600);
      done = life.run_and_die(lifetime, random() % 2 == 0, job_journal_key("acme", 1001, "j2"));
    }
    ASSERT_TRUE(done);
    ASSERT_THAT(notes(w), ElementsAre("fields never seen before: appeared"));
  }
}

}  // namespace
}  // namespace stsync::sync
