// Any message of the commands topic leads to exactly one decision.
#include "sync/intake.hpp"

#include <random>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/wire.hpp"
#include "core/text.hpp"
#include "intake_play.hpp"
#include "support/seeds.hpp"

namespace stsync::sync {
namespace {

using ::testing::HasSubstr;

/// A sync of so many jobs by id.
std::string ids(int first, int count) {
  std::string all = std::to_string(first);
  for (int i = first + 1; i < first + count; ++i) all += "," + std::to_string(i);
  return R"({"resource":"jpm.jobs","mode":"ids","ids":[)" + all + "]}";
}

TEST_F(IntakeTest, AcceptsWhatCanBeDone) {
  for (const auto* sync :
       {R"({"resource":"jpm.jobs"})", R"({"resource":"jpm.jobs","mode":"full","priority":"backfill"})",
        R"({"resource":"marketing.campaigns","mode":"window","from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z"})"})
    EXPECT_EQ(told_json(sync_json("a", sync)), "accept") << sync;
  for (const auto* action : {R"("cancel":{"job":"x"})", R"("pause":{})", R"("resume":{"resource":"jpm.jobs"})",
                             R"("cursor":{"resource":"jpm.jobs","reset":true})", R"("cursor":{"resource":"jpm.jobs","set":"t"})"})
    EXPECT_EQ(told_json(fmt::format(R"({{"id":"c","app":"acme","tenant":"1001",{}}})", action)), "control") << action;
}

TEST_F(IntakeTest, E2_SaysWhatIsWrongWithACommand) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "empty: "},
      {"nonsense", "bad_command: "},
      {"[]", "bad_command: "},
      {R"({"id":"a","unknown":1})", "bad_command: "},
      {R"({"id":7})", "bad_command: "},
      {R"({"app":"acme","tenant":1001,"sync":{"resource":"jpm.jobs"}})", "bad_id: "},
      {R"({"id":"a b","app":"acme","tenant":1001,"sync":{"resource":"jpm.jobs"}})", "bad_id: "},
      {fmt::format(R"({{"id":"{}","app":"acme","tenant":1001,"pause":{{}}}})", std::string(65, 'x')), "bad_id: "},
      {R"({"id":"a","app":"nobody","tenant":1001,"sync":{"resource":"jpm.jobs"}})", "unknown_app: app 'nobody' is not configured"},
      {R"({"id":"a","app":"acme","tenant":7,"sync":{"resource":"jpm.jobs"}})", "unknown_tenant: tenant 7 "},
      {R"({"id":"a","app":"acme","tenant":1001})", "no_action: "},
      {R"({"id":"a","app":"acme","tenant":1001,"sync":{},"cancel":{}})", "bad_command: "},
      {sync_json("a", R"({"resource":"jpm.jbs"})"), "unknown_resource: 'jpm.jbs' is not a resource"},
      {sync_json("a", "{}"), "unknown_resource: "},
      {sync_json("a", R"({"resource":"jpm.jobs","mode":"fast"})"), "bad_command: "},
      {sync_json("a", R"({"resource":"jpm.jobs","mode":"ids"})"), "bad_ids: mode ids needs 1 to 5000 ids"},
      {sync_json("a", R"({"resource":"jpm.jobs","mode":"ids","ids":["1",".."]})"), "bad_ids: '..' is no id"},
      {sync_json("a", R"({"resource":"jpm.jobs","mode":"ids","ids":["1,2"]})"), "bad_ids: '1,2' is no id"},
      {sync_json("a", R"({"resource":"jpm.jobs","mode":"ids","ids":[""]})"), "bad_ids: '' is no id"},
      {sync_json("a", R"({"resource":"jpm.jobs","mode":"report"})"), "unsupported_mode: jpm.jobs cannot be read in mode report"},
      {sync_json("a", R"({"resource":"reporting.reports"})"), "reports have a mode of their own"},
      {sync_json("a", R"({"resource":"reporting.reports","mode":"report"})"), "bad_report: mode report needs report.category"},
      {sync_json("a", R"({"resource":"reporting.reports","mode":"report","report":{"category":"..","id":1}})"), "bad_report"},
      {sync_json("a", R"({"resource":"reporting.reports","mode":"report","report":{"category":"a","id":0}})"), "bad_report"},
      {sync_json(
           "a",
           R"({"resource":"reporting.reports","mode":"report","report":{"category":"a","id":1,"parameters":[{"value":"x"}]}})"),
       "bad_report: '' is no name of a parameter"},
      {sync_json("a", R"({"resource":"jpm.jobs","report":{"category":"a","id":1}})"), "belong to modes of their own"},
      {sync_json("a", R"({"resource":"pricebook.images"})"),
       "unsupported_mode: pricebook.images cannot be read in mode incremental: it needs ids"},
      {sync_json("a", R"({"resource":"jpm.jobs","ids":["1"]})"), "bad_command: "},
      {sync_json("a", R"({"resource":"jpm.jobs","from":"2026-01-01T00:00:00Z"})"), "bad_window: from and to belong to mode window"},
      {sync_json("a", R"({"resource":"jpm.jobs","mode":"window","to":"2026-01-01T00:00:00Z"})"), "bad_window: "},
      {sync_json("a", R"({"resource":"jpm.jobs","mode":"window","from":"2026-01-02T00:00:00Z","to":"2026-01-02T00:00:00Z"})"),
       "bad_window: from must be before to"},
      {R"({"id":"a","app":"acme","tenant":1001,"cursor":{"resource":"x.y","reset":true}})", "unknown_resource: "},
      {R"({"id":"a","app":"acme","tenant":1001,"cursor":{"resource":"jpm.jobs"}})", "bad_command: "},
      {R"({"id":"a","app":"acme","tenant":1001,"cursor":{"resource":"jpm.jobs","reset":false}})", "bad_command: "},
      {std::string((256 << 10) + 1, ' '), "too_large: "},
  };
  for (const auto& [json, expected] : cases) EXPECT_THAT(told_json(json), HasSubstr(expected)) << json.substr(0, 200);
}

