// Lists without a window, read while they change: never a row missing, never a snapshot that is none.
#include <functional>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "list_server.hpp"
#include "support/seeds.hpp"

namespace stsync::servicetitan {
namespace {

using test::ListServer;

Resource list_resource(int page_size, const std::string& sort) {
  Resource r;
  r.name = "test.rows";
  Endpoint e;
  e.path = "/test/v2/tenant/{tenant}/rows";
  e.page_size = page_size;
  e.unique_sort = sort;
  r.endpoints.push_back(std::move(e));
  return r;
}

v1::CrawlState begin(const Resource& r) {
  v1::CrawlState state;
  auto& snapshot = *state.mutable_snapshot();
  if (!r.endpoints.front().unique_sort.empty()) {
    snapshot.mutable_sorted()->set_unfiltered(true);
    snapshot.mutable_sorted()->set_to_ms(INT64_MAX);
  }
  return state;
}

struct Crawled {
  std::map<std::int64_t, int> published;
  bool done = false, snapshot = false;
  std::int64_t rows = 0;
  std::optional<core::Error> error;
  int requests = 0;
};

/// Reads to the end; `between` changes the list after each answer, `crash` loses what is not journalled.
Crawled crawl(
    const ListServer& server, const Resource& resource, const std::function<void()>& between,
    const std::function<bool()>& crash = [] { return false; }) {
  Crawled out;
  auto committed = begin(resource);
  const auto make = [&] { return make_snapshot_crawl({&resource, &resource.endpoints.front()}, committed.snapshot()); };
  auto crawl = make();
  while (!out.done && out.requests++ < 2000) {
    const auto body = server.answer(crawl->next().query);
    between();
    const auto page = codec::cut_page(body, {}).value();
    auto step = crawl->on_page({body, page});
    if (!step) {
      out.error = step.error();
      return out;
    }
    if (crash()) {
      crawl = make();
      continue;
    }
    for (const auto i : step->publish) ++out.published[*codec::json_int(page.records[i].key.in(body))];
    committed.ParseFromString(crawl->state().SerializeAsString());
    out.done = step->done;
    out.snapshot = step->snapshot;
    out.rows = step->rows;
    if (!out.done && crash()) crawl = make();
  }
  return out;
}

void fill(ListServer& server, std::mt19937_64& random, int count) {
  for (int i = 0; i < count; ++i)
    server.rows[static_cast<std::int64_t>(1 + random() % 100'000)] = static_cast<std::int64_t>(random());
}

/// Rows vanish and appear; ids only grow, as a database gives them.
struct Churn {
  ListServer& server;
  std::mt19937_64& random;
  int one_in;
  std::set<std::int64_t> vanished{};
  std::int64_t next = 1'000'000;
  void operator()() {
    if (one_in == 0) return;
    while (random() % static_cast<unsigned>(one_in) == 0) {
      if (random() % 2 == 0 && !server.rows.empty()) {
        const auto at = std::next(server.rows.begin(), static_cast<std::ptrdiff_t>(random() % server.rows.size()));
        vanished.insert(at->first);
        server.rows.erase(at);
      } else {
        server.rows[next++] = static_cast<std::int64_t>(random());
      }
    }
  }
};

std::vector<std::int64_t> alive_all_along(const std::map<std::int64_t, std::optional<std::int64_t>>& before,
                                          const ListServer& server) {
  std::vector<std::int64_t> out;
  for (const auto& [id, modified] : before)
    if (server.rows.contains(id)) out.push_back(id);
  return out;
}

TEST(SnapshotCrawl, OfAQuietListIsCompleteAndPublishesEachRowOnce) {
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(200); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    ListServer server;
    server.habits.sorts = seed % 3 != 0;
    server.habits.most = seed % 5 == 0 ? 7 : 5000;
    fill(server, random, static_cast<int>(random() % 60));
    const auto resource = list_resource(1 + static_cast<int>(random() % 20), seed % 2 == 0 ? "+Id" : "");
    const auto out = crawl(server, resource, [] {});
    ASSERT_TRUE(out.done && !out.error);
    EXPECT_TRUE(out.snapshot);
    EXPECT_EQ(out.rows, static_cast<std::int64_t>(server.rows.size()));
    EXPECT_EQ(out.published.size(), server.rows.size());
    for (const auto& [id, times] : out.published) EXPECT_EQ(times, 1) << id;
  }
}

TEST(SnapshotCrawl, OneAnswerIsEnoughWhereItHoldsEverything) {
  ListServer server;
  server.rows = {{1, 1}, {2, 2}};
  EXPECT_EQ(crawl(server, list_resource(10, "+Id"), [] {}).requests, 1);
  EXPECT_EQ(crawl(server, list_resource(10, ""), [] {}).requests, 1);
}

TEST(SnapshotCrawl, NeverMissesARowAndNeverClaimsASnapshotThatIsNone) {
  int complete = 0, unstable = 0;
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(3000); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    ListServer server;
    server.habits.sorts = seed % 4 != 0;
    fill(server, random, static_cast<int>(random() % 80));
    const auto before = server.rows;
    const auto resource = list_resource(1 + static_cast<int>(random() % 20), seed % 2 == 0 ? "+Id" : "");
    Churn churn{server, random, 2 + static_cast<int>(random() % 12)};
    // A moment at which exactly the rows of the snapshot were there must have been.
    std::vector<std::set<std::int64_t>> moments;
    const auto note = [&] {
      std::set<std::int64_t> ids;
      for (const auto& [id, modified] : server.rows) ids.insert(id);
      moments.push_back(std::move(ids));
    };
    note();
    const auto out = crawl(server, resource, [&] {
      churn();
      note();
    });
    if (!out.snapshot) {
      ASSERT_TRUE(out.error) << "a list that tells its total is proved or refused";
      EXPECT_EQ(out.error->kind(), core::ErrorKind::unstable_list);
      ++unstable;
      continue;
    }
    ++complete;
    for (const auto id : alive_all_along(before, server)) EXPECT_TRUE(out.published.contains(id)) << id;
    for (const auto& [id, times] : out.published) EXPECT_EQ(times, 1) << id;
    const bool was = std::any_of(moments.begin(), moments.end(), [&](const auto& ids) {
      return static_cast<std::int64_t>(ids.size()) == out.rows &&
             std::all_of(ids.begin(), ids.end(), [&](auto id) { return out.published.contains(id); });
    });
    EXPECT_TRUE(was) << "the list never was what the marker says";
  }
  EXPECT_GT(complete, 100);
  EXPECT_GT(unstable, 100);
}

TEST(SnapshotCrawl, AfterACrashItIsWholeOrRefused) {
  int complete = 0;
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(1000); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    ListServer server;
    server.habits.sorts = seed % 4 != 0;
    fill(server, random, static_cast<int>(random() % 60));
    const auto before = server.rows;
    const auto resource = list_resource(1 + static_cast<int>(random() % 20), seed % 2 == 0 ? "+Id" : "");
    Churn churn{server, random, seed % 3 == 0 ? 0 : 20};
    int crashes = 4;
    const auto out = crawl(server, resource, [&] { churn(); }, [&] { return crashes > 0 && random() % 6 == 0 && crashes-- > 0; });
    if (!out.snapshot) {
      ASSERT_TRUE(out.error);
      continue;
    }
    ++complete;
    for (const auto id : alive_all_along(before, server)) EXPECT_TRUE(out.published.contains(id)) << id;
    for (const auto& [id, times] : out.published) EXPECT_EQ(times, 1) << id;
  }
  EXPECT_GT(complete, 200);
}

TEST(SnapshotCrawl, WithoutATotalThereIsNoMarker) {
  ListServer server;
  server.habits.tells_total = false;
  for (int i = 1; i <= 30; ++i) server.rows[i] = i;
  for (const char* sort : {"+Id", ""}) {
    const auto out = crawl(server, list_resource(10, sort), [] {});
    EXPECT_TRUE(out.done);
    EXPECT_FALSE(out.snapshot);
    EXPECT_EQ(out.published.size(), 30u);
  }
}

// What simpler ways of reading lose under the same churn. If one of these stops losing rows, the churn has become too mild to
// prove anything above.

/// Reads page after page by number, from the first to the last or the other way round, and takes what comes.
template <class Next>
std::set<std::int64_t> read_pages(ListServer& server, Churn& churn, bool sorted, Next next) {
  std::set<std::int64_t> seen;
  std::int64_t page = 1, size = 10;
  for (int i = 0; i < 100 && page > 0; ++i) {
    Query query{{"page", std::to_string(page)}, {"pageSize", std::to_string(size)}};
    if (sorted) query.emplace_back("sort", "+Id");
    const auto body = server.answer(query);
    const auto cut = codec::cut_page(body, {}).value();
    for (const auto& record : cut.records) seen.insert(*codec::json_int(record.key.in(body)));
    churn();
    next(page, size, cut.has_more.in(body) == "true");
  }
  return seen;
}

int lossy_runs(bool sorts, const std::function<std::set<std::int64_t>(ListServer&, Churn&)>& read) {
  int lossy = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    std::mt19937_64 random(seed);
    ListServer server;
    server.habits.sorts = sorts;
    fill(server, random, 80);
    const auto before = server.rows;
    Churn churn{server, random, 3};
    const auto seen = read(server, churn);
    for (const auto id : alive_all_along(before, server))
      if (!seen.contains(id)) {
        ++lossy;
        break;
      }
  }
  return lossy;
}

