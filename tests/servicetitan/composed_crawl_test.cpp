// Crawls made of others: the rows of every parent, what a command names, stretches of time; and the plans that begin them.
#include <functional>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.hpp"
#include "list_server.hpp"
#include "servicetitan/plan.hpp"
#include "support/seeds.hpp"

namespace stsync::servicetitan {
namespace {

using test::ListServer;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr std::int64_t kDay = 86'400'000;
constexpr std::int64_t kNow = 1'790'000'000'000;

const Catalogue& catalogue() {
  static const auto loaded = Catalogue::load(R"(
resources:
  test.parents:
    list: {path: "/test/v2/tenant/{tenant}/parents", page_size: 7, max_page_size: 7, unique_sort: +Id, ids_filter: true}
    get: {path: "/test/v2/tenant/{tenant}/parents/{id}"}
  test.children:
    key: $parentId+id
    children: {path: "/test/v2/tenant/{tenant}/parents/{parentId}/children", page_size: 3, max_page_size: 3,
               parent: test.parents, bind: {parentId: id}}
  test.grandchildren:
    key: $parentId+$childId+id
    children: {path: "/test/v2/tenant/{tenant}/parents/{parentId}/children/{childId}/x", page_size: 3, max_page_size: 3,
               parent: test.children, bind: {parentId: $parentId, childId: id}}
  test.calls:
    list: {path: "/test/v2/tenant/{tenant}/calls", page_size: 4, max_page_size: 64, modified_filter: true}
  test.recordings:
    key: $id
    files: true
    children: {path: "/test/v2/tenant/{tenant}/calls/{id}/recording", shape: binary, parent: test.calls, bind: {id: id}}
  test.reasons:
    key: jobId
    children: {path: "/test/v2/tenant/{tenant}/reasons", shape: envelope, parent: test.parents, bind: {ids: id}, batch: 5}
  test.days:
    key: $begin+id
    list: {path: "/test/v2/tenant/{tenant}/days", page_size: 10, max_page_size: 10, vary: kind, variants: [a, b],
           period: {begin: fromUtc, end: toUtc, step: 1d, back: 5d, again: 2d}}
)",
                                             "test.yaml");
  if (!loaded) throw std::runtime_error(loaded.error().message());
  return *loaded;
}

Plan planned(const char* resource, v1::Sync sync = {}, const v1::StreamState& stream = {}) {
  return plan({catalogue(), *catalogue().find(resource), sync, stream, kNow, kNow}).value();
}

std::string answer_rows(const std::vector<std::string>& rows, const Query& query) {
  std::map<std::string, std::string> q(query.begin(), query.end());
  const auto size = q.contains("pageSize") ? core::parse_int(q["pageSize"]).value() : 1000;
  const auto page = q.contains("page") ? core::parse_int(q["page"]).value() : 1;
  const auto total = static_cast<std::int64_t>(rows.size());
  std::string data;
  for (auto i = std::min(total, (page - 1) * size); i < std::min(total, page * size); ++i)
    data += (data.empty() ? "" : ",") + rows[static_cast<std::size_t>(i)];
  return fmt::format(R"({{"page":{},"pageSize":{},"hasMore":{},"totalCount":{},"data":[{}]}})", page, size, page * size < total,
                     total, data);
}

struct Read {
  std::map<std::string, int> keys;
  std::vector<std::string> notes;
  std::optional<core::Error> error;
  bool done = false, snapshot = false;
  int requests = 0;
  v1::StreamState stream;
};

using Server = std::function<core::Result<std::string>(const Request&)>;

Read read(
    const char* name, const v1::CrawlState& start, const v1::Sync& sync, const Server& server,
    const std::function<bool()>& crash = [] { return false; }) {
  const auto& resource = *catalogue().find(name);
  Read out;
  v1::CrawlState committed = start;
  auto crawl = make_crawl(catalogue(), resource, committed, sync).value();
  while (!out.done && out.requests++ < 5000) {
    const auto request = crawl->next();
    const auto body = server(request);
    codec::Page page;
    if (body) page = codec::cut_page(*body, request.fields).value();
    auto step = body ? crawl->on_page({*body, page}) : crawl->on_refusal(body.error());
    if (!step) {
      out.error = step.error();
      return out;
    }
    // As a job does: full pages of small rows grow.
    if (!step->done && request.page_size > 0 && page.records.size() >= static_cast<std::size_t>(request.page_size))
      crawl->resize(*request.endpoint, std::min(request.endpoint->max_page_size, 2 * request.page_size));
    const bool lost = crash();
    if (!lost) {
      for (const auto i : step->publish) {
        std::string key;
        step->key->append(key, *body, page.records[i], i, step->context);
        ++out.keys[key];
      }
      if (!step->note.empty()) out.notes.push_back(step->note);
      committed.ParseFromString(crawl->state().SerializeAsString());
      committed.set_role(start.role());
      out.done = step->done;
      out.snapshot = step->snapshot;
      crawl->move_cursor(out.stream);
    }
    if (!out.done && (lost || crash())) crawl = make_crawl(catalogue(), resource, committed, sync).value();
  }
  return out;
}

/// Rows by id: created, and perhaps changed since.
struct Dated {
  std::int64_t created = 0;
  std::optional<std::int64_t> modified;
};
/// A list that filters by both times. `null_matches`: a row without a time of change is in every window of modification.
Server dated_list(const std::map<std::int64_t, Dated>& rows, bool null_matches) {
  return [&rows, null_matches](const Request& r) -> core::Result<std::string> {
    std::map<std::string, std::string> q(r.query.begin(), r.query.end());
    const auto bound = [&](const char* name, std::int64_t otherwise) {
      return q.contains(name) ? core::parse_utc(q[name])->time_since_epoch().count() : otherwise;
    };
    const auto text = [](std::int64_t ms) { return '"' + core::format_utc(core::WallTime(std::chrono::milliseconds(ms))) + '"'; };
    const bool by_change = q.contains("modifiedOnOrAfter") || q.contains("modifiedBefore");
    std::vector<std::string> found;
    for (const auto& [id, row] : rows) {
      if (row.created < bound("createdOnOrAfter", 0) || row.created >= bound("createdBefore", INT64_MAX)) continue;
      if (by_change && !row.modified && !null_matches) continue;
      if (row.modified && (*row.modified < bound("modifiedOnOrAfter", 0) || *row.modified >= bound("modifiedBefore", INT64_MAX)))
        continue;
      found.push_back(fmt::format(R"({{"id":{},"createdOn":{},"modifiedOn":{}}})", id, text(row.created),
                                  row.modified ? text(*row.modified) : "null"));
    }
    return answer_rows(found, r.query);
  };
}

/// Parents 1 … n; parent p has p % 9 children.
Server family(const std::map<std::int64_t, int>& parents) {
  return [&parents](const Request& r) -> core::Result<std::string> {
    std::vector<std::string> rows;
    if (r.places.empty()) {
      for (const auto& [id, children] : parents) rows.push_back(fmt::format(R"({{"id":{}}})", id));
    } else {
      const std::map<std::string, std::string> places(r.places.begin(), r.places.end());
      const auto at = parents.find(core::parse_int(places.at("parentId")).value());
      if (at == parents.end()) return core::fail(core::ErrorKind::not_found, "gone");
      const auto count = r.places.size() == 1 ? at->second : 2;
      for (int i = 0; i < count; ++i) rows.push_back(fmt::format(R"({{"id":{}}})", i));
    }
    return answer_rows(rows, r.query);
  };
}

std::map<std::int64_t, int> parents_of(int n) {
  std::map<std::int64_t, int> out;
  for (int p = 1; p <= n; ++p) out[p] = p % 9;
  return out;
}

TEST(FanoutCrawl, ReadsTheRowsOfEveryParentOnceWhateverCrashes) {
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(300); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto parents = parents_of(static_cast<int>(random() % 40));
    const auto start = planned("test.children");
    EXPECT_THAT(start.why, HasSubstr("parent by parent"));
    int crashes = seed % 2 == 0 ? 0 : 10;
    const auto out =
        read("test.children", start.start, {}, family(parents), [&] { return crashes > 0 && random() % 8 == 0 && crashes-- > 0; });
    ASSERT_TRUE(out.done) << (out.error ? out.error->message() : "");
    std::size_t expected = 0;
    for (const auto& [id, children] : parents) {
      expected += static_cast<std::size_t>(children);
      for (int i = 0; i < children; ++i) EXPECT_EQ(out.keys.count(fmt::format("{}/{}", id, i)), 1u);
    }
    EXPECT_EQ(out.keys.size(), expected);
    for (const auto& [key, times] : out.keys) EXPECT_EQ(times, 1) << key;
    EXPECT_EQ(out.stream.watermark_ms(), kNow);
    EXPECT_FALSE(out.snapshot) << "there is no one moment of all parents";
  }
}