TEST_F(IntakeTest, E1_ATombstoneIsNoCommand) {
  auto m = message("");
  m.value.reset();
  EXPECT_THAT(told(decide_on(m)), HasSubstr("empty: "));
}

TEST_F(IntakeTest, E13_TheSizeOfACommandIsThatOfItsWholeMessage) {
  const auto json = sync_json("a", R"({"resource":"jpm.jobs"})");
  auto m = message(json);
  m.key = std::string(kMaxCommandBytes, 'k');
  EXPECT_THAT(told(decide_on(m)), HasSubstr("too_large: ")) << "forwarded it might not fit";
  m = message(json);
  m.headers = {{"h", std::string(kMaxCommandBytes - json.size() - 20, 'x')}};
  EXPECT_EQ(told(decide_on(m)), "accept") << "the last size that is accepted";
  m.headers[0].second += 'x';
  EXPECT_THAT(told(decide_on(m)), HasSubstr("too_large: 262145 bytes, at most 262144 are accepted"));
}

TEST_F(IntakeTest, ReadsProtobufWhereTheHeaderSaysSo) {
  v1::Command c;
  ASSERT_TRUE(codec::from_json(sync_json("a", R"({"resource":"jpm.jobs"})"), c));
  auto m = message(c.SerializeAsString());
  EXPECT_THAT(told(decide_on(m)), HasSubstr("bad_command: "));
  m.headers = {{"content-type", "application/protobuf"}};
  EXPECT_EQ(told(decide_on(m)), "accept");
  m.value = "\xff\xff\xff";
  EXPECT_THAT(told(decide_on(m)), HasSubstr("bad_command: not a stsync.v1.Command"));
  m.value = c.SerializeAsString() + "\xf8\x07\x01";  // field 127
  EXPECT_EQ(told(decide_on(m)), "bad_command: an unknown field");
}

TEST_F(IntakeTest, E3_ForwardsOnceWhatStandsOnTheWrongPartition) {
  const auto json = R"({"id":"a","app":"acme","tenant":1002,"sync":{"resource":"jpm.jobs"}})";
  auto d = decide_json(json);
  ASSERT_EQ(told(d), "forward");
  EXPECT_EQ(std::get<Forward>(d).key, "acme:1002");
  EXPECT_EQ(std::get<Forward>(d).partition, kafka::partition_for("acme:1002", 12));
  auto m = message(json);
  m.headers = {{"st-forwarded", "1"}};
  EXPECT_THAT(told(decide_on(m)), HasSubstr("wrong_partition: "));
  m = message(sync_json("a", R"({"resource":"jpm.jobs"})"));
  m.key.reset();
  EXPECT_EQ(told(decide_on(m)), "forward") << "without a key compaction and order mean nothing";
}

