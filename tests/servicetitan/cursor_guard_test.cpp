// Cursors that the server does not know any more, or has not reached.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "servicetitan/plan.hpp"

namespace stsync::servicetitan {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr std::int64_t kNow = 1'790'000'000'000;
constexpr std::int64_t kNewest = 1'780'000'000'000;  // 2026-05-28T20:26:40Z
constexpr std::int64_t kDay = 86'400'000;

const Catalogue& catalogue() {
  static const auto built_in = Catalogue::load("", "").value();
  return built_in;
}

std::unique_ptr<Crawl> start(const std::string& resource, const v1::StreamState& stream, LostCursor policy = LostCursor::fail) {
  v1::Sync sync;
  sync.set_resource(resource);
  const auto& r = *catalogue().find(resource);
  const auto planned = plan({catalogue(), r, sync, stream, kNow - 300'000, kNow, policy}).value();
  // From its journal, as a successor would.
  return make_crawl(catalogue(), r, planned.start, sync).value();
}

v1::StreamState feed_stream(std::int64_t newest = kNewest) {
  v1::StreamState out;
  out.set_token("t1");
  out.set_newest_ms(newest);
  return out;
}
v1::StreamState list_stream() {
  v1::StreamState out;
  out.set_watermark_ms(kNow - kDay);
  out.set_newest_ms(kNewest);
  return out;
}

core::Result<Step> read(Crawl& crawl, const std::string& body) {
  const auto page = codec::cut_page(body, {}).value();
  return crawl.on_page({body, page});
}
core::Result<Step> refuse(Crawl& crawl, const std::string& why) {
  return crawl.on_refusal(core::Error(core::ErrorKind::bad_request, why));
}

constexpr const char* kRow = R"({"hasMore":false,"continueFrom":"t2","data":[{"id":1,"modifiedOn":"2026-06-01T00:00:00Z"}]})";
constexpr const char* kNothing = R"({"hasMore":false,"continueFrom":"t1","data":[]})";
constexpr const char* kNoRows = R"({"page":1,"pageSize":1,"hasMore":false,"totalCount":0,"data":[]})";

TEST(CursorGuard, B14_ATokenThatIsRefusedIsLostOnlyWhereTheFeedCanBeReadWithoutIt) {
  auto crawl = start("jpm.jobs", feed_stream());
  EXPECT_THAT(crawl->next().query, Contains(Pair("from", "t1")));
  const auto refused = refuse(*crawl, "The value 't1' is not valid for from.");
  ASSERT_TRUE(refused);
  EXPECT_FALSE(refused->done);
  EXPECT_THAT(refused->publish, IsEmpty());
  EXPECT_THAT(crawl->next().query, ::testing::Not(Contains(Pair("from", ::testing::_))));
  const auto lost = read(*crawl, kRow);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind(), core::ErrorKind::cursor_lost);
  EXPECT_THAT(lost.error().message(), HasSubstr("'t1' is not valid"));
}

TEST(CursorGuard, B14_ARefusalThatIsNotTheTokensFaultIsWhatItIs) {
  auto crawl = start("jpm.jobs", feed_stream());
  ASSERT_TRUE(refuse(*crawl, "first"));
  const auto second = refuse(*crawl, "the module is not there");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), core::ErrorKind::bad_request);
  EXPECT_THAT(second.error().message(), HasSubstr("module"));
  auto without_token = start("jpm.jobs", {});
  EXPECT_FALSE(refuse(*without_token, "no"));
}

TEST(CursorGuard, B14_AFeedCanReadOnFromTheLatestChange) {
  auto crawl = start("jpm.jobs", feed_stream(), LostCursor::from_watermark);
  ASSERT_TRUE(refuse(*crawl, "no such token"));
  const auto step = read(*crawl, kRow);
  ASSERT_TRUE(step) << step.error().message();
  EXPECT_THAT(step->publish, IsEmpty()) << "what the probe brought is from the beginning";
  EXPECT_THAT(step->note, HasSubstr("no longer knows the continuation token"));
  EXPECT_THAT(crawl->next().query, Contains(Pair("from", "2026-05-28T19:26:40.000Z"))) << "an hour before";
  ASSERT_TRUE(read(*crawl, kRow)->done);
  v1::StreamState stream = feed_stream();
  crawl->move_cursor(stream);
  EXPECT_EQ(stream.token(), "t2");
}

