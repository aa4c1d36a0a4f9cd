// What faults do to an answer, one by one.
#include "sim/mangle.hpp"

#include <gmock/gmock.h>

#include "codec/gzip.hpp"
#include "codec/page.hpp"
#include "fixture.hpp"

namespace stsync::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

struct Mangle : SimTest {
  void SetUp() override {
    start_with(small());
    credentials(1001);
    whole = get(1001, "jpm", "export/jobs").body;
    rows = records_of(whole);
    ASSERT_EQ(rows.size(), 50u);
  }
  void fault(const std::string& json) { ASSERT_EQ(post("/__sim/faults", json).status, 200) << json; }
  http::Response mangled(const std::string& name, const std::string& rest = "export/jobs") {
    fault(R"({"mangle":")" + name + R"(","path_contains":"export/jobs"})");
    return get(1001, "jpm", rest);
  }
  http::Response packed(const std::string& name) {
    fault(R"({"mangle":")" + name + R"(","path_contains":"export/jobs"})");
    auto request = api_request(1001, "jpm", "export/jobs");
    request.headers.emplace_back("Accept-Encoding", "gzip");
    return send(std::move(request)).value();
  }
  /// Everything but the first row is as it was.
  std::string first_of(const std::string& body) {
    auto got = records_of(body);
    EXPECT_EQ(got.size(), rows.size());
    if (got.size() != rows.size()) return {};
    EXPECT_TRUE(std::equal(got.begin() + 1, got.end(), rows.begin() + 1));
    return got[0];
  }

  std::string whole;
  std::vector<std::string> rows;
};

TEST_F(Mangle, ThePageBehindAFaultIsWholeAgain) {
  EXPECT_NE(mangled("no_token").body, whole);
  EXPECT_EQ(get(1001, "jpm", "export/jobs").body, whole);
}

TEST_F(Mangle, DuplicateRowsPutTheFirstRowOnThePageTwice) {
  auto expected = rows;
  expected.insert(expected.begin(), rows[0]);
  EXPECT_EQ(records_of(mangled("duplicate_rows").body), expected);
}

TEST_F(Mangle, AnEmptyPageHasMoreAndANewToken) {
  const auto body = mangled("empty_page").body;
  EXPECT_TRUE(records_of(body).empty());
  EXPECT_TRUE(codec::cut_page(body, {}).value().has_data);
  EXPECT_EQ(member(body, "hasMore"), "true");
  EXPECT_EQ(text_member(body, "continueFrom"), text_member(whole, "continueFrom"));
}

TEST_F(Mangle, ATokenCycleLeadsRoundAndRound) {
  fault(R"({"mangle":"token_cycle","path_contains":"export/jobs","count":7})");
  std::vector<std::string> tokens;
  std::string from;
  for (int i = 0; i < 7; ++i) {
    const auto page = get(1001, "jpm", "export/jobs?from=" + from);
    ASSERT_EQ(page.status, 200) << page.body;
    EXPECT_EQ(member(page.body, "hasMore"), "true");
    EXPECT_EQ(records_of(page.body), rows);
    tokens.push_back(from = text_member(page.body, "continueFrom"));
  }
  EXPECT_THAT(tokens, ElementsAre("first", "second", "third", "first", "second", "third", "first"));
  EXPECT_EQ(get(1001, "jpm", "export/jobs?from=first").status, 400) << "no token once the fault is over";
}

TEST_F(Mangle, NoTokenPromisesMoreAllTheSame) {
  const auto body = mangled("no_token").body;
  EXPECT_EQ(member(body, "continueFrom"), "null");
  EXPECT_EQ(member(body, "hasMore"), "true");
  EXPECT_EQ(records_of(body), rows);
}

TEST_F(Mangle, AnUnknownTokenIsRefusedAndNoTokenIsNot) {
  const auto token = text_member(whole, "continueFrom");
  const auto refused = mangled("unknown_token", "export/jobs?from=" + token);
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body, HasSubstr("is not valid for from"));
  EXPECT_EQ(mangled("unknown_token").body, whole);
}

TEST_F(Mangle, TheFirstRowLosesWhatItTells) {
  const auto field = [](const std::string& row, const char* name) { return std::string(codec::json_field(row, name)); };
  const auto nameless = first_of(mangled("without_id").body);
  EXPECT_EQ(field(nameless, "id"), "");
  EXPECT_EQ(nameless.size(), rows[0].size() + 3);
  EXPECT_EQ(field(first_of(mangled("null_modified").body), "modifiedOn"), "null");
  EXPECT_EQ(field(first_of(mangled("future_modified").body), "modifiedOn"), "\"2101-01-01T00:00:00Z\"");
  const auto odd = first_of(mangled("unknown_choice").body);
  EXPECT_NE(odd, rows[0]);
  EXPECT_THAT(odd, HasSubstr("\"Quiesced\""));
  EXPECT_EQ(field(odd, "id"), field(rows[0], "id"));
}

TEST_F(Mangle, RowsGetAMemberMoreOrLess) {
  for (const auto& [name, gained, lost] : std::vector<std::tuple<std::string, std::string, std::string>>{
           {"new_field", "loyaltyTier", ""}, {"other_tenant", "tenantId", ""}, {"without_active", "", "active"}}) {
    const auto some = name == "without_active" ? get(1001, "crm", "export/customers").body : whole;
    fault(R"({"mangle":")" + name + R"("})");
    const auto body = name == "without_active" ? get(1001, "crm", "export/customers").body : get(1001, "jpm", "export/jobs").body;
    const auto got = records_of(body);
    ASSERT_EQ(got.size(), 50u);
    for (const auto& row : got) {
      if (!gained.empty()) EXPECT_NE(codec::json_field(row, gained), "") << name;
      if (!lost.empty()) EXPECT_EQ(codec::json_field(row, lost), "") << name;
    }
    EXPECT_NE(body, some);
    EXPECT_EQ(text_member(body, "continueFrom"), text_member(some, "continueFrom"));
  }
}