TEST(CounterTest, AForwardCrawlLosesRows) {
  EXPECT_GT(lossy_runs(true,
                       [](auto& server, auto& churn) {
                         return read_pages(server, churn, true, [](auto& page, auto&, bool more) { page = more ? page + 1 : 0; });
                       }),
            20);
}

TEST(CounterTest, ACrawlByPageNumberAcrossASizeChangeLosesRows) {
  EXPECT_GT(lossy_runs(true,
                       [](auto& server, auto& churn) {
                         churn.one_in = 0;  // not even churn is needed
                         return read_pages(server, churn, true, [](auto& page, auto& size, bool more) {
                           page = more ? page + 1 : 0;
                           if (page == 3) size = 5;
                           if (page == 5) size = 20;
                         });
                       }),
            20);
}

TEST(CounterTest, ACrawlThatTrustsAnUnhonouredSortLosesRows) {
  EXPECT_GT(lossy_runs(false,
                       [](auto& server, auto& churn) {
                         // Backward, as over a total order, over a list that answers the newest change first.
                         std::int64_t last = 8;
                         return read_pages(server, churn, true, [&](auto& page, auto&, bool) {
                           page = page == 1 && last == 8 ? last : (last = page - 1);
                         });
                       }),
            20);
}

TEST(CounterTest, AParallelCrawlOfOneWindowLosesRows) {
  EXPECT_GT(lossy_runs(true,
                       [](auto& server, auto& churn) {
                         // Three readers, each of every third page, in turns: the pages are not one after the other any more.
                         static constexpr int kOrder[] = {3, 1, 2, 6, 4, 5, 8, 7, 9};
                         std::size_t at = 0;
                         return read_pages(server, churn, true,
                                           [&](auto& page, auto&, bool) { page = at < std::size(kOrder) ? kOrder[at++] : 0; });
                       }),
            20);
}

}  // namespace
}  // namespace stsync::servicetitan