TEST(CursorGuard, B14_WithoutALatestChangeThereIsNothingToReadOnFrom) {
  auto crawl = start("jpm.jobs", feed_stream(0), LostCursor::from_watermark);
  ASSERT_TRUE(refuse(*crawl, "no such token"));
  EXPECT_EQ(read(*crawl, kRow).error().kind(), core::ErrorKind::cursor_lost);
}

TEST(CursorGuard, AFeedThatBringsNothingIsAskedOnceADayForWhatCameLast) {
  auto crawl = start("jpm.jobs", feed_stream());
  const auto empty = read(*crawl, kNothing);
  ASSERT_TRUE(empty);
  EXPECT_FALSE(empty->done);
  EXPECT_THAT(crawl->next().query, Contains(Pair("from", "2026-05-28T20:26:40.000Z")));
  const auto there = read(*crawl, kRow);
  ASSERT_TRUE(there && there->done);
  EXPECT_THAT(there->publish, IsEmpty()) << "published before";
  auto stream = feed_stream();
  crawl->move_cursor(stream);
  EXPECT_EQ(stream.token(), "t1");
  EXPECT_EQ(stream.checked_ms(), kNow);
  EXPECT_TRUE(read(*start("jpm.jobs", stream), kNothing)->done) << "asked today already";
}

TEST(CursorGuard, AServerWithoutWhatCameLastHasNotReachedTheCursor) {
  auto feed = start("jpm.jobs", feed_stream());
  ASSERT_TRUE(read(*feed, kNothing));
  const auto lost = read(*feed, kNothing);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind(), core::ErrorKind::cursor_lost);
  EXPECT_THAT(lost.error().message(), HasSubstr("overwritten by a copy"));

  auto list = start("marketing.campaigns", list_stream());
  auto step = read(*list, kNoRows);
  for (int i = 0; i < 5 && step && !step->done; ++i) step = read(*list, kNoRows);
  ASSERT_FALSE(step) << "a list that has nothing to show is asked too";
  EXPECT_EQ(step.error().kind(), core::ErrorKind::cursor_lost);
}

TEST(CursorGuard, AListIsAskedForChangesSinceTheLatestOne) {
  auto list = start("marketing.campaigns", list_stream());
  for (int i = 0; i < 5; ++i) {
    const auto query = list->next().query;
    const auto since = std::find(query.begin(), query.end(), Query::value_type{"modifiedOnOrAfter", "2026-05-28T20:26:40.000Z"});
    if (since != query.end()) {
      EXPECT_THAT(query, Contains(Pair("pageSize", "1")));
      EXPECT_TRUE(read(*list, R"({"page":1,"pageSize":1,"hasMore":true,"totalCount":null,"data":[{"id":1}]})")->done);
      return;
    }
    ASSERT_TRUE(read(*list, kNoRows));
  }
  FAIL() << "never asked";
}

TEST(CursorGuard, RemembersTheLatestChangeAndDoesNotBelieveInTheFuture) {
  auto crawl = start("jpm.jobs", feed_stream());
  ASSERT_TRUE(read(*crawl, R"({"hasMore":false,"continueFrom":"t2","data":[{"id":1,"modifiedOn":"2026-06-01T00:00:00Z"},)"
                           R"({"id":2,"modifiedOn":"2101-01-01T00:00:00Z"},{"id":3,"modifiedOn":null}]})"));
  v1::StreamState stream;
  crawl->move_cursor(stream);
  EXPECT_EQ(stream.newest_ms(), 1'780'272'000'000);
}

}  // namespace
}  // namespace stsync::servicetitan
