// The export feeds' continuation tokens: the three ways a feed ends, and servers that break their promises.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "servicetitan/crawl.hpp"

namespace stsync::servicetitan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr std::int64_t kFrom = 1'700'000'000'000;  // 2023-11-14T22:13:20Z

Resource feed_resource() {
  Resource r;
  r.name = "test.feed";
  Endpoint e;
  e.role = Role::export_feed;
  e.path = "/test/v2/tenant/{tenant}/export/rows";
  e.query = {{"active", "Any"}};
  r.endpoints.push_back(std::move(e));
  return r;
}

std::unique_ptr<Crawl> make_crawl(const Resource& resource, const v1::CrawlState& state, Bounds bounds) {
  return make_feed_crawl({&resource, &resource.endpoints.front()}, state.feed(), bounds);
}

std::unique_ptr<Crawl> start(const std::string& token = {}, Bounds bounds = {}) {
  static const auto resource = feed_resource();
  v1::CrawlState state;
  state.mutable_feed()->set_token(token);
  return make_crawl(resource, state, bounds);
}

core::Result<Step> read(Crawl& crawl, const std::string& body) {
  const auto page = codec::cut_page(body, {}).value();
  return crawl.on_page({body, page});
}

std::string token_of(const Crawl& crawl) { return crawl.state().feed().token(); }

TEST(FeedCrawl, BeginsAtTheBeginningAndFollowsTheToken) {
  auto crawl = start();
  EXPECT_THAT(crawl->next().query, ElementsAre(Pair("active", "Any")));
  const auto step = read(*crawl, R"({"hasMore":true,"continueFrom":"a b","data":[{"id":1},{"id":2}]})");
  ASSERT_TRUE(step);
  EXPECT_THAT(step->publish, ElementsAre(0, 1));
  EXPECT_FALSE(step->done);
  EXPECT_THAT(crawl->next().query, ElementsAre(Pair("active", "Any"), Pair("from", "a b")));
  const auto last = read(*crawl, R"({"hasMore":false,"continueFrom":"c","data":[{"id":3}]})");
  EXPECT_TRUE(last->done);
  v1::StreamState stream;
  crawl->move_cursor(stream);
  EXPECT_EQ(stream.token(), "c");
}

TEST(FeedCrawl, ASuccessorGoesOnFromTheJournal) {
  auto crawl = start("t1");
  ASSERT_TRUE(read(*crawl, R"({"hasMore":true,"continueFrom":"t2","data":[{"id":1}]})"));
  const auto resource = feed_resource();
  EXPECT_THAT(make_crawl(resource, crawl->state(), {})->next().query, ElementsAre(Pair("active", "Any"), Pair("from", "t2")));
}

TEST(FeedCrawl, KeepsTheLastGoodTokenWhenTheLastPageHasNone) {
  for (const auto* ending : {R"({"hasMore":false,"continueFrom":"","data":[]})",
                             R"({"hasMore":false,"continueFrom":null,"data":[]})", R"({"hasMore":false,"data":[]})"}) {
    auto crawl = start("good");
    const auto step = read(*crawl, ending);
    ASSERT_TRUE(step) << ending;
    EXPECT_TRUE(step->done);
    EXPECT_EQ(token_of(*crawl), "good");
  }
}

TEST(FeedCrawl, MoreWithoutRowsOrTokenIsAskedOnceAgainAndThenIsTheEnd) {
  for (const auto* body :
       {R"({"hasMore":true,"continueFrom":"same","data":[]})", R"({"hasMore":true,"continueFrom":"","data":[]})"}) {
    auto crawl = start("same");
    auto step = read(*crawl, body);
    ASSERT_TRUE(step);
    EXPECT_FALSE(step->done);
    step = read(*crawl, body);
    ASSERT_TRUE(step);
    EXPECT_TRUE(step->done);
    EXPECT_THAT(step->note, HasSubstr("neither rows nor a new token"));
    EXPECT_EQ(token_of(*crawl), "same");
  }
}

