// The backward crawl against a list that changes, lies and forgets while it is read, with crashes in between.
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "list_server.hpp"
#include "support/seeds.hpp"

namespace stsync::servicetitan {
namespace {

using test::ListServer;

constexpr std::int64_t kFrom = 1'700'000'000'000;
constexpr std::int64_t kTo = kFrom + 10'000'000;
constexpr std::int64_t kNameless = -1;

Resource list_resource(int page_size, const std::string& sort = "+Id") {
  Resource r;
  r.name = "test.rows";
  Endpoint e;
  e.path = "/test/v2/tenant/{tenant}/rows";
  e.page_size = page_size;
  e.unique_sort = sort;
  r.endpoints.push_back(std::move(e));
  return r;
}

std::unique_ptr<Crawl> make_crawl(const Resource& resource, const v1::CrawlState& state) {
  return make_list_crawl({&resource, &resource.endpoints.front()}, state.list());
}

v1::ListState window(std::int64_t from = kFrom, std::int64_t to = kTo) {
  v1::ListState state;
  state.set_from_ms(from);
  state.set_to_ms(to);
  return state;
}

struct Crawled {
  std::map<std::int64_t, int> published;  ///< how often each id
  std::vector<std::string> notes;
  std::optional<core::Error> error;
  int requests = 0;
  std::int64_t watermark = 0;
};

struct Play {
  std::function<void()> between = [] {};               ///< what happens to the list between two requests
  std::function<int()> resize = [] { return 0; };      ///< rows a page from now on, 0: as before
  std::function<bool()> crash = [] { return false; };  ///< whether the process dies before this page is committed
};

/// Runs a crawl to its end; what it published is what was committed.
Crawled crawl(const ListServer& server, const Resource& resource, v1::ListState state, const Play& play, int most_requests) {
  Crawled out;
  v1::CrawlState committed;
  *committed.mutable_list() = std::move(state);
  auto crawl = make_crawl(resource, committed);
  int failures = 0;
  for (bool done = false; !done && out.requests < most_requests; ++out.requests) {
    const auto body = server.answer(crawl->next().query);
    play.between();
    const auto page = codec::cut_page(body, {}).value();
    auto step = crawl->on_page({body, page});
    if (!step) {
      out.error = step.error();
      if (step.error().kind() != core::ErrorKind::malformed || ++failures > 3) return out;
      continue;
    }
    if (play.crash()) {
      crawl = make_crawl(resource, committed);
      continue;
    }
    failures = 0;
    out.error.reset();
    if (const auto size = play.resize(); size > 0) crawl->resize(resource.endpoints.front(), size);
    for (const auto i : step->publish) ++out.published[codec::json_int(page.records[i].key.in(body)).value_or(kNameless)];
    if (!step->note.empty()) out.notes.push_back(step->note);
    committed = v1::CrawlState();
    committed.ParseFromString(crawl->state().SerializeAsString());
    if (play.crash()) crawl = make_crawl(resource, committed);
    done = step->done;
    if (done) {
      v1::StreamState stream;
      crawl->move_cursor(stream);
      out.watermark = stream.watermark_ms();
    }
  }
  return out;
}

/// Rows inside and outside the window, no two of the same time.
void fill(ListServer& server, std::mt19937_64& random, int count, bool with_null) {
  for (int i = 0; i < count; ++i) {
    const auto id = 1 + static_cast<std::int64_t>(random() % 1'000'000);
    const auto where = random() % 10;
    auto t = kFrom + static_cast<std::int64_t>(random() % (kTo - kFrom));
    if (where == 0) t = kFrom - 1 - static_cast<std::int64_t>(random() % 1'000'000);
    if (where == 1) t = kTo + static_cast<std::int64_t>(random() % 1'000'000);
    server.rows[id] = with_null && where == 2 ? std::nullopt : std::optional(t);
  }
}

std::vector<std::int64_t> rows_inside(const ListServer& server) {
  std::vector<std::int64_t> out;
  for (const auto& [id, modified] : server.rows)
    if (modified ? *modified >= kFrom && *modified < kTo : !server.habits.filters) out.push_back(id);
  return out;
}

TEST(ListCrawl, OfAQuietListPublishesEveryRowOfTheWindowOnce) {
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(100); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    ListServer server;
    const auto page = 1 + static_cast<int>(random() % 20);
    fill(server, random, static_cast<int>(random() % 150), random() % 2 == 0);
    server.habits.filters = random() % 3 != 0;
    server.habits.tells_total = random() % 2 == 0;
    server.habits.total_error = random() % 4 == 0 ? static_cast<std::int64_t>(random() % 41) - 20 : 0;
    server.habits.most = random() % 3 == 0 ? 1 + static_cast<std::int64_t>(random() % 10) : 5000;
    const auto crashes = random() % 3;
    Play play;
    if (crashes > 0) play.crash = [&] { return random() % 8 < crashes; };
    const auto result = crawl(server, list_resource(page), window(), play, 3000);
    ASSERT_FALSE(result.error) << result.error->message();
    EXPECT_EQ(result.watermark, kTo);
    const auto expected = rows_inside(server);
    EXPECT_EQ(result.published.size(), expected.size());
    for (const auto id : expected) EXPECT_EQ(result.published.contains(id) ? result.published.at(id) : 0, 1) << id;
  }
}

TEST(ListCrawl, LosesNoRowThatStaysWhileOthersChangeVanishAndAppear) {
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(100); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    ListServer server;
    const auto page = 2 + static_cast<int>(random() % 20);
    fill(server, random, 50 + static_cast<int>(random() % 100), false);
    server.habits.filters = random() % 3 != 0;
    server.habits.tells_total = random() % 2 == 0;
    const auto before = server.rows;
    auto now = kTo + 1'000'000;
    int changes = 60;
    Play play;
    play.crash = [&] { return random() % 12 == 0; };
    play.between = [&] {
      if (server.rows.empty() || changes-- <= 0) return;
      auto row = server.rows.lower_bound(static_cast<std::int64_t>(random() % 1'000'000));
      if (row == server.rows.end()) row = server.rows.begin();
      const auto what = random() % 3;
      if (what == 0) row->second = ++now;
      if (what == 1) server.rows.erase(row);
      if (what == 2) server.rows[1'000'000 + ++now % 1'000'000] = now;
    };
    const auto result = crawl(server, list_resource(page), window(), play, 3000);
    ASSERT_FALSE(result.error) << result.error->message();
    EXPECT_EQ(result.watermark, kTo);
    for (const auto& [id, modified] : before) {
      const bool stayed = server.rows.contains(id) && server.rows.at(id) == modified && *modified >= kFrom && *modified < kTo;
      const auto times = result.published.contains(id) ? result.published.at(id) : 0;
      if (stayed)
        EXPECT_EQ(times, 1) << id;
      else
        EXPECT_LE(times, 1) << id;
    }
  }
}

