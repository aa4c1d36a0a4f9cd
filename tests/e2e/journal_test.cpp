// The journal as a lane finds it when it takes its partition over: long, damaged, or written by somebody else.
#include <csignal>
#include <cstdio>
#include <map>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kafka/producer.hpp"
#include "kafka/reader.hpp"
#include "stage/stage.hpp"
#include "stsync/v1/journal.pb.h"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

void write_journal(const Stage& stage, std::vector<kafka::OwnedMessage> messages) {
  const auto sent = kafka::make_producer(stage.cluster()).value()->send(messages, 60s);
  ASSERT_TRUE(sent) << sent.error().message();
}

/// A finished job, about as large as they are.
std::string finished_job(const std::string& id, v1::JobState::Phase phase, std::int64_t order) {
  v1::JobState job;
  auto& command = *job.mutable_command();
  command.set_id(id);
  command.set_app("acme");
  command.set_tenant(1001);
  command.mutable_sync()->set_resource("jpm.jobs");
  job.set_body_hash(std::string(64, 'f'));
  job.set_phase(phase);
  job.set_order(order);
  job.set_seq(order * 1000);
  job.mutable_counts()->set_records(order * 1000);
  job.mutable_counts()->set_bytes(order * 1'000'000);
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch());
  job.set_accepted_ms(now.count());
  job.set_finished_ms(now.count());
  return job.SerializeAsString();
}

TEST(Journal, A19_OfAHundredThousandKeysIsRestoredWithinAMinute) {
  constexpr int kKeys = 100'000;
  Stage stage({.records = 20, .partitions = 1});
  std::size_t bytes = 0;
  for (const auto phase : {v1::JobState::waiting, v1::JobState::running, v1::JobState::completed}) {
    std::vector<kafka::OwnedMessage> messages;
    for (int i = 0; i < kKeys; ++i) {
      const auto id = fmt::format("0192f0c1-7c3e-7a11-9d55-{:012}", i);
      messages.push_back({"st.journal", 0, "job/acme/1001/" + id, finished_job(id, phase, i)});
      bytes += messages.back().value->size();
    }
    write_journal(stage, std::move(messages));
  }
  const auto begin = std::chrono::steady_clock::now();
  const auto worker = stage.start_worker({}, false);
  ASSERT_TRUE(worker->wait_for_text("partitions_assigned", 60s)) << worker->err();
  EXPECT_THROW(fetch(telemetry_url(*worker) + "/readyz"), std::runtime_error) << "not ready before the journal is read";
  ASSERT_TRUE(worker->wait_for_text("lane_ready", 60s)) << worker->err();
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  EXPECT_EQ(fetch(telemetry_url(*worker) + "/readyz"), "ok\n");
  EXPECT_THAT(worker->err(), HasSubstr(fmt::format("\"jobs\":{}", kKeys)));
  std::printf("%d records of %d keys, %zu bytes: ready after %.1f s\n", 3 * kKeys, kKeys, bytes, took);
}

TEST(Journal, A20_WhatIsDamagedOrSomebodyElsesIsSetAsideOnceAndTheRestIsRestored) {
  Stage stage({.records = 20, .partitions = 1});
  const std::string good = "job/acme/1001/good", broken = "job/acme/1001/broken", later = "holiday/acme/1001";
  write_journal(stage, {{"st.journal", 0, good, finished_job("good", v1::JobState::completed, 1)},
                        {"st.journal", 0, good, "\xff\xff not ours"},
                        {"st.journal", 0, broken, "\xff\xff damaged"},
                        {"st.journal", 0, "acme:1001", "a command that went astray"},
                        {"st.journal", 0, later, "of a later version"}});
  auto worker = stage.start_worker();
  EXPECT_THAT(worker->err(), HasSubstr("\"jobs\":1"));
  const auto metrics = metrics_of(*worker);
  EXPECT_THAT(metrics, HasSubstr("stsync_dead_letters_total{reason=\"damaged_entry\"} 2"));
  EXPECT_THAT(metrics, HasSubstr("stsync_dead_letters_total{reason=\"foreign_entry\"} 1"));
  const auto letters = [&] {
    std::vector<std::string> out;
    for (const auto& m : stage.read({"st.dlq"})) {
      EXPECT_EQ(*m.header("__connect.errors.topic"), "st.journal");
      out.push_back(fmt::format("{} {} {}", *m.header("st-error-code"), *m.key, *m.value));
    }
    return out;
  };
  const auto expected = UnorderedElementsAre("damaged_entry job/acme/1001/good \xff\xff not ours",
                                             "damaged_entry job/acme/1001/broken \xff\xff damaged",
                                             "foreign_entry acme:1001 a command that went astray");
  EXPECT_THAT(letters(), expected);
  worker->signal(SIGTERM);
  ASSERT_EQ(worker->wait(30s), 0) << worker->err();
  worker = stage.start_worker();
  EXPECT_THAT(letters(), expected) << "once";
  EXPECT_THAT(worker->err(), HasSubstr("\"jobs\":1"));
  std::map<std::string, std::optional<std::string>> journal;
  const auto read =
      kafka::read_to_end(stage.cluster(), "st.journal", 0, 20s, [&](const kafka::Message& m) { journal[*m.key] = m.value; });
  ASSERT_TRUE(read);
  EXPECT_NE(journal.at(good), std::nullopt) << "what the lane knew of it";
  EXPECT_EQ(journal.at(broken), std::nullopt);
  EXPECT_EQ(journal.at("acme:1001"), std::nullopt);
  EXPECT_EQ(journal.at(later), "of a later version") << "not touched";
}

}  // namespace
}  // namespace stsync::test