TEST(FeedCrawl, EmptyPagesWithNewTokensLeadOn) {
  auto crawl = start("0");
  for (int i = 1; i <= 1000; ++i) {
    const auto step = read(*crawl, R"({"hasMore":true,"continueFrom":")" + std::to_string(i) + R"(","data":[]})");
    ASSERT_TRUE(step) << i;
    EXPECT_FALSE(step->done);
  }
  const auto endless = read(*crawl, R"({"hasMore":true,"continueFrom":"x","data":[]})");
  ASSERT_FALSE(endless);
  EXPECT_EQ(endless.error().kind(), core::ErrorKind::no_progress);
}

TEST(FeedCrawl, RowsWithARepeatedTokenAreNotPublishedForEver) {
  auto crawl = start("same");
  const auto step = read(*crawl, R"({"hasMore":true,"continueFrom":"same","data":[{"id":1}]})");
  ASSERT_FALSE(step);
  EXPECT_EQ(step.error().kind(), core::ErrorKind::no_progress);
  EXPECT_EQ(token_of(*crawl), "same");
}

TEST(FeedCrawl, TokensThatGoInACircleEndWithAnError) {
  for (int length = 2; length <= 50; ++length) {
    auto crawl = start("entry");
    int pages = 0;
    for (;; ++pages) {
      ASSERT_LT(pages, 4 * length + 4) << length;
      const auto before = token_of(*crawl);
      const auto step =
          read(*crawl, R"({"hasMore":true,"continueFrom":"t)" + std::to_string(pages % length) + R"(","data":[{"id":1}]})");
      if (step) continue;
      EXPECT_EQ(step.error().kind(), core::ErrorKind::no_progress);
      EXPECT_EQ(token_of(*crawl), before) << "nothing may have moved";
      break;
    }
    EXPECT_GE(pages, length);
  }
}

TEST(FeedCrawl, AnEnvelopeWithoutItsMembersMovesNothing) {
  for (const auto* body : {R"({"continueFrom":"x","data":[{"id":1}]})", R"({"hasMore":false,"continueFrom":"x"})",
                           R"({"hasMore":1,"continueFrom":"x","data":[]})", R"({"hasMore":null,"continueFrom":"x","data":[]})"}) {
    auto crawl = start("before");
    const auto step = read(*crawl, body);
    ASSERT_FALSE(step) << body;
    EXPECT_EQ(step.error().kind(), core::ErrorKind::malformed) << body;
    EXPECT_EQ(token_of(*crawl), "before") << body;
  }
}

TEST(FeedCrawl, AWindowBeginsAtItsLowerEndAndPublishesOnlyItsRows) {
  auto crawl = start({}, {kFrom, kFrom + 1000});
  EXPECT_THAT(crawl->next().query, ElementsAre(Pair("active", "Any"), Pair("from", "2023-11-14T22:13:20.000Z")));
  const auto step = read(*crawl, R"({"hasMore":false,"continueFrom":"x","data":[
    {"id":1,"modifiedOn":"2023-11-14T22:13:19.999Z"}, {"id":2,"modifiedOn":"2023-11-14T22:13:20Z"},
    {"id":3,"modifiedOn":"2023-11-14T22:13:20.999Z"}, {"id":4,"modifiedOn":"2023-11-14T22:13:21Z"},
    {"id":5,"modifiedOn":null}, {"id":6}]})");
  ASSERT_TRUE(step);
  EXPECT_THAT(step->publish, ElementsAre(1, 2, 4, 5)) << "without a time nobody can tell, so it is published";
}

TEST(FeedCrawl, ATokenWithQuotesComesBackAsItWas) {
  auto crawl = start();
  ASSERT_TRUE(read(*crawl, R"({"hasMore":true,"continueFrom":"a\"\\\u00e9","data":[{"id":1}]})"));
  EXPECT_EQ(token_of(*crawl), "a\"\\\xc3\xa9");
}

}  // namespace
}  // namespace stsync::servicetitan
