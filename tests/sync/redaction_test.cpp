// Records with fields that are not to be published: what of them reaches the broker, in whatever form.
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.hpp"
#include "job_play.hpp"

namespace stsync::sync {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const std::string kJob = job_journal_key("acme", 1001, "j1");

class Redaction : public testing::Test {
 protected:
  Redaction() {
    overrides("resources: {jpm.jobs: {drop_fields: [secret], hash_fields: [contact.phone]}}");
    w.feed.answer = [this](const std::string&) -> core::Result<std::string> {
      return R"({"hasMore":false,"continueFrom":"x","data":[)" + rows + "]}";
    };
  }
  void overrides(const std::string& text) { w.catalogue = servicetitan::Catalogue::load(text, "over.yaml").value(); }
  static std::string hash(const std::string& text) { return "\"sha256:" + core::sha256_hex(text) + "\""; }

  /// Everything that the broker was given: topics, keys, values, headers.
  std::string all_of_it() const {
    std::string out;
    for (const auto& m : w.log) {
      out += m.topic + m.key + m.value.value_or("");
      for (const auto& [name, value] : m.headers) out += name + value;
    }
    return out;
  }

  World w;
  std::string rows = R"({"id": 1, "secret":"hidden", "contact":{"phone":"hidden","city":"x"}} ,{"id":2,"contact":{"phone":null}})";
};

TEST_F(Redaction, RecordsAreCutAndKeyedAsBefore) {
  Life life(w);
  life.start(sync_command());
  ASSERT_TRUE(life.run());
  const auto records = w.of("st.jpm.jobs");
  ASSERT_THAT(records, SizeIs(2));
  const auto first = R"({"id": 1, "contact":{"phone":)" + hash("hidden") + R"(,"city":"x"}})";
  EXPECT_EQ(records[0].value, first);
  EXPECT_EQ(records[0].key, "1001:1");
  EXPECT_EQ(records[1].value, R"({"id":2,"contact":{"phone":null}})");
  EXPECT_EQ(w.memory().job(kJob)->counts().bytes(), static_cast<std::int64_t>(first.size() + records[1].value->size()));
  EXPECT_THAT(all_of_it(), Not(HasSubstr("hidden")));
}

TEST_F(Redaction, TheLimitOfTheTopicIsThatOfWhatIsPublished) {
  rows = R"({"id":1,"secret":")" + std::string(5000, 'h') + R"("},{"id":2,"n":")" + std::string(5000, 'n') +
         R"(","secret":"hidden","contact":{"phone":"hidden"}})";
  Life life(w);
  life.record_topic.record_limit = 1000;
  life.start(sync_command());
  ASSERT_TRUE(life.run());
  const auto records = w.of("st.jpm.jobs");
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(records[0].value, R"({"id":1})");
  const auto letters = w.of("st.dlq");
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters[0].key, "1001:2");
  EXPECT_THAT(*letters[0].value, HasSubstr(hash("hidden")));
  EXPECT_THAT(all_of_it(), Not(HasSubstr("hidden"))) << "a dead letter tells it";
}

TEST_F(Redaction, WhatADeadLetterIsTooLongForIsNotToldByItsHash) {
  const auto record = [](const std::string& secret) {
    return R"({"id":1,)" + secret + R"("n":")" + std::string(600'000, 'n') + "\"}";
  };
  rows = record(R"("secret":"hidden",)");
  Life life(w);
  life.record_topic.record_limit = 1000;
  life.start(sync_command());
  ASSERT_TRUE(life.run());
  const auto letters = w.of("st.dlq");
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters[0].headers.at("st-sha256"), core::sha256_hex(record(""))) << "of the published form";
}

TEST_F(Redaction, ARecordWithoutItsKeyIsNamedByAHashOfWhatIsPublished) {
  rows = R"({"secret":"hidden","n":1})";
  Life life(w);
  life.start(sync_command());
  ASSERT_TRUE(life.run());
  const auto records = w.of("st.jpm.jobs");
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(records[0].value, R"({"n":1})");
  EXPECT_EQ(records[0].key, "1001:#" + core::sha256_hex(R"({"n":1})").substr(0, 32)) << "from another one it could be guessed";
}

TEST_F(Redaction, WithAKeyHashesAreKeyed) {
  w.config.catalogue_hash_key.value = core::Secret("a key of the tests");
  Life life(w);
  life.start(sync_command());
  ASSERT_TRUE(life.run());
  EXPECT_THAT(*w.of("st.jpm.jobs").at(0).value,
              HasSubstr("\"sha256:" + core::hmac_sha256_hex(core::Secret("a key of the tests"), "hidden")));
}

TEST_F(Redaction, WithoutTheKeyThatIsConfiguredNothingIsAskedForOrPublished) {
  w.config.catalogue_hash_key.file = testing::TempDir() + "no-such-key";
  Life life(w);
  life.start(sync_command());
  ASSERT_TRUE(life.run());
  EXPECT_EQ(w.memory().job(kJob)->phase(), v1::JobState::failed);
  EXPECT_EQ(w.memory().job(kJob)->failure().code(), "bad_config");
  EXPECT_THAT(w.feed.asked, IsEmpty());
  EXPECT_THAT(w.of("st.jpm.jobs"), IsEmpty());
}

TEST_F(Redaction, OtherResourcesAreLeftAlone) {
  overrides("resources: {crm.leads: {drop_fields: [secret]}}");
  Life life(w);
  life.start(sync_command());
  ASSERT_TRUE(life.run());
  EXPECT_EQ(w.of("st.jpm.jobs").at(0).value, R"({"id": 1, "secret":"hidden", "contact":{"phone":"hidden","city":"x"}})");
}

}  // namespace
}  // namespace stsync::sync