TEST(ListCrawl, SplitsTheWindowWhereTheListHasNoUsableOrder) {
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(60); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    ListServer server;
    server.habits.sorts = false;
    const bool claims_to_sort = random() % 2 == 0;
    const auto page = 1 + static_cast<int>(random() % 20);
    fill(server, random, static_cast<int>(random() % 150), false);
    std::map<std::int64_t, bool> times;  // rows of the same millisecond do not fit a page of one
    std::erase_if(server.rows, [&](const auto& row) { return !times.emplace(*row.second, true).second; });
    Play play;
    play.crash = [&] { return random() % 10 == 0; };
    const auto result = crawl(server, list_resource(page, claims_to_sort ? "+Id" : ""), window(), play, 20'000);
    ASSERT_FALSE(result.error) << result.error->message();
    for (const auto id : rows_inside(server)) {
      ASSERT_TRUE(result.published.contains(id)) << id;
      // A list that claims to sort may look sorted until some of it was published.
      if (!claims_to_sort) EXPECT_EQ(result.published.at(id), 1) << id;
    }
    EXPECT_EQ(result.published.size(), rows_inside(server).size());
  }
}

TEST(ListCrawl, LosesNothingWhateverComesTogether) {
  int complete = 0;
  const auto count = stsync::test::seeds(300);
  for (std::uint64_t seed = 0; seed < count; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto sometimes = [&](std::uint64_t one_in) { return random() % one_in == 0; };
    ListServer server;
    server.habits.sorts = !sometimes(4);
    server.habits.filters = !sometimes(4);
    server.habits.tells_total = !sometimes(2);
    server.habits.total_error = sometimes(3) ? static_cast<std::int64_t>(random() % 101) - 50 : 0;
    server.habits.most = sometimes(3) ? 1 + static_cast<std::int64_t>(random() % 10) : 5000;
    const bool resizes = sometimes(4);
    const bool changes = !sometimes(3);
    const bool crashes = !sometimes(3);
    const auto page = 1 + static_cast<int>(random() % 20);
    fill(server, random, static_cast<int>(random() % 120), sometimes(4));
    std::map<std::int64_t, bool> times;
    std::erase_if(server.rows, [&](const auto& row) { return row.second && !times.emplace(*row.second, true).second; });
    const auto before = server.rows;
    auto now = kTo + 2'000'000;
    int left = 60;
    Play play;
    int lives = 40;  // passes that are to agree need an hour without a crash
    play.crash = [&] { return crashes && lives > 0 && sometimes(12) && lives-- > 0; };
    const bool asks_for_others = sometimes(3);
    play.resize = [&] { return asks_for_others && sometimes(6) ? 1 + static_cast<int>(random() % 30) : 0; };
    play.between = [&] {
      if (resizes && sometimes(8)) server.habits.most = 1 + static_cast<std::int64_t>(random() % 20);
      if (!changes || server.rows.empty() || left-- <= 0) return;
      auto row = server.rows.lower_bound(static_cast<std::int64_t>(random() % 1'000'000));
      if (row == server.rows.end()) row = server.rows.begin();
      const auto what = random() % 3;
      if (what == 0) row->second = ++now;
      if (what == 1) server.rows.erase(row);
      if (what == 2) server.rows[1'000'000 + ++now % 1'000'000] = now;
    };
    const auto result = crawl(server, list_resource(page), window(), play, 30'000);
    EXPECT_LT(result.requests, 30'000) << "it never ends";
    if (result.error) {
      EXPECT_EQ(result.error->kind(), core::ErrorKind::unstable_list) << result.error->message();
      EXPECT_FALSE(server.habits.sorts && server.habits.filters && !resizes) << result.error->message();
      continue;
    }
    ++complete;
    EXPECT_EQ(result.watermark, kTo);
    for (const auto& [id, modified] : before) {
      const bool inside = modified ? *modified >= kFrom && *modified < kTo : !server.habits.filters;
      const bool stayed = inside && server.rows.contains(id) && server.rows.at(id) == modified;
      if (stayed) EXPECT_TRUE(result.published.contains(id)) << id;
      if (!inside) EXPECT_FALSE(result.published.contains(id)) << id;
    }
    if (server.habits.sorts)
      for (const auto& [id, n] : result.published) EXPECT_EQ(n, 1) << id;
  }
  EXPECT_GE(complete, static_cast<int>(count * 7 / 10));
}

/// A hundred rows, ten of them a page: `doubled` stands there twice, `nameless` does not tell its id.
Crawled crawl_odd_list(std::int64_t doubled, std::int64_t nameless) {
  ListServer server;
  for (std::int64_t id = 1; id <= 100; ++id) server.rows[id] = kFrom + id * 50'000;
  server.habits.doubled = doubled;
  server.habits.nameless = nameless;
  const auto resource = list_resource(10);
  return crawl(server, resource, window(), {}, 1000);
}

TEST(ListFaults, B22_ARowThatStandsThereTwiceIsReadBySplitting) {
  for (const std::int64_t id : {1, 5, 10, 11, 95, 100}) {
    const auto out = crawl_odd_list(id, 0);
    ASSERT_FALSE(out.error) << id << ": " << out.error->message();
    EXPECT_EQ(out.published.size(), 100u) << id;
    for (const auto& [row, times] : out.published) EXPECT_LE(times, row == id ? 3 : 2) << "row " << row << " of " << id;
    EXPECT_EQ(out.watermark, kTo);
  }
}

TEST(ListFaults, B22_ARowWithoutAnIdIsReadBySplitting) {
  for (const std::int64_t id : {1, 5, 10, 11, 95, 100}) {
    const auto out = crawl_odd_list(0, id);
    ASSERT_FALSE(out.error) << id << ": " << out.error->message();
    EXPECT_EQ(out.published.size(), 100u) << id;
    EXPECT_FALSE(out.published.contains(id));
    EXPECT_EQ(out.published.at(kNameless), 1) << id;
    EXPECT_EQ(out.watermark, kTo);
  }
}

TEST(ListCrawl, AWindowOpenBelowReachesTheOldestRow) {
  ListServer server;
  for (int i = 1; i <= 95; ++i) server.rows[i] = kTo - 1'000LL * i * i * i * i;
  server.rows[96] = 1;  // 1970
  const auto sorted = crawl(server, list_resource(10), window(0, kTo), {}, 100);
  EXPECT_EQ(sorted.published.size(), 96u);
  server.habits.sorts = false;
  const auto split = crawl(server, list_resource(10, ""), window(0, kTo), {}, 1000);
  ASSERT_FALSE(split.error) << split.error->message();
  EXPECT_EQ(split.published.size(), 96u);
}

TEST(ListCrawl, GoesOnWhenTheServerChangesItsPageSize) {
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(100); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    ListServer server;
    fill(server, random, static_cast<int>(random() % 150), false);
    server.habits.tells_total = random() % 2 == 0;
    Play play;
    play.between = [&] {
      if (random() % 5 == 0) server.habits.most = 1 + static_cast<std::int64_t>(random() % 20);
    };
    play.crash = [&] { return random() % 10 == 0; };
    const auto result = crawl(server, list_resource(20), window(), play, 3000);
    ASSERT_FALSE(result.error) << result.error->message();
    for (const auto id : rows_inside(server)) EXPECT_EQ(result.published.contains(id) ? result.published.at(id) : 0, 1) << id;
  }
}

TEST(ListCrawl, OneRequestWhenTheWindowFitsAPage) {
  ListServer server;
  for (int i = 1; i <= 10; ++i) server.rows[i] = kFrom + i;
  const auto result = crawl(server, list_resource(10), window(), {}, 100);
  EXPECT_EQ(result.requests, 1);
  EXPECT_EQ(result.published.size(), 10u);
}

TEST(ListCrawl, ReadsEachPageOnceAndTheFirstTwice) {
  ListServer server;
  for (int i = 1; i <= 1000; ++i) server.rows[i] = kFrom + i;
  const auto result = crawl(server, list_resource(10), window(), {}, 1000);
  EXPECT_EQ(result.requests, 101);
}

TEST(ListCrawl, SaysThatAFilterHasNoEffect) {
  ListServer server;
  server.habits.filters = false;
  server.rows = {{1, kFrom - 1}, {2, kFrom}, {3, kTo - 1}, {4, kTo}};
  const auto result = crawl(server, list_resource(10), window(), {}, 100);
  EXPECT_THAT(result.notes, ::testing::ElementsAre("test.rows: the modified window has no effect, the list is read whole"));
  EXPECT_THAT(result.published, ::testing::ElementsAre(::testing::Pair(2, 1), ::testing::Pair(3, 1)));
}

TEST(ListCrawl, ReadsManyRowsOfOneMomentUntilTwoPassesAgree) {
  ListServer server;
  server.habits.sorts = false;
  for (int i = 1; i <= 11; ++i) server.rows[i] = kFrom + 5;
  for (int i = 12; i <= 15; ++i) server.rows[i] = kFrom + 500 + i;
  auto result = crawl(server, list_resource(10, ""), window(), {}, 1000);
  ASSERT_FALSE(result.error) << result.error->message();
  EXPECT_EQ(result.published.size(), 15u);
  for (const auto& [id, n] : result.published) EXPECT_EQ(n, 1) << id;
  EXPECT_EQ(result.watermark, kTo);
}

TEST(ListCrawl, ReadsAListWithNeitherOrderNorWindowUntilTwoPassesAgree) {
  ListServer server;
  server.habits.sorts = false;
  server.habits.filters = false;
  for (int i = 1; i <= 25; ++i) server.rows[i] = kFrom + 5;
  server.rows[26] = kFrom - 5;
  auto result = crawl(server, list_resource(10, ""), window(), {}, 1000);
  ASSERT_FALSE(result.error) << result.error->message();
  EXPECT_EQ(result.published.size(), 25u) << "only those inside";
}

TEST(ListCrawl, GivesUpWhereNothingProvesThatItSawEveryRow) {
  ListServer server;
  server.habits.sorts = false;
  server.habits.tells_total = false;
  for (int i = 1; i <= 11; ++i) server.rows[i] = kFrom + 5;
  const auto result = crawl(server, list_resource(10, ""), window(), {}, 1000);
  ASSERT_TRUE(result.error);
  EXPECT_EQ(result.error->kind(), core::ErrorKind::unstable_list);
}

TEST(ListCrawl, NeverTrustsAnEnvelopeThatMakesNoSense) {
  const std::vector<std::string> bodies{
      R"({"data":[]})",
      R"({"hasMore":false})",
      R"({"hasMore":"false","data":[]})",
      R"({"hasMore":true,"data":[]})",
      R"({"hasMore":true,"page":1,"data":[{"id":1}]})",
      R"({"hasMore":true,"page":1,"pageSize":0,"data":[{"id":1}]})",
      R"({"hasMore":true,"page":1,"pageSize":-5,"totalCount":10,"data":[{"id":1}]})",
      R"({"hasMore":true,"page":1,"pageSize":9223372036854775807,"totalCount":10,"data":[{"id":1}]})",
  };
  for (const auto& body : bodies) {
    v1::CrawlState state;
    *state.mutable_list() = window();
    const auto resource = list_resource(10);
    auto crawl = make_crawl(resource, state);
    const auto page = codec::cut_page(body, {}).value();
    const auto step = crawl->on_page({body, page});
    ASSERT_FALSE(step) << body;
    EXPECT_EQ(step.error().kind(), core::ErrorKind::malformed) << body;
    EXPECT_EQ(crawl->state().SerializeAsString(), state.SerializeAsString()) << body << ": nothing may have moved";
  }
}

}  // namespace
}  // namespace stsync::servicetitan