TEST_F(IntakeTest, E4_TheSameCommandTwiceIsADuplicateAndAnotherBodyAConflict) {
  const auto json = sync_json("a", R"({"resource":"jpm.jobs","mode":"full"})");
  for (const auto phase : {v1::JobState::waiting, v1::JobState::running, v1::JobState::paused, v1::JobState::completed,
                           v1::JobState::failed, v1::JobState::cancelled}) {
    memory = {};
    remember(json, phase);
    EXPECT_EQ(told_json(json), "duplicate");
    EXPECT_EQ(told_json(R"({ "tenant": "1001", "app": "acme", "id": "a", "sync": {"mode":"full","resource":"jpm.jobs"} })"),
              "duplicate")
        << "the same meaning in other bytes";
    EXPECT_THAT(told_json(sync_json("a", R"({"resource":"jpm.jobs"})")), HasSubstr("conflict: "));
  }
}

TEST_F(IntakeTest, E7_MergesIntoAJobThatHasNotBegun) {
  const auto full = R"({"resource":"jpm.jobs","mode":"full"})";
  const auto incremental = R"({"resource":"jpm.jobs"})";
  remember(sync_json("a", full), v1::JobState::waiting);
  EXPECT_EQ(std::get<Coalesce>(decide_json(sync_json("b", full))).target, "a");
  EXPECT_EQ(std::get<Coalesce>(decide_json(sync_json("b", incremental))).target, "a") << "a full does what an incremental would";
  EXPECT_EQ(told_json(sync_json("b", R"({"resource":"jpm.appointments","mode":"full"})")), "accept");
  memory = {};
  remember(sync_json("a", incremental), v1::JobState::waiting);
  EXPECT_EQ(told_json(sync_json("b", full)), "accept") << "an incremental is no full";
  memory = {};
  remember(sync_json("a", full), v1::JobState::running);
  EXPECT_EQ(told_json(sync_json("b", full)), "accept");
  memory = {};
  remember(sync_json("a", full), v1::JobState::waiting, 1);
  EXPECT_EQ(told_json(sync_json("b", full)), "accept") << "it had begun before";
}

TEST_F(IntakeTest, E7_IdsAreMergedIntoOneJobAsFarAsItMayHaveThem) {
  remember(sync_json("a", ids(1, 3)), v1::JobState::waiting);
  const auto merged = std::get<Coalesce>(decide_json(sync_json("b", ids(3, 2))));
  EXPECT_EQ(merged.target, "a");
  ASSERT_TRUE(merged.widened);
  auto sync = merged.widened->command().sync();
  unpack_ids(sync);
  EXPECT_THAT(sync.ids(), ::testing::ElementsAre("1", "2", "3", "4"));
  EXPECT_EQ(merged.widened->command().id(), "a");
  EXPECT_FALSE(std::get<Coalesce>(decide_json(sync_json("b", ids(2, 1)))).widened) << "it has them all";
  EXPECT_EQ(told_json(sync_json("b", ids(4, 4997))), "coalesce") << "five thousand are not";
  EXPECT_EQ(told_json(sync_json("b", ids(4, 4998))), "accept") << "five thousand and one are too many";
  runs = [](const std::string&) { return true; };
  EXPECT_EQ(told_json(sync_json("b", ids(3, 2))), "accept") << "it has begun, whatever the journal says";
}

TEST_F(IntakeTest, E7_AJobThatMayEndTooEarlyStandsForNobody) {
  const auto until = [](const char* deadline, const char* start_by) {
    std::string out = R"({"resource":"jpm.jobs")";
    if (*deadline != 0) out += std::string(R"(,"deadline":")") + deadline + "\"";
    if (*start_by != 0) out += std::string(R"(,"start_by":")") + start_by + "\"";
    return out + "}";
  };
  const auto *early = "2026-01-01T00:00:00Z", *late = "2026-01-02T00:00:00Z";
  const auto merges = [&](const std::string& job, const std::string& command) {
    memory = {};
    remember(sync_json("a", job), v1::JobState::waiting);
    return std::holds_alternative<Coalesce>(decide_json(sync_json("b", command)));
  };
  EXPECT_TRUE(merges(until("", ""), until(early, early))) << "it lasts for ever";
  EXPECT_TRUE(merges(until(late, ""), until(early, "")));
  EXPECT_FALSE(merges(until(early, ""), until(late, "")));
  EXPECT_FALSE(merges(until(late, ""), until("", "")));
  EXPECT_FALSE(merges(until("", early), until(late, late)));
  EXPECT_TRUE(merges(until("", early), until("", early)));
}

