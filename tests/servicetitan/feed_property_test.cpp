// Export feeds of a server in memory that ends, stutters, repeats itself and changes, read with crashes in between.
#include <map>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "core/text.hpp"
#include "servicetitan/crawl.hpp"
#include "support/seeds.hpp"

namespace stsync::servicetitan {
namespace {

constexpr std::int64_t kStart = 1'700'000'000'000;

/// A feed of changes: a row that changes moves to its end. A token is a position, written so that two are never alike.
class FeedServer {
 public:
  struct Habits {
    std::size_t page = 10;
    bool token_at_end = true;      ///< the last page carries a token, else none
    bool more_at_end = false;      ///< hasMore stays true, the way to see the end is that nothing comes
    bool pads_with_empty = false;  ///< empty pages with new tokens between full ones
  };
  struct Row {
    std::int64_t id;
    std::int64_t modified;
  };
  Habits habits;
  std::vector<Row> rows;  ///< in the order of their changes

  void change(std::int64_t id) {
    std::erase_if(rows, [&](const Row& r) { return r.id == id; });
    rows.push_back({id, kStart + ++clock_});
  }
  std::string answer(const Query& query) const {
    std::int64_t after = 0;
    bool padded = false;
    for (const auto& [name, value] : query)
      if (name == "from") {
        if (const auto time = core::parse_utc(value)) {
          after = time->time_since_epoch().count() - 1;
        } else {
          padded = value.ends_with("p");
          after = core::parse_int(value.substr(1, value.size() - (padded ? 2 : 1))).value();
        }
      }
    std::vector<Row> found;
    for (const auto& row : rows)
      if (row.modified > after) found.push_back(row);
    if (habits.pads_with_empty && !padded && !found.empty()) return page({}, true, token(after) + "p");
    const bool more = found.size() > habits.page;
    found.resize(std::min(found.size(), habits.page));
    const auto next = found.empty() ? after : found.back().modified;
    if (more) return page(found, true, token(next));
    return page(found, habits.more_at_end, habits.token_at_end || (habits.more_at_end && !found.empty()) ? token(next) : "");
  }