TEST_F(Mangle, BodiesThatNoReaderShouldTake) {
  for (const auto* name : {"deep", "bad_utf8", "bom", "nan"}) {
    const auto answer = mangled(name);
    EXPECT_EQ(answer.status, 200) << name;
    const auto page = codec::cut_page(answer.body, {});
    ASSERT_FALSE(page) << name;
    EXPECT_EQ(page.error().kind(), core::ErrorKind::malformed) << name;
  }
  EXPECT_THAT(mangled("bom").body, ::testing::StartsWith("\xef\xbb\xbf{"));
  EXPECT_THAT(mangled("nan").body, HasSubstr("\"hasMore\":NaN"));
}

TEST_F(Mangle, EncodingsThatLieAboutTheirBody) {
  for (const auto& answer : {packed("nested_gzip"), mangled("nested_gzip")}) {
    EXPECT_EQ(*http::find_header(answer.headers, "Content-Encoding"), "gzip");
    EXPECT_EQ(codec::gunzip(codec::gunzip(answer.body, SIZE_MAX).value(), SIZE_MAX).value(), whole);
  }
  EXPECT_EQ(*http::find_header(mangled("unknown_encoding").headers, "Content-Encoding"), "zstd");
  const auto bomb = packed("gzip_bomb");
  EXPECT_EQ(*http::find_header(bomb.headers, "Content-Encoding"), "gzip");
  EXPECT_LT(bomb.body.size(), 8u << 20);
  EXPECT_EQ(codec::gunzip(bomb.body, 256u << 20).error().kind(), core::ErrorKind::too_large);
}

TEST_F(Mangle, ACompressedPageStaysOne) {
  const auto answer = packed("new_field");
  EXPECT_EQ(*http::find_header(answer.headers, "Content-Encoding"), "gzip");
  EXPECT_THAT(codec::gunzip(answer.body, SIZE_MAX).value(), HasSubstr("\"loyaltyTier\":\"gold\""));
}

TEST_F(Mangle, EveryFaultHasAName) {
  EXPECT_TRUE(is_mangle("token_cycle"));
  EXPECT_FALSE(is_mangle("token"));
  const auto refused = post("/__sim/faults", R"({"mangle":"token"})");
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body, HasSubstr(mangle_names()));
}

struct OddAnswers : Mangle {};

TEST_F(OddAnswers, HitOneCallInSoMany) {
  fault(R"({"status":503,"every":3,"count":2,"path_contains":"export/jobs"})");
  std::vector<int> statuses;
  for (int i = 0; i < 8; ++i) {
    statuses.push_back(get(1001, "jpm", "export/jobs").status);
    EXPECT_EQ(get(1001, "jpm", "export/projects").status, 200) << "is not meant and not counted";
  }
  EXPECT_THAT(statuses, ElementsAre(200, 200, 503, 200, 200, 503, 200, 200));
}

TEST_F(OddAnswers, SeveralFaultsAreLaidAtOnceOrNotAtAll) {
  EXPECT_EQ(post("/__sim/faults", R"([{"status":500,"count":2},{"mangle":"nan"}])").status, 200);
  EXPECT_EQ(get(1001, "jpm", "export/jobs").status, 500);
  EXPECT_EQ(get(1001, "jpm", "export/jobs").status, 500);
  EXPECT_THAT(get(1001, "jpm", "export/jobs").body, HasSubstr("NaN"));
  EXPECT_EQ(get(1001, "jpm", "export/jobs").body, whole);
}

TEST_F(OddAnswers, SayWordForWordWhatIsAskedFor) {
  fault(R"({"text":"{\"odd\":1}"})");
  const auto good = get(1001, "jpm", "export/jobs");
  EXPECT_EQ(good.status, 200);
  EXPECT_EQ(good.body, R"({"odd":1})");
  fault(R"({"text":"no teapot","status":418})");
  const auto bad = get(1001, "jpm", "export/jobs");
  EXPECT_EQ(bad.status, 418);
  EXPECT_EQ(bad.body, "no teapot");
  fault(R"({"raw":"HTTP/1.1 206 Some\r\nContent-Length: 3\r\nX-Odd: yes\r\nConnection: close\r\n\r\nabc"})");
  const auto raw = get(1001, "jpm", "export/jobs");
  EXPECT_EQ(raw.status, 206);
  EXPECT_EQ(raw.body, "abc");
  EXPECT_EQ(*http::find_header(raw.headers, "X-Odd"), "yes");
  EXPECT_EQ(http::find_header(raw.headers, "Date"), nullptr) << "nothing but those bytes";
  fault(R"({"raw":"nonsense\r\n\r\n"})");
  EXPECT_FALSE(send(api_request(1001, "jpm", "export/jobs")));
}

TEST_F(OddAnswers, DripByteByByteAndAreWhole) {
  fault(R"({"text":"{\"data\":[]}","drip_ms":1})");
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(get(1001, "jpm", "export/jobs").body, R"({"data":[]})");
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 50ms) << "its head alone has more bytes";
}

}  // namespace
}  // namespace stsync::sim