TEST_F(IntakeTest, UnderAPauseItIsAcceptedAndToldThatItWaits) {
  v1::TenantState tenant;
  tenant.add_paused_resources("jpm.jobs");
  memory.apply({tenant_journal_key("acme", 1001), tenant});
  EXPECT_EQ(std::get<Accept>(decide_json(sync_json("a", R"({"resource":"jpm.jobs"})"))).note, "jpm.jobs is paused");
  EXPECT_EQ(std::get<Accept>(decide_json(sync_json("a", R"({"resource":"crm.customers"})"))).note, "");
  EXPECT_THAT(told_json(R"({"id":"d","app":"acme","tenant":1001,"pause":{"resource":"jpm.nothing"}})"),
              HasSubstr("unknown_resource"));
  EXPECT_EQ(told_json(R"({"id":"d","app":"acme","tenant":1001,"pause":{"resource":"reporting.reports/operations/17"}})"),
            "control");
  for (int i = 0; i < 1000; ++i) tenant.add_paused_resources("r" + std::to_string(i));
  memory.apply({tenant_journal_key("acme", 1001), tenant});
  EXPECT_THAT(told_json(R"({"id":"d","app":"acme","tenant":1001,"pause":{"resource":"crm.customers"}})"), HasSubstr("queue_full"));
}

TEST_F(IntakeTest, E12_TheQueueOfATenantIsBounded) {
  limit = 2;
  remember(sync_json("a", R"({"resource":"jpm.jobs"})"), v1::JobState::waiting);
  remember(sync_json("b", R"({"resource":"jpm.projects"})"), v1::JobState::waiting);
  EXPECT_THAT(told_json(sync_json("c", R"({"resource":"crm.customers"})")), HasSubstr("queue_full: 2 jobs"));
  EXPECT_EQ(told_json(sync_json("c", R"({"resource":"jpm.jobs"})")), "coalesce") << "a job that waits takes it in";
  EXPECT_EQ(told_json(R"({"id":"d","app":"acme","tenant":1001,"cancel":{}})"), "control") << "control still works";
}

TEST_F(IntakeTest, E12_IdsBeyondWhatOneJobTakesAreAnotherJobAndCountAsOne) {
  limit = 2;
  remember(sync_json("a", ids(1, 5000)), v1::JobState::waiting);
  remember(sync_json("b", ids(5001, 4999)), v1::JobState::waiting);
  const auto merged = std::get<Coalesce>(decide_json(sync_json("c", ids(10'000, 1))));
  EXPECT_EQ(merged.target, "b") << "as one row that a webhook names";
  memory.apply({job_journal_key("acme", 1001, "b"), merged.widened.value()});
  EXPECT_THAT(told_json(sync_json("d", ids(10'001, 1))), HasSubstr("queue_full: 2 jobs")) << "both have all they may";
  EXPECT_EQ(std::get<Coalesce>(decide_json(sync_json("d", ids(17, 1)))).target, "a") << "a row that is asked for already";
}

TEST_F(IntakeTest, E1_HostileBytesLeadToOneRejection) {
  const auto good =
      sync_json("a", R"({"resource":"jpm.jobs","mode":"window","from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z"})");
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(3000); ++seed) {
    std::mt19937_64 random(seed);
    auto text = good;
    for (auto n = 1 + random() % 8; n-- > 0;) {
      const auto at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, 1 + random() % 5);
          break;
        case 2:
          text.insert(at, text.substr(random() % text.size(), random() % 40));
          break;
        default:
          text.insert(at, std::string(random() % 200, "[{\"\\"[random() % 4]));
      }
      if (text.empty()) text = "x";
    }
    auto m = message(text);
    if (random() % 3 == 0) m.headers = {{"content-type", "application/protobuf"}};
    const auto d = decide_on(m);
    if (const auto* r = std::get_if<Reject>(&d)) {
      EXPECT_FALSE(r->code.empty());
      EXPECT_FALSE(r->message.empty());
      for (const char c : r->message) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20) << core::printable(r->message);
    }
  }
}

}  // namespace
}  // namespace stsync::sync
