// Whatever a command is: one decision, one answer that fits its topics, and the next one is read.
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/wire.hpp"
#include "core/text.hpp"
#include "intake_play.hpp"
#include "sync/answers.hpp"
#include "sync/dead_letter.hpp"
#include "sync/status.hpp"

namespace stsync::sync {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

/// What a topic takes with the settings that brokers have.
constexpr std::size_t kTopicBytes = 1'000'000;

std::size_t size_of_answer(const kafka::OwnedMessage& m) {
  auto size = m.key.size() + m.value.value_or("").size();
  for (const auto& [name, value] : m.headers) size += bytes_of_header(name, value);
  return size;
}

const std::string* header(const kafka::OwnedMessage& m, const std::string& name) {
  for (const auto& [key, value] : m.headers)
    if (key == name) return &value;
  return nullptr;
}

struct CommandFaults : IntakeTest {
  /// The answer to a command that is rejected with this code: a status and a dead letter, and the offset behind it.
  Contribution rejected(kafka::Message m, const std::string& code) const {
    m.offset = 41;
    const auto decision = decide_on(m);
    const auto* reject = std::get_if<Reject>(&decision);
    EXPECT_NE(reject, nullptr) << told(decision) << ", not " << code;
    if (reject == nullptr) return {};
    EXPECT_EQ(reject->code, code) << reject->message;
    auto c = answer(*reject, {config.kafka.topics, m, core::WallTime{}});
    EXPECT_EQ(c.settled, 42) << "the next one is read";
    EXPECT_TRUE(c.journal.empty()) << "no job begins";
    EXPECT_EQ(c.messages.size(), 2u);
    v1::StatusEvent event;
    EXPECT_TRUE(codec::from_json(*c.messages.at(0).value, event)) << core::printable(*c.messages[0].value, 200);
    EXPECT_EQ(event.type(), v1::StatusEvent::rejected);
    EXPECT_EQ(event.failure().code(), code);
    EXPECT_EQ(c.messages.at(1).topic, config.kafka.topics.dlq);
    for (const auto& message : c.messages) EXPECT_LT(size_of_answer(message), kTopicBytes);
    return c;
  }
  Contribution rejected_json(const std::string& json, const std::string& code) const { return rejected(message(json), code); }
  std::string told_sync(const std::string& sync) const { return told_json(sync_json("a", sync)); }
};

TEST_F(CommandFaults, E1_WhatIsNoCommandIsRejectedAndADeadLetter) {
  std::string binary(2000, '\0');
  std::mt19937 random(1);
  for (auto& c : binary) c = static_cast<char>(random());
  const std::string deep = std::string(10'000, '[') + std::string(10'000, ']');
  std::string deep_object;
  for (int i = 0; i < 10'000; ++i) deep_object += R"({"sync":)";
  deep_object += "1" + std::string(10'000, '}');
  const std::string wide(10u << 20, '{');
  for (const auto& [bytes, code] : std::vector<std::pair<std::string, std::string>>{{"not json", "bad_command"},
                                                                                    {"", "empty"},
                                                                                    {binary, "bad_command"},
                                                                                    {std::string(1, '\0'), "bad_command"},
                                                                                    {deep, "bad_command"},
                                                                                    {deep_object, "bad_command"},
                                                                                    {wide, "too_large"}}) {
    SCOPED_TRACE(core::printable(bytes, 40));
    const auto c = rejected_json(bytes, code);
    EXPECT_EQ(c.messages.at(1).value, bytes.substr(0, 512 << 10));
    const auto* truncated = header(c.messages[1], "st-truncated");
    EXPECT_EQ(truncated == nullptr ? "" : *truncated, code == "too_large" ? std::to_string(bytes.size()) : "");
  }
  auto tombstone = message("");
  tombstone.value.reset();
  rejected(tombstone, "empty");
  auto protobuf = message(binary);
  protobuf.headers = {{"content-type", "application/protobuf"}};
  rejected(protobuf, "bad_command");
}

TEST_F(CommandFaults, E2_WhatNobodyKnowsIsRejectedAndNothingIsCalled) {
  rejected_json(R"({"id":"a","version":2,"app":"acme","tenant":1001,"sync":{"resource":"jpm.jobs"}})", "bad_command");
  rejected_json(R"({"id":"a","app":"acme","tenant":1001,"delete":{"resource":"jpm.jobs"}})", "bad_command");
  rejected_json(R"({"id":"a","app":"acme","tenant":1001})", "no_action");
  rejected_json(R"({"id":"a","app":"nobody","tenant":1001,"sync":{"resource":"jpm.jobs"}})", "unknown_app");
  rejected_json(R"({"id":"a","app":"acme","tenant":-1,"sync":{"resource":"jpm.jobs"}})", "unknown_tenant");
  rejected_json(sync_json("a", R"({"resource":"jpm.jbs"})"), "unknown_resource");
  rejected_json(sync_json("a", R"({"resource":"jpm.*"})"), "unknown_resource");
  rejected_json(sync_json("a", R"({"resource":"jpm.jobs","mode":"everything"})"), "bad_command");
}

TEST_F(CommandFaults, E3_WhatSaysAnotherTenantThanItsKeyIsNotObeyedHere) {
  auto m = message(R"({"id":"a","app":"other","tenant":1002,"cancel":{}})");
  EXPECT_EQ(told(decide_on(m)), "forward");
  m.headers = {{"st-forwarded", "1"}};
  rejected(m, "wrong_partition");
}

TEST_F(CommandFaults, E4_OnceItIsForgottenTheSameCommandIsANewOne) {
  const auto json = sync_json("a", R"({"resource":"jpm.jobs","mode":"full"})");
  constexpr std::int64_t kHour = 3'600'000, kDay = 24 * kHour;
  remember(json, v1::JobState::waiting);
  auto job = *memory.job(job_journal_key("acme", 1001, "a"));
  end_job(job, v1::JobState::completed, core::WallTime(std::chrono::milliseconds(kDay)));
  memory.apply({job_journal_key("acme", 1001, "a"), job});
  const auto forget_before = [this](std::int64_t ms) {
    for (const auto& key : memory.jobs().expired(ms, {50'000, SIZE_MAX}, 500)) memory.apply({key, std::nullopt});
  };
  forget_before(kDay);
  EXPECT_EQ(told_json(json), "duplicate") << "within worker.dedupe_keep";
  forget_before(8 * kDay);
  EXPECT_EQ(told_json(json), "accept");
}

TEST_F(CommandFaults, E8_TimesAreTimesThatThereAre) {
  const auto window = [this](const std::string& from, const std::string& to) {
    return told_sync(fmt::format(R"({{"resource":"jpm.jobs","mode":"window","from":"{}","to":"{}"}})", from, to));
  };
  EXPECT_EQ(window("2026-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"), "accept") << "it ends now";
  EXPECT_EQ(window("2999-01-01T00:00:00Z", "2999-01-02T00:00:00Z"), "accept") << "nothing has changed then";
  EXPECT_EQ(window("0001-01-01T00:00:00Z", "2026-01-01T00:00:00Z"), "accept") << "from the beginning";
  EXPECT_EQ(window("2026-01-01T14:00:00+14:00", "2026-01-01T00:00:01Z"), "accept") << "midnight in UTC";
  EXPECT_THAT(window("2026-01-01T14:00:00+14:00", "2026-01-01T00:00:00Z"), StartsWith("bad_window: from must be before to"));
  for (const auto* no_time : {"yesterday", "2026-01-01", "2026-01-01 00:00:00", "2026-01-01T00:00:00", "2026-02-30T00:00:00Z",
                              "01/02/2026", "1767225600", "10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z",
                              "2026-01-01T25:00:00Z", "2026-01-01T00:00:00+99:00", ""})
    EXPECT_THAT(window(no_time, "2026-01-01T00:00:00Z"), StartsWith("bad_")) << no_time;
}

TEST_F(CommandFaults, E8_ProtobufCannotSayOtherTimesThanJson) {
  v1::Command c;
  ASSERT_TRUE(codec::from_json(
      sync_json("a", R"({"resource":"jpm.jobs","mode":"window","from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z"})"), c));
  const auto told_of = [&](auto change) {
    auto changed = c;
    change(*changed.mutable_sync());
    auto m = message(changed.SerializeAsString());
    m.headers = {{"content-type", "application/protobuf"}};
    return told(decide_on(m));
  };
  EXPECT_EQ(told_of([](auto&) {}), "accept");
  for (const auto seconds : {INT64_MAX, INT64_MIN, std::int64_t{253'402'300'800}, std::int64_t{-62'135'596'801}}) {
    EXPECT_THAT(told_of([&](v1::Sync& s) { s.mutable_from()->set_seconds(seconds); }), HasSubstr("years 1 to 9999"));
    EXPECT_THAT(told_of([&](v1::Sync& s) { s.mutable_deadline()->set_seconds(seconds); }), HasSubstr("years 1 to 9999"));
  }
  EXPECT_THAT(told_of([](v1::Sync& s) { s.mutable_to()->set_nanos(-1); }), HasSubstr("years 1 to 9999"));
}

TEST_F(CommandFaults, E9_AResourceIsANameOfTheCatalogueAndNothingElse) {
  const std::string nul(1, '\0');
  for (const auto& name : std::vector<std::string>{"../",
                                                   "../../etc/passwd",
                                                   "jpm.jobs/../../x",
                                                   "%2e%2e/",
                                                   "jpm%2ejobs",
                                                   "//evil.example",
                                                   "https://evil.example/",
                                                   "@evil.example",
                                                   "jpm.jobs@evil.example",
                                                   "jpm.jobs?x=1",
                                                   "jpm.jobs#x",
                                                   "jpm.jobs/",
                                                   "/jpm.jobs",
                                                   "jpm.jobs" + nul,
                                                   nul,
                                                   "jpm.jobs\r\nX: y",
                                                   "jpm\xe2\x80\xa4jobs",
                                                   "jpm\xef\xbc\x8ejobs",
                                                   "\xe2\x80\xa5/jpm.jobs",
                                                   "JPM.JOBS",
                                                   " jpm.jobs",
                                                   "jpm.jobs ",
                                                   std::string(200'000, 'x'),
                                                   std::string(200'000, '.')}) {
    SCOPED_TRACE(core::printable(name, 60));
    v1::Command c;
    c.set_id("a");
    c.set_app("acme");
    c.set_tenant(1001);
    auto sync = c, pause = c, cursor = c;
    sync.mutable_sync()->set_resource(name);
    pause.mutable_pause()->set_resource(name);
    cursor.mutable_cursor()->set_resource(name);
    cursor.mutable_cursor()->set_reset(true);
    for (const auto& command : {sync, pause, cursor}) rejected_json(codec::to_json(command), "unknown_resource");
  }
}

TEST_F(CommandFaults, E9_AnIdIsNoWayUpAPath) {
  const auto with_id = [this](const std::string& id) {
    v1::Sync sync;
    sync.set_resource("jpm.jobs");
    sync.set_mode(v1::ids);
    sync.add_ids(id);
    return told_sync(codec::to_json(sync));
  };
  for (const auto* id : {"7", "7/12", "a..b", "...", "%2e%2e"}) EXPECT_EQ(with_id(id), "accept") << id << ": it is encoded";
  for (const auto* id :
       {"..", ".", "../7", "7/..", "7/../8", "./7", "7/.", "7 8", "7\r\nX: y", "7\x7f", "7\xc3\xa9", "7,8", "7\"", "7\\8"})
    EXPECT_THAT(with_id(id), StartsWith("bad_ids: ")) << core::printable(id);
  EXPECT_THAT(with_id(std::string(1, '\0')), StartsWith("bad_ids: "));
  EXPECT_THAT(with_id(std::string(301, '7')), StartsWith("bad_ids: "));
}

TEST_F(CommandFaults, E10_NothingThatEndsALineGetsIntoACall) {
  const std::string break_out = R"(\r\nX: y)";  // as JSON says it
  rejected_json(sync_json("a" + break_out, R"({"resource":"jpm.jobs"})"), "bad_id");
  rejected_json(R"({"id":"a","app":"acme)" + break_out + R"(","tenant":1001,"sync":{"resource":"jpm.jobs"}})", "unknown_app");
  rejected_json(R"({"id":"a","app":"acme","tenant":"1001)" + break_out + R"(","sync":{"resource":"jpm.jobs"}})", "bad_command");
  rejected_json(sync_json("a", R"({"resource":"jpm.jobs","mode":"ids","ids":["7)" + break_out + R"("]})"), "bad_ids");
  const auto report = [](const std::string& fields) {
    return sync_json("a", R"({"resource":"reporting.reports","mode":"report","report":{)" + fields + "}}");
  };
  rejected_json(report(R"("category":"a)" + break_out + R"(","id":1)"), "bad_report");
  EXPECT_EQ(told_json(report(R"("category":"a?b=c&d#e/f","id":1)")), "accept") << "it is encoded where it is used";
  EXPECT_EQ(told_json(report(R"("category":"a","id":1,"parameters":[{"name":"p","value":"x)" + break_out + R"("}])")), "accept")
      << "it becomes a text of a JSON body";
}

TEST_F(CommandFaults, E11_NoCommandNamesAHost) {
  for (const auto* field : {R"("url":"http://evil.example")", R"("host":"evil.example")", R"("callback":"http://evil.example")",
                            R"("api_url":"http://evil.example")", R"("headers":{"X":"y"})", R"("client_secret":"x")"}) {
    SCOPED_TRACE(field);
    const auto in = [&](const std::string& action, const std::string& members) {
      return fmt::format(R"({{"id":"a","app":"acme","tenant":1001,"{}":{{{},{}}}}})", action, members, field);
    };
    rejected_json(fmt::format(R"({{"id":"a","app":"acme","tenant":1001,{},"sync":{{"resource":"jpm.jobs"}}}})", field),
                  "bad_command");
    rejected_json(in("sync", R"("resource":"jpm.jobs")"), "bad_command");
    rejected_json(in("cursor", R"("resource":"jpm.jobs","reset":true)"), "bad_command");
    for (const auto* action : {"cancel", "pause", "resume"}) rejected_json(in(action, R"("resource":"jpm.jobs")"), "bad_command");
    rejected_json(
        sync_json(
            "a", fmt::format(R"({{"resource":"reporting.reports","mode":"report","report":{{"category":"a","id":1,{}}}}})", field)),
        "bad_command");
  }
}

TEST_F(CommandFaults, E11_AnUnknownFieldOfProtobufIsOneHoweverDeepItStands) {
  v1::Command c;
  ASSERT_TRUE(codec::from_json(
      sync_json("a",
                R"({"resource":"reporting.reports","mode":"report","report":{"category":"a","id":1,"parameters":[{"name":"p"}]}})"),
      c));
  const auto told_of = [&](auto change) {
    auto changed = c;
    change(changed);
    auto m = message(changed.SerializeAsString());
    m.headers = {{"content-type", "application/protobuf"}};
    return told(decide_on(m));
  };
  const auto add = [](google::protobuf::Message& m) {
    m.GetReflection()->MutableUnknownFields(&m)->AddLengthDelimited(127, "http://x");
  };
  EXPECT_EQ(told_of([](auto&) {}), "accept");
  EXPECT_EQ(told_of([&](auto& m) { add(m); }), "bad_command: an unknown field");
  EXPECT_EQ(told_of([&](auto& m) { add(*m.mutable_sync()); }), "bad_command: an unknown field");
  EXPECT_EQ(told_of([&](auto& m) { add(*m.mutable_sync()->mutable_report()->mutable_parameters(0)); }),
            "bad_command: an unknown field");
}

TEST_F(CommandFaults, E12_ATenantGetsNoMoreMemoryThanItLeaves) {
  std::string ids;
  for (int i = 0; i < 4000; ++i) ids += fmt::format("{}{}", i == 0 ? "" : ",", 100'000'000 + i);
  const auto sync = R"({"resource":"jpm.jobs","mode":"ids","ids":[)" + ids + "]}";
  const std::size_t all = 20 * kMaxCommandBytes;
  free_memory = all;
  int accepted = 0;
  for (;; ++accepted) {
    ASSERT_LT(accepted, 100);
    const auto json = sync_json("j" + std::to_string(accepted), sync);
    if (told_json(json) != "accept") break;
    remember(json, v1::JobState::running);
    free_memory = all - memory.jobs().open_bytes();
  }
  EXPECT_THAT(told_sync(sync), StartsWith("queue_full: no memory is left for it: jobs of this tenant"));
  const auto taken = memory.jobs().load("acme", 1001).bytes;
  EXPECT_LE(taken, all / 2);
  EXPECT_GE(taken, all / 2 - 2 * taken / static_cast<std::size_t>(accepted));
  EXPECT_EQ(told_json(R"({"id":"d","app":"acme","tenant":1001,"cancel":{}})"), "control") << "there is a way out";
  free_memory = 100'000;
  EXPECT_THAT(told_sync(R"({"resource":"jpm.jobs"})"), StartsWith("queue_full: ")) << "also a small one, of who has so much";
  memory = {};
  EXPECT_EQ(told_sync(R"({"resource":"jpm.jobs"})"), "accept") << "who has nothing gets what fits";
  EXPECT_THAT(told_sync(sync), StartsWith("queue_full: "));
}

TEST_F(CommandFaults, E13_HeadersAreIgnoredAsFarAsTheyAreLimited) {
  const auto json = sync_json("a", R"({"resource":"jpm.jobs"})");
  auto m = message(json);
  for (int i = 0; i < 1000; ++i) m.headers.emplace_back(fmt::format("h-{}", i), "a value of a header");
  EXPECT_EQ(told(decide_on(m)), "accept");
  m.headers = {{"large", std::string(1'000'000, 'x')}};
  rejected(m, "too_large");
  m.headers.assign(300'000, {"", ""});
  rejected(m, "too_large");
  m.headers.assign(20'000, {"", ""});
  m.value = "no command";
  const auto c = rejected(m, "bad_command");
  EXPECT_LT(c.messages.at(1).headers.size(), 1000u);
}

TEST_F(CommandFaults, E13_TimestampsAndTracesOfAMessageMeanNothing) {
  for (const auto& trace : std::vector<std::string>{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-0-0-01",
                                                    "\r\nX: y", std::string(100'000, 'f'), std::string(3, '\0')}) {
    auto m = message(sync_json("a", R"({"resource":"jpm.jobs"})"));
    m.headers = {{"traceparent", trace}, {"tracestate", trace}};
    for (const auto timestamp : {std::int64_t{0}, INT64_MAX, INT64_MIN}) {
      m.timestamp_ms = timestamp;
      const auto decision = decide_on(m);
      ASSERT_EQ(told(decision), "accept");
      const auto c = answer(std::get<Accept>(decision), {config.kafka.topics, m, core::WallTime(std::chrono::milliseconds(7))});
      ASSERT_EQ(c.messages.size(), 1u);
      EXPECT_TRUE(c.messages[0].headers.empty());
      EXPECT_EQ(std::get<v1::JobState>(*c.journal.at(0).value).accepted_ms(), 7);
    }
  }
}

}  // namespace
}  // namespace stsync::sync