/// Pages of parents that grow, in windows that are split: a successor must ask for the same ones.
TEST(FanoutCrawl, AsksNoParentTwiceWhateverThePagesAndCrashes) {
  v1::Sync full;
  full.set_mode(v1::full);
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(100); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    std::map<std::int64_t, Dated> rows;
    std::map<std::string, int> expected;
    for (int i = 1, count = static_cast<int>(random() % 150); i <= count; ++i) {
      const auto t = kNow - static_cast<std::int64_t>(random() % (100 * kDay)) - 1;
      rows[i] = {t, t};
      expected[std::to_string(i)] = 1;
    }
    auto calls = dated_list(rows, false);
    const Server server = [&calls](const Request& r) -> core::Result<std::string> {
      return r.places.empty() ? calls(r) : core::Result<std::string>("file");
    };
    const auto got =
        read("test.recordings", planned("test.recordings", full).start, full, server, [&] { return random() % 10 == 0; });
    ASSERT_FALSE(got.error) << got.error->message();
    EXPECT_EQ(got.keys, expected);
  }
}

TEST(FanoutCrawl, ParentsThatVanishOrAppearLoseNobodyElsesRows) {
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(300); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    auto parents = parents_of(30);
    const auto before = parents;
    std::int64_t next = 1000;
    const auto quiet = family(parents);
    const auto out = read("test.children", planned("test.children").start, {}, [&](const Request& r) {
      auto body = quiet(r);
      if (random() % 6 == 0) parents.erase(1 + static_cast<std::int64_t>(random() % 30));
      if (random() % 6 == 0) parents[next++] = 2;
      return body;
    });
    ASSERT_TRUE(out.done || out.error->kind() == core::ErrorKind::unstable_list);
    if (!out.done) continue;
    for (const auto& [id, children] : before)
      if (parents.contains(id))
        for (int i = 0; i < children; ++i) EXPECT_TRUE(out.keys.contains(fmt::format("{}/{}", id, i))) << id;
  }
}

