// Commands that crash the worker, as a bug in a parser lets them: a library that is preloaded crashes at bytes of a certain kind.
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::unique_ptr<Process> start_broken(const Stage& stage, const std::string& deadly) {
  return std::make_unique<Process>(stage.command({"worker"}),
                                   std::vector<std::string>{"LD_PRELOAD=" STSYNC_BROKEN_LIBRARY, deadly});
}

/// The first two lives end by the command, the third one goes on.
std::unique_ptr<Process> third_life(const Stage& stage, const std::string& deadly) {
  for (int life = 0; life < 2; ++life) {
    const auto worker = start_broken(stage, deadly);
    const auto code = worker->wait(60s);
    EXPECT_NE(code.value_or(0), 0) << worker->err();
    EXPECT_EQ(worker->err().find("poison"), std::string::npos) << "set aside too early: " << worker->err();
  }
  return start_broken(stage, deadly);
}

std::vector<std::map<std::string, std::string>> events(const Stage& stage, const std::string& type) {
  std::vector<std::map<std::string, std::string>> out;
  for (const auto& m : stage.read({"st.status"})) {
    auto row = json_rows("[" + m.value.value_or("{}") + "]").front();
    if (row.at("type") == type) out.push_back(std::move(row));
  }
  return out;
}

/// What is noted of crashes. Empty within a while: the file is written by a thread of its own.
std::uintmax_t bytes_of_notes(const Stage& stage) {
  std::uintmax_t sum = 0;
  for (const auto& entry : std::filesystem::directory_iterator(stage.folder()))
    if (entry.path().extension() == ".crashes") sum += std::filesystem::file_size(entry.path());
  return sum;
}

void expect_notes_gone(const Stage& stage, Process& worker) {
  for (int i = 0; i < 500 && bytes_of_notes(stage) > 0; ++i) ASSERT_FALSE(worker.wait(20ms)) << worker.err();
  EXPECT_EQ(bytes_of_notes(stage), 0U);
}

void send_sync(const Stage& stage, const std::string& id, const std::string& resource) {
  const auto sent = stage.stsync({"sync", "--resource", resource, "--mode", "full", "--id", id});
  ASSERT_EQ(sent.code, 0) << sent.err;
}

TEST(Poison, C18_ACommandThatCrashesItsParserTwiceIsSetAsideAndTheNextOneRuns) {
  Stage stage({.records = 20, .partitions = 1});
  send_sync(stage, "deadly-1", "jpm.jobs");
  send_sync(stage, "good-1", "jpm.jobs");
  const auto worker = third_life(stage, "DEADLY_TEXT=deadly-1");
  ASSERT_TRUE(worker->wait_for_text("job_completed", 60s)) << worker->err();
  const auto letters = stage.read({"st.dlq"});
  ASSERT_THAT(letters, SizeIs(1));
  const auto& letter = letters.front();
  ASSERT_NE(letter.header("st-error-code"), nullptr);
  EXPECT_EQ(*letter.header("st-error-code"), "poison");
  EXPECT_THAT(*letter.value, HasSubstr("deadly-1")) << "it can be looked at, and sent again once the bug is mended";
  EXPECT_THAT(*letter.header("__connect.errors.exception.message"), HasSubstr("crashed the worker twice"));
  const auto rejected = events(stage, "rejected");
  ASSERT_THAT(rejected, SizeIs(1));
  EXPECT_THAT(rejected.front().at("failure"), HasSubstr(R"("code":"poison")"));
  EXPECT_FALSE(rejected.front().contains("job")) << "nobody ever knew whose it is";
  expect_notes_gone(stage, *worker);
}

TEST(Poison, C18_OneThatCrashesWhatDecidesAboutItIsRejectedByItsName) {
  Stage stage({.records = 20, .partitions = 1});
  send_sync(stage, "deadly-2", "jpm.jobs");
  const auto worker = third_life(stage, "DEADLY_DIGEST=deadly-2");
  ASSERT_TRUE(worker->wait_for_text("command_rejected", 60s)) << worker->err();
  expect_notes_gone(stage, *worker);
  const auto rejected = events(stage, "rejected");
  ASSERT_THAT(rejected, SizeIs(1));
  EXPECT_EQ(rejected.front().at("job"), "deadly-2");
  EXPECT_EQ(rejected.front().at("tenant"), "1001");
  worker->signal(SIGTERM);
  EXPECT_EQ(worker->wait(30s), 0) << worker->err();
  const auto again = start_broken(stage, "DEADLY_DIGEST=deadly-2");
  EXPECT_TRUE(stage.wait_ready(*again)) << "its offset is behind us: " << again->err();
  EXPECT_EQ(stage.stsync({"sync", "--resource", "jpm.jobs", "--wait"}).code, 0);
}

TEST(Poison, C18_AJobWhosePageCrashesTwiceFailsAndTheOthersGoOn) {
  Stage stage({.records = 20, .partitions = 1});
  Process follower(stage.command({"sync", "--resource", "jpm.jobs", "--mode", "full", "--id", "deadly-3", "--wait"}));
  const auto worker = third_life(stage, R"(DEADLY_TEXT="jobNumber")");
  EXPECT_EQ(follower.wait(60s), 1) << follower.err() << worker->err();
  EXPECT_THAT(follower.out(), HasSubstr(R"("code":"poison")"));
  EXPECT_TRUE(stage.read({"st.jpm.jobs", "st.dlq"}).empty());
  const auto other = stage.stsync({"sync", "--resource", "crm.customers", "--mode", "full", "--wait"});
  EXPECT_EQ(other.code, 0) << other.err << worker->err();
  expect_notes_gone(stage, *worker);
}

TEST(Poison, C18_AJobThatCrashesBeforeItsAcceptanceIsCommittedFailsToo) {
  Stage stage({.records = 20, .partitions = 1});
  // As two lives leave them that began the job at once.
  std::ofstream(stage.folder() / "stsync-stsync-pod-0.crashes") << fmt::format(
      "{0} 6 job/acme/1001/deadly-5\n{0} 6 job/acme/1001/deadly-5\n{0} 6 job/acme/1001/good-5\n", std::time(nullptr));
  const auto worker = stage.start_worker({"kafka.instance_id=pod-0"});
  EXPECT_TRUE(worker->wait_for_text("crashed_before", 1s, 3)) << worker->err();
  const auto deadly = stage.stsync({"sync", "--resource", "jpm.jobs", "--mode", "full", "--id", "deadly-5", "--wait"});
  EXPECT_EQ(deadly.code, 1) << deadly.err;
  EXPECT_THAT(deadly.out, HasSubstr(R"("code":"poison")"));
  const auto good = stage.stsync({"sync", "--resource", "jpm.jobs", "--mode", "full", "--id", "good-5", "--wait"});
  EXPECT_EQ(good.code, 0) << "once is not enough: " << good.err;
}

TEST(Poison, C18_AKillIsNobodysFault) {
  Stage stage({.records = 400, .rate = 20, .export_page = 50, .partitions = 1});
  Process follower(stage.command({"sync", "--resource", "jpm.jobs", "--mode", "full", "--id", "good-4", "--wait"}));
  for (int life = 0; life < 3; ++life) {
    const auto worker = stage.start_worker();
    worker->signal(SIGKILL);
    EXPECT_EQ(worker->wait(10s), 128 + SIGKILL);
  }
  const auto worker = stage.start_worker();
  EXPECT_EQ(follower.wait(60s), 0) << follower.err() << worker->err();
  EXPECT_EQ(bytes_of_notes(stage), 0U);
}

}  // namespace
}  // namespace stsync::test
