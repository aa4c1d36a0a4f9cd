#include <gmock/gmock.h>

#include "codec/gzip.hpp"
#include "fixture.hpp"
#include "sim/schema.hpp"

namespace stsync::sim {
namespace {

using ::testing::HasSubstr;

struct Data : SimTest {
  void SetUp() override { start_with(small()); }
  http::Response call(const Endpoint& endpoint, const std::string& query) {
    http::Request request;
    request.target = endpoint.path + query;
    request.target.replace(request.target.find("{tenant}"), 8, "1001");
    request.headers = credentials(1001);
    return send(std::move(request)).value();
  }
  static bool by_id(const Endpoint& endpoint) { return endpoint.key == "id" || endpoint.key == "leadCall.id"; }
};

TEST_F(Data, EveryFeedReadToItsEndIsTheTruth) {
  for (const auto& resource : Schema::get().resources()) {
    const auto* feed = resource.endpoint(Role::export_feed);
    if (feed == nullptr) continue;
    std::map<std::string, std::string> rows;
    std::string from;
    do {
      const auto body = call(*feed, from.empty() ? "" : "?from=" + from).body;
      for (const auto& record : records_of(body)) rows["1001:" + record_key(feed->key, record, {}, 0)] = record;
      from = member(body, "hasMore") == "true" ? text_member(body, "continueFrom") : "";
    } while (!from.empty());
    Sum128 sum;
    for (const auto& [key, bytes] : rows) sum += record_hash(key, bytes);
    const auto expected = truth(1001, resource.name);
    EXPECT_EQ(rows.size(), expected.count) << resource.name;
    EXPECT_EQ(sum.hex(), expected.hash) << resource.name;
  }
}

TEST_F(Data, EveryListReadToItsEndIsTheTruth) {
  std::size_t lists = 0;
  for (const auto& resource : Schema::get().resources()) {
    const auto* list = resource.endpoint(Role::list);
    if (list == nullptr || resource.source() != list || list->shape != Shape::page || answers_for_period(*list)) continue;
    ++lists;
    Sum128 sum;
    std::size_t count = 0;
    for (int page = list->first_page; page < 100; ++page) {
      const auto body = call(*list,
                             "?active=Any&activeState=All&includeInactive=true&activeOnly=false&includeTotal=true&descending=false&"
                             "pageSize=33&page=" +
                                 std::to_string(page))
                            .body;
      EXPECT_EQ(member(body, "page"), std::to_string(page)) << resource.name << body;
      EXPECT_EQ(member(body, "pageSize"), "33");
      const auto records = records_of(body);
      for (const auto& record : records) sum += record_hash("1001:" + record_key(list->key, record, {}, count++), record);
      if (list->parameter("includeTotal") != nullptr)
        EXPECT_EQ(member(body, "totalCount"), std::to_string(truth(1001, resource.name).count)) << resource.name;
      if (member(body, "hasMore") != "true") break;
    }
    EXPECT_EQ(sum.hex(), truth(1001, resource.name).hash) << resource.name;
  }
  EXPECT_GT(lists, 60u);
}

TEST_F(Data, ListsFilterByActiveAndWindow) {
  const auto any = records_of(get(1001, "marketing", "campaigns?active=Any&pageSize=5000").body);
  const auto active = records_of(get(1001, "marketing", "campaigns?pageSize=5000").body);
  const auto inactive = records_of(get(1001, "marketing", "campaigns?active=False&pageSize=5000").body);
  EXPECT_EQ(any.size(), 120u);
  EXPECT_EQ(active.size() + inactive.size(), 120u);
  EXPECT_GT(inactive.size(), 0u);
  const auto bound = text_member(any[40], "modifiedOn");
  const auto limit = core::parse_utc(bound).value();
  const auto query = "campaigns?active=Any&pageSize=5000&";
  const auto cut = http::percent_encode(core::format_utc(limit));
  const auto since = records_of(get(1001, "marketing", query + ("modifiedOnOrAfter=" + cut)).body);
  const auto before = records_of(get(1001, "marketing", query + ("modifiedBefore=" + cut)).body);
  EXPECT_EQ(since.size() + before.size(), 120u);
  for (const auto& record : since) EXPECT_GE(core::parse_utc(text_member(record, "modifiedOn")).value(), limit);
  for (const auto& record : before) EXPECT_LT(core::parse_utc(text_member(record, "modifiedOn")).value(), limit);
}

TEST_F(Data, ListsSortWhereTheEndpointSaysSo) {
  const auto ids = [this](const std::string& rest) {
    std::vector<std::int64_t> out;
    for (const auto& record : records_of(get(1001, "inventory", rest).body))
      out.push_back(core::parse_int(member(record, "id")).value());
    return out;
  };
  const auto up = ids("vendors?pageSize=5000&sort=%2BId");
  EXPECT_TRUE(std::is_sorted(up.begin(), up.end()));
  const auto down = ids("vendors?pageSize=5000");
  EXPECT_TRUE(std::is_sorted(down.rbegin(), down.rend()));
  EXPECT_EQ(up.size(), down.size());
  const auto by_time = ids("vendors?pageSize=5000&sort=%2BModifiedOn");
  EXPECT_FALSE(std::is_sorted(by_time.begin(), by_time.end()));
  const auto refused = get(1001, "inventory", "vendors?sort=-completedOn");
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body, HasSubstr(R"("errors":{"sort":["The value '-completedOn' is not valid for sort."]})"));
  EXPECT_EQ(get(1001, "settings", "user-roles?sort=-completedOn").status, 200) << "an unknown parameter there";
  EXPECT_EQ(ids("vendors?ids=" + std::to_string(up[3]) + "," + std::to_string(up[5])), (std::vector{up[5], up[3]}));
}

TEST_F(Data, BadParametersAre400AndUnknownOnesAreIgnored) {
  for (const auto* rest : {"campaigns?page=0", "campaigns?page=x", "campaigns?pageSize=0", "campaigns?modifiedOnOrAfter=yesterday",
                           "campaigns?active=perhaps", "campaigns?ids=a"})
    EXPECT_EQ(get(1001, "marketing", rest).status, 400) << rest;
  EXPECT_EQ(get(1001, "jpm", "export/jobs?from=nonsense").status, 400);
  const auto page = get(1001, "marketing", "campaigns?jobStatus=x").body;
  EXPECT_EQ(member(page, "pageSize"), "50");
  EXPECT_EQ(member(page, "totalCount"), "null");
  EXPECT_EQ(member(get(1001, "marketing", "campaigns?pageSize=100000").body, "pageSize"), "5000");
  EXPECT_EQ(records_of(get(1001, "marketing", "campaigns?page=99999999999999").body).size(), 0u);
}

TEST_F(Data, ATokenOfOneFeedIsWorthNothingInAnother) {
  const auto token = text_member(get(1001, "jpm", "export/jobs").body, "continueFrom");
  EXPECT_EQ(get(1001, "jpm", "export/jobs?from=" + token).status, 200);
  EXPECT_EQ(get(1001, "jpm", "export/projects?from=" + token).status, 400);
}

TEST_F(Data, AFeedFromADateBeginsWithIt) {
  Tally all;
  crawl(1001, "jpm", "export/jobs", "", all);
  const auto& some = std::next(all.rows.begin(), 60)->second;
  const auto date = core::parse_utc(text_member(some, "modifiedOn")).value();
  Tally later;
  crawl(1001, "jpm", "export/jobs", core::format_utc(date), later);
  std::size_t expected = 0;
  for (const auto& [key, record] : all.rows) expected += core::parse_utc(text_member(record, "modifiedOn")).value() >= date ? 1 : 0;
  EXPECT_EQ(later.rows.size(), expected);
}

TEST_F(Data, ChangesAppearBehindTheLastToken) {
  Tally tally;
  auto token = crawl(1001, "jpm", "export/jobs", "", tally);
  Tally nothing;
  EXPECT_EQ(crawl(1001, "jpm", "export/jobs", token, nothing), token) << "the end of the feed stays where it is";
  EXPECT_TRUE(nothing.rows.empty());
  EXPECT_THAT(post("/__sim/touch", R"({"tenant":1001,"resource":"jpm.jobs","count":60})").body, HasSubstr("\"touched\":60"));
  Tally changed;
  token = crawl(1001, "jpm", "export/jobs", token, changed);
  EXPECT_EQ(changed.rows.size(), 60u);
  for (const auto& [key, record] : changed.rows) {
    EXPECT_NE(record, tally.rows.at(key));
    tally.rows[key] = record;
  }
  EXPECT_EQ(tally.hash(), truth(1001, "jpm.jobs").hash);
  Tally again;
  crawl(1001, "jpm", "export/jobs", "", again);
  EXPECT_EQ(again.hash(), tally.hash());
  // A change of this minute waits a quarter of an hour, unless one asks for it.
  post("/__sim/touch", R"({"tenant":1001,"resource":"jpm.jobs","count":1,"minutes_ago":0})");
  EXPECT_EQ(records_of(get(1001, "jpm", "export/jobs?from=" + token).body).size(), 0u);
  EXPECT_EQ(records_of(get(1001, "jpm", "export/jobs?includeRecentChanges=true&from=" + token).body).size(), 1u);
  clock.run_for(15min);
  tokens.clear();
  EXPECT_EQ(records_of(get(1001, "jpm", "export/jobs?from=" + token).body).size(), 1u);
}

TEST_F(Data, ChangesShowInListsToo) {
  const auto before = core::format_utc(clock.wall_now() - 30min);
  EXPECT_EQ(records_of(get(1001, "marketing", "campaigns?active=Any&modifiedOnOrAfter=" + before).body).size(), 0u);
  post("/__sim/touch", R"({"count":5})");
  EXPECT_EQ(records_of(get(1001, "marketing", "campaigns?active=Any&modifiedOnOrAfter=" + before).body).size(), 5u);
}

TEST_F(Data, BodiesAreCompressedWhenAskedFor) {
  auto request = api_request(1001, "jpm", "export/jobs");
  const auto plain = send(request).value();
  EXPECT_EQ(http::find_header(plain.headers, "Content-Encoding"), nullptr);
  request.headers.emplace_back("Accept-Encoding", "gzip");
  for (int i = 0; i < 3; ++i) {  // the third one from the cache
    const auto packed = send(request).value();
    ASSERT_NE(http::find_header(packed.headers, "Content-Encoding"), nullptr);
    EXPECT_LT(packed.body.size(), plain.body.size() / 2);
    EXPECT_EQ(codec::gunzip(packed.body, 10 << 20).value(), plain.body);
  }
  EXPECT_EQ(send(api_request(1001, "jpm", "export/jobs")).value().body, plain.body);
}

}  // namespace
}  // namespace stsync::sim