 private:
  static std::string token(std::int64_t after) { return "\\u0054" + std::to_string(after); }  // an escape, to be decoded
  static std::string page(const std::vector<Row>& rows, bool more, const std::string& token) {
    std::string data;
    for (const auto& row : rows)
      data += fmt::format(R"({}{{"id":{},"modifiedOn":"{}"}})", data.empty() ? "" : ",", row.id,
                          core::format_utc(core::WallTime(std::chrono::milliseconds(row.modified))));
    return fmt::format(R"({{"hasMore":{},"continueFrom":"{}","data":[{}]}})", more, token, data);
  }
  std::int64_t clock_ = 0;
};

Resource feed_resource() {
  Resource r;
  r.name = "test.feed";
  r.endpoints.emplace_back().role = Role::export_feed;
  return r;
}

std::unique_ptr<Crawl> make_crawl(const Resource& resource, const v1::CrawlState& state, Bounds bounds) {
  return make_feed_crawl({&resource, &resource.endpoints.front()}, state.feed(), bounds);
}

struct Crawled {
  std::map<std::pair<std::int64_t, std::int64_t>, int> published;  ///< how often each version of each row
  std::optional<core::Error> error;
  int requests = 0;
  v1::StreamState stream;
};

struct Play {
  std::function<void()> between = [] {};
  std::function<bool()> crash = [] { return false; };
};

/// Runs a feed to its end. What it published is what was committed; a crash begins again from what was committed last.
Crawled crawl(const std::function<std::string(const Query&)>& answer, v1::CrawlState committed, Bounds bounds, const Play& play,
              int most_requests) {
  const auto resource = feed_resource();
  Crawled out;
  auto crawl = make_crawl(resource, committed, bounds);
  int failures = 0;
  for (bool done = false; !done && out.requests < most_requests; ++out.requests) {
    const auto body = answer(crawl->next().query);
    play.between();
    const auto page = codec::cut_page(body, {}).value();
    auto step = crawl->on_page({body, page});
    if (!step) {
      out.error = step.error();
      if (++failures > 3) return out;
      continue;
    }
    if (play.crash()) {
      crawl = make_crawl(resource, committed, bounds);
      continue;
    }
    failures = 0;
    out.error.reset();
    for (const auto i : step->publish) {
      const auto& record = page.records[i];
      const auto modified = core::parse_utc(codec::json_text(record.modified.in(body)).value()).value();
      ++out.published[{*codec::json_int(record.key.in(body)), modified.time_since_epoch().count()}];
    }
    EXPECT_TRUE(committed.ParseFromString(crawl->state().SerializeAsString()));
    if (play.crash()) crawl = make_crawl(resource, committed, bounds);
    done = step->done;
    if (done) crawl->move_cursor(out.stream);
  }
  return out;
}

v1::CrawlState at(const std::string& token) {
  v1::CrawlState state;
  state.mutable_feed()->set_token(token);
  return state;
}

FeedServer any_server(std::mt19937_64& random) {
  FeedServer server;
  server.habits.page = 1 + random() % 20;
  server.habits.token_at_end = random() % 2 == 0;
  server.habits.more_at_end = random() % 3 == 0;
  server.habits.pads_with_empty = random() % 4 == 0;
  const auto count = static_cast<std::int64_t>(random() % 120);
  for (std::int64_t id = 1; id <= count; ++id) server.change(id);
  return server;
}

TEST(FeedCrawlProperty, AQuietFeedIsPublishedOnceHoweverItEnds) {
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(300); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto server = any_server(random);
    const auto crashes = random() % 3;
    Play play;
    play.crash = [&] { return random() % 8 < crashes; };
    const auto result = crawl([&](const Query& q) { return server.answer(q); }, {}, {}, play, 5000);
    ASSERT_FALSE(result.error) << result.error->message();
    EXPECT_LT(result.requests, 5000);
    EXPECT_EQ(result.published.size(), server.rows.size());
    for (const auto& row : server.rows) EXPECT_EQ(result.published.count({row.id, row.modified}), 1u) << row.id;
    for (const auto& [row, times] : result.published) EXPECT_EQ(times, 1) << row.first;
  }
}

TEST(FeedCrawlProperty, RunAfterRunTheCursorMissesNoChange) {
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(200); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    auto server = any_server(random);
    Play play;
    play.crash = [&] { return random() % 10 == 0; };
    int changes = 0;
    play.between = [&] {
      if (random() % 2 == 0 && ++changes < 300) server.change(1 + static_cast<std::int64_t>(random() % 150));
    };
    std::map<std::pair<std::int64_t, std::int64_t>, int> published;
    std::string cursor;
    for (int run = 0; run < 6; ++run) {
      if (run == 5) play = {};  // everything has calmed down
      const auto result = crawl([&](const Query& q) { return server.answer(q); }, at(cursor), {}, play, 5000);
      ASSERT_FALSE(result.error) << result.error->message();
      ASSERT_LT(result.requests, 5000);
      for (const auto& [row, times] : result.published) published[row] += times;
      cursor = result.stream.token();
    }
    for (const auto& row : server.rows) EXPECT_TRUE(published.contains({row.id, row.modified})) << row.id;
    if (server.habits.token_at_end)
      for (const auto& [row, times] : published) EXPECT_EQ(times, 1) << row.first;
  }
}

TEST(FeedCrawlProperty, AWindowPublishesItsRowsOnceAndNoOthers) {
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(200); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto server = any_server(random);
    const auto from = kStart + static_cast<std::int64_t>(random() % 130);
    const Bounds bounds{from, from + static_cast<std::int64_t>(random() % 60)};
    Play play;
    play.crash = [&] { return random() % 10 == 0; };
    const auto result = crawl([&](const Query& q) { return server.answer(q); }, {}, bounds, play, 5000);
    ASSERT_FALSE(result.error) << result.error->message();
    for (const auto& row : server.rows) {
      const auto it = result.published.find({row.id, row.modified});
      EXPECT_EQ(it == result.published.end() ? 0 : it->second, bounds.contains(row.modified) ? 1 : 0) << row.id;
    }
  }
}

TEST(FeedCrawlProperty, NoServerKeepsItBusyForEver) {
  // Tokens out of a few, rows or none, at random: whatever this is, it ends.
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(300); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto tokens = 1 + random() % 6;
    const bool rows = random() % 3 != 0;
    const auto answer = [&](const Query& q) {
      const auto from = q.empty() ? 0 : std::hash<std::string>()(q.back().second);
      std::mt19937_64 fixed(seed * 1000 + from % 997);  // the same question has the same answer
      return fmt::format(R"({{"hasMore":true,"continueFrom":"{}","data":[{}]}})", fixed() % tokens,
                         rows && fixed() % 4 != 0 ? R"({"id":1,"modifiedOn":"2026-01-01T00:00:00Z"})" : "");
    };
    const auto result = crawl(answer, {}, {}, {}, 3000);
    EXPECT_LT(result.requests, 3000);
    if (result.error) EXPECT_EQ(result.error->kind(), core::ErrorKind::no_progress);
  }
}

}  // namespace
}  // namespace stsync::servicetitan
