#include "sync/dead_letter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.hpp"

namespace stsync::sync {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

TEST(DeadLetter, IsTheOriginalWithItsCauseInHeaders) {
  const auto m = dead_letter_message("st.dlq", {"key", "value", "st.commands", 3, 42, "validate", "bad_command", "line\nbreak"});
  EXPECT_EQ(m.topic, "st.dlq");
  EXPECT_EQ(m.key, "key");
  EXPECT_EQ(m.value, "value");
  EXPECT_THAT(m.headers,
              ElementsAre(Pair("__connect.errors.topic", "st.commands"), Pair("__connect.errors.partition", "3"),
                          Pair("__connect.errors.offset", "42"), Pair("__connect.errors.stage", "validate"),
                          Pair("__connect.errors.exception.message", "line\\x0abreak"), Pair("st-error-code", "bad_command")));
}

TEST(DeadLetter, E1_OfALargeMessageSaysHowLargeItWasAndWhatItsHashIs) {
  const std::string exact(512u << 10, 'x');
  EXPECT_EQ(dead_letter_message("st.dlq", {"k", exact, "t", 0, 0, "s", "c", "m"}).headers.size(), 6u);
  const auto large = exact + "y";
  const auto m = dead_letter_message("st.dlq", {"k", large, "t", 0, 0, "s", "c", "m"});
  EXPECT_EQ(m.value, exact);
  ASSERT_EQ(m.headers.size(), 8u);
  EXPECT_THAT(m.headers[6], Pair("st-truncated", "524289"));
  EXPECT_THAT(m.headers[7], Pair("st-sha256", core::sha256_hex(large)));
}

TEST(DeadLetter, E1_FitsItsTopicWhateverTheKeyAndTheCause) {
  const std::string large(900'000, 'k');
  const auto m = dead_letter_message("st.dlq", {large, large, "t", 0, 0, "s", "c", std::string(100'000, '\x01')});
  EXPECT_EQ(m.key.size(), 1024u);
  auto size = m.key.size() + m.value->size();
  for (const auto& [name, value] : m.headers) size += name.size() + value.size();
  EXPECT_LT(size, 600'000u);
}

TEST(DeadLetter, E13_ItsOwnHeadersFollowItsCauseWithinBounds) {
  const Headers own{{"content-type", "application/protobuf"},
                    {"st-error-code", "of another letter"},
                    {"large", std::string(9000, 'x')},
                    {kReplayOf, "st.dlq/0/1"}};
  const auto m = dead_letter_message("st.dlq", {"k", "v", "t", 0, 0, "s", "c", "m", own});
  ASSERT_EQ(m.headers.size(), 8u);
  EXPECT_THAT(m.headers[5], Pair("st-error-code", "c"));
  EXPECT_THAT(m.headers[6], Pair("content-type", "application/protobuf"));
  EXPECT_THAT(m.headers[7], Pair(kReplayOf, "st.dlq/0/1"));
}

struct Replay : ::testing::Test {
  servicetitan::Catalogue catalogue = servicetitan::Catalogue::load("", "").value();

  static ReadLetter letter(const DeadLetter& dead) {
    const auto m = dead_letter_message("st.dlq", dead);
    return read_letter({m.topic, 0, 7, 0, m.key, m.value, m.headers});
  }
  core::Result<v1::Command> replay(const ReadLetter& l) const { return replayed(l, "st.commands", catalogue, "new"); }
  std::string refusal(const ReadLetter& l) const {
    const auto command = replay(l);
    return command ? "" : command.error().message();
  }
};

TEST_F(Replay, OfARejectedCommandIsThatCommandUnderAnotherId) {
  const std::string json = R"({"id":"old","app":"acme","tenant":1001,"sync":{"resource":"jpm.jobs"}})";
  const auto command = replay(letter({"acme:1001", json, "st.commands", 0, 4, "validate", "queue_full", "full"}));
  ASSERT_TRUE(command);
  EXPECT_EQ(command->id(), "new");
  EXPECT_EQ(command->sync().resource(), "jpm.jobs");
  const auto proto = letter({"acme:1001",
                             command->SerializeAsString(),
                             "st.commands",
                             0,
                             4,
                             "validate",
                             "queue_full",
                             "full",
                             {{"content-type", "application/protobuf"}}});
  ASSERT_TRUE(replay(proto));
  EXPECT_EQ(replay(proto)->app(), "acme");
}

TEST_F(Replay, OfARecordReadsItByItsId) {
  const Headers source{{"st-source", "acme/1001/production/jpm.jobs"}, {"st-job", "j1"}};
  for (const auto* key : {"1001:77", "1001:jpm.jobs:77"}) {
    const auto command = replay(letter({key, "{", "st.jpm.jobs", -1, -1, "publish", "too_large", "m", source}));
    ASSERT_TRUE(command);
    EXPECT_EQ(command->tenant(), 1001);
    EXPECT_EQ(command->sync().mode(), v1::ids);
    EXPECT_THAT(command->sync().ids(), ElementsAre("77"));
  }
  const auto text = replay(letter({"1001:a:b", "{", "st.jpm.jobs", -1, -1, "publish", "too_large", "m", source}));
  ASSERT_TRUE(text);
  EXPECT_THAT(text->sync().ids(), ElementsAre("a:b")) << "the whole of it, or another row would be read";
}

TEST_F(Replay, SaysWhyThereIsNone) {
  const std::string large(600'000, ' ');
  const Headers job{{"st-source", "acme/1001/production/jpm.jobs"}}, gone{{"st-source", "acme/1001/production/no.such"}},
      report{{"st-source", "acme/1001/production/reporting.reports"}},
      list{{"st-source", "acme/1001/production/accounting.ap-bill-custom-fields"}};
  EXPECT_THAT(refusal(letter({"k", "{\"id\":", "st.commands", 0, 0, "s", "c", "m"})), HasSubstr("no command"));
  EXPECT_THAT(refusal(letter({"k", large, "st.commands", 0, 0, "s", "c", "m"})), HasSubstr("too large"));
  EXPECT_THAT(refusal(letter({"1001:#0af1", "{}", "st.jpm.jobs", 0, 0, "s", "c", "m", job})), HasSubstr("no id"));
  EXPECT_THAT(refusal(letter({"1001:5", "{}", "st.no.such", 0, 0, "s", "c", "m", gone})), HasSubstr("no resource 'no.such'"));
  EXPECT_THAT(refusal(letter({"1001:5", "{}", "st.x", 0, 0, "s", "c", "m", list})), HasSubstr("ids"));
  EXPECT_THAT(refusal(letter({"1001:5", "{}", "st.x", 0, 0, "s", "c", "m", report})), HasSubstr("no id"))
      << "its key is made of more";
  EXPECT_THAT(refusal(letter({"1001:5", "{}", "st.x", 0, 0, "s", "c", "m"})), HasSubstr("neither"));
  EXPECT_THAT(refusal(letter({"1001:5", "{}", "st.x", 0, 0, "s", "c", "m", {{"st-source", "a/b/c/d"}}})), HasSubstr("neither"));
}

}  // namespace
}  // namespace stsync::sync