TEST(FanoutCrawl, NestsAndHandsTheParametersDown) {
  const auto parents = parents_of(12);
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(100); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    int crashes = seed == 0 ? 0 : 6;
    const auto out = read("test.grandchildren", planned("test.grandchildren").start, {}, family(parents),
                          [&] { return crashes > 0 && random() % 15 == 0 && crashes-- > 0; });
    ASSERT_TRUE(out.done);
    std::size_t expected = 0;
    for (const auto& [id, children] : parents) expected += 2 * static_cast<std::size_t>(children);
    EXPECT_EQ(out.keys.size(), expected);
    EXPECT_TRUE(out.keys.contains("8/7/1"));
    for (const auto& [key, times] : out.keys) EXPECT_EQ(times, 1) << key;
  }
}

TEST(FanoutCrawl, AsksForSeveralParentsAtOnceWhereThatIsPossible) {
  const auto parents = parents_of(12);
  std::vector<std::string> asked;
  const auto out = read("test.reasons", planned("test.reasons").start, {}, [&](const Request& r) -> core::Result<std::string> {
    if (r.endpoint->role != Role::children) return family(parents)(r);
    std::map<std::string, std::string> q(r.query.begin(), r.query.end());
    asked.push_back(q.at("ids"));
    return fmt::format(R"({{"data":[{{"jobId":{}}}]}})", asked.back().substr(0, asked.back().find(',')));
  });
  ASSERT_TRUE(out.done);
  // Pages of parents are read from the last to the first, and parents stand in the order of their keys.
  EXPECT_THAT(asked, ElementsAre("10,11,12,8,9", "1,2,3,4,5", "6,7"));
  EXPECT_EQ(out.keys.size(), 3u);
}

TEST(FanoutCrawl, ARefusalOfTheScopeEndsTheJob) {
  const auto parents = parents_of(3);
  const auto out = read("test.children", planned("test.children").start, {}, [&](const Request& r) -> core::Result<std::string> {
    if (r.places.empty()) return family(parents)(r);
    return core::fail(core::ErrorKind::bad_request, "no");
  });
  ASSERT_TRUE(out.error);
  EXPECT_EQ(out.error->kind(), core::ErrorKind::bad_request);
}

v1::Sync ids_of(int from, int count) {
  v1::Sync sync;
  sync.set_mode(v1::ids);
  for (int i = 0; i < count; ++i) sync.add_ids(std::to_string(from + i));
  return sync;
}

TEST(IdsCrawl, AsksForFiftyAtATimeAndTellsWhatIsMissing) {
  const auto sync = ids_of(1, 120);
  std::vector<std::size_t> sizes;
  const auto out =
      read("test.parents", planned("test.parents", sync).start, sync, [&](const Request& r) -> core::Result<std::string> {
        std::map<std::string, std::string> q(r.query.begin(), r.query.end());
        std::vector<std::string> rows;
        std::string_view rest = q.at("ids");
        std::size_t n = 0;
        for (; !rest.empty(); ++n) {
          const auto end = std::min(rest.find(','), rest.size());
          if (rest.substr(0, end).back() != '7') rows.push_back(fmt::format(R"({{"id":{}}})", rest.substr(0, end)));
          rest.remove_prefix(std::min(end + 1, rest.size()));
        }
        sizes.push_back(n);
        return answer_rows(rows, r.query);
      });
  ASSERT_TRUE(out.done);
  EXPECT_THAT(sizes, ElementsAre(50u, 50u, 20u));
  EXPECT_EQ(out.keys.size(), 108u);
  EXPECT_THAT(out.notes, ElementsAre("12 of 120 ids were not found"));
  EXPECT_EQ(out.stream.watermark_ms(), 0) << "the cursor stays where it is";
}

TEST(IdsCrawl, NoticesThatTheFilterHasNoEffect) {
  const auto sync = ids_of(1, 2);
  const auto out =
      read("test.parents", planned("test.parents", sync).start, sync,
           [](const Request& r) -> core::Result<std::string> { return answer_rows({R"({"id":1})", R"({"id":9})"}, r.query); });
  ASSERT_TRUE(out.error);
  EXPECT_THAT(out.error->message(), HasSubstr("the filter ids has no effect"));
}

TEST(IdsCrawl, NamesTheParentsOfChildren) {
  const auto sync = ids_of(6, 3);
  const auto parents = parents_of(7);
  const auto plan = planned("test.children", sync);
  EXPECT_EQ(plan.why, "one call a parent's id");
  std::mt19937_64 random(1);
  int crashes = 3;
  const auto out =
      read("test.children", plan.start, sync, family(parents), [&] { return crashes > 0 && random() % 3 == 0 && crashes-- > 0; });
  ASSERT_TRUE(out.done);
  EXPECT_EQ(out.keys.size(), 13u);
  EXPECT_THAT(out.keys, Contains(Pair("7/6", 1)));
  EXPECT_THAT(out.notes, ElementsAre("1 of 3 ids were not found"));
}

TEST(PeriodCrawl, AsksForEveryDayAndEveryVariantOnce) {
  std::vector<std::string> asked;
  const Server server = [&](const Request& r) -> core::Result<std::string> {
    std::map<std::string, std::string> q(r.query.begin(), r.query.end());
    asked.push_back(q.at("fromUtc").substr(0, 10) + " " + q.at("toUtc").substr(0, 10) + " " + q.at("kind"));
    return answer_rows({fmt::format(R"({{"id":"{}"}})", q.at("kind"))}, r.query);
  };
  auto out = read("test.days", planned("test.days").start, {}, server);
  ASSERT_TRUE(out.done);
  EXPECT_EQ(asked.size(), 10u);
  EXPECT_EQ(asked.front(), "2026-09-16 2026-09-17 a");
  EXPECT_EQ(asked.back(), "2026-09-20 2026-09-21 b");
  EXPECT_EQ(out.keys.size(), 10u);
  EXPECT_THAT(out.keys, Contains(Pair("2026-09-16T00:00:00.000Z/a", 1)));
  EXPECT_EQ(out.stream.watermark_ms(), kNow / kDay * kDay);
  // What still changes is read again.
  asked.clear();
  v1::StreamState stream;
  stream.set_watermark_ms(kNow / kDay * kDay - kDay);
  std::mt19937_64 random(2);
  int crashes = 5;
  out = read("test.days", planned("test.days", {}, stream).start, {}, server,
             [&] { return crashes > 0 && random() % 3 == 0 && crashes-- > 0; });
  ASSERT_TRUE(out.done);
  EXPECT_EQ(out.keys.size(), 6u);
  for (const auto& [key, times] : out.keys) EXPECT_EQ(times, 1) << key;
}

TEST(PlanTest, AnIncrementalWithoutACursorIsAFull) {
  EXPECT_EQ(planned("jpm.jobs").mode, v1::full);
  v1::StreamState stream;
  stream.set_token("t");
  const auto next = planned("jpm.jobs", {}, stream);
  EXPECT_EQ(next.mode, v1::incremental);
  EXPECT_EQ(next.start.feed().token(), "t");
  v1::Sync full;
  full.set_mode(v1::full);
  EXPECT_EQ(planned("jpm.jobs", full, stream).start.feed().token(), "");
}

TEST(PlanTest, RowsThatMayLackATimeOfChangeAreAllReadOnceADay) {
  v1::StreamState stream;
  stream.set_watermark_ms(kNow - 1000);
  stream.set_full_ms(kNow - kDay / 2);
  EXPECT_EQ(planned("accounting.ap-bills", {}, stream).mode, v1::incremental);
  EXPECT_FALSE(planned("accounting.ap-bills", {}, stream).start.list().created());
  stream.set_full_ms(kNow - 2 * kDay);
  const auto full = planned("accounting.ap-bills", {}, stream);
  EXPECT_EQ(full.mode, v1::full);
  EXPECT_TRUE(full.start.list().created()) << "rows without a time of change match no modified window";
}

TEST(UndatedCrawl, AnIncrementalPublishesRowsWithoutATimeOfChangeTooAndNoneTwice) {
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(300); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto from = kNow - kDay;
    v1::StreamState stream;
    stream.set_watermark_ms(from);
    stream.set_full_ms(from);
    std::map<std::int64_t, Dated> rows;
    std::map<std::string, int> expected;
    const bool null_matches = random() % 4 == 0;
    for (int i = 0, count = static_cast<int>(random() % 60); i < count; ++i) {
      Dated row{from - kDay + static_cast<std::int64_t>(random() % (3 * kDay)), {}};
      if (random() % 2 == 0) row.modified = row.created + static_cast<std::int64_t>(random() % kDay);
      rows[i + 1] = row;
      const auto in = [&](std::int64_t t) { return t >= from && t < kNow; };
      if (row.modified ? in(*row.modified) : null_matches || in(row.created)) expected[std::to_string(i + 1)] = 1;
    }
    for (const char* resource : {"accounting.ap-bills", "accounting.bank-deposits"}) {
      const auto plan = planned(resource, {}, stream);
      ASSERT_TRUE(plan.start.list().undated());
      auto server = dated_list(rows, null_matches);
      const auto got = read(resource, plan.start, {}, server, [&] { return random() % 10 == 0; });
      ASSERT_FALSE(got.error) << got.error->message();
      EXPECT_EQ(got.keys, expected) << resource;
      EXPECT_EQ(got.stream.watermark_ms(), kNow);
    }
  }
}

TEST(PlanTest, AWindowIsNeverOpenIntoTheFuture) {
  v1::Sync sync;
  sync.set_mode(v1::window);
  sync.mutable_from()->set_seconds(kNow / 1000 - 100);
  sync.mutable_to()->set_seconds(kNow / 1000 + 1'000'000);
  EXPECT_EQ(planned("inventory.vendors", sync).start.list().to_ms(), kNow);
}

TEST(PlanTest, SaysWhatCannotBeRead) {
  v1::Sync sync;
  sync.set_mode(v1::window);
  EXPECT_THAT(check_mode(catalogue(), *catalogue().find("jpm.project-types"), sync).error().message(),
              HasSubstr("jpm.project-types cannot be read in mode window: its list has no modified window"));
  sync.set_mode(v1::full);
  EXPECT_THAT(check_mode(catalogue(), *catalogue().find("scheduling-pro.router-sessions"), sync).error().message(),
              HasSubstr("it needs ids"));
  EXPECT_THAT(check_mode(catalogue(), *catalogue().find("telecom.call-recordings"), sync).error().message(),
              HasSubstr("files: true"));
}

}  // namespace
}  // namespace stsync::servicetitan
