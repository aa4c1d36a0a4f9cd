// A worker that the machine does not give what it needs: files, threads, a processor, somebody who reads its log.
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

std::vector<std::string> full_sync(const std::string& resource, const std::string& id) {
  return {"sync", "--resource", resource, "--mode", "full", "--id", id, "--wait"};
}

void expect_truth(const Stage& stage, const std::string& resource) {
  const auto checked = check_records(stage.read({"st." + resource}));
  EXPECT_TRUE(checked.problems.empty()) << checked.problems.front();
  const auto differences = compare_with_truth(checked, stage.control("/__sim/truth?resource=" + resource));
  EXPECT_TRUE(differences.empty()) << differences.front();
}

/// A worker behind a line of shell, for what a process inherits.
std::vector<std::string> in_shell(const std::string& line, std::vector<std::string> command) {
  std::vector<std::string> out{"sh", "-c", line + "; exec \"$@\"", "worker"};
  out.insert(out.end(), std::make_move_iterator(command.begin()), std::make_move_iterator(command.end()));
  return out;
}

/// The number that the next file or connection would get.
rlim_t next_file(const Process& worker) {
  rlim_t n = 0;
  while (std::filesystem::is_symlink(fmt::format("/proc/{}/fd/{}", worker.pid(), n))) ++n;
  return n;
}

/// Of the limit that this process has now; it lets go of none that it has.
void limit_files(const Process& worker, rlim_t most) {
  rlimit limit{};
  ASSERT_EQ(::prlimit(worker.pid(), RLIMIT_NOFILE, nullptr, &limit), 0);
  limit.rlim_cur = most;
  ASSERT_EQ(::prlimit(worker.pid(), RLIMIT_NOFILE, &limit, nullptr), 0);
}

TEST(Starved, C13_ALimitOfFilesThatIsTooLowIsRefusedInOneSentence) {
  Stage stage({.records = 20, .partitions = 1});
  const auto refused = run(in_shell("ulimit -n 32", stage.command({"worker"})));
  EXPECT_EQ(refused.code, 78);
  EXPECT_THAT(refused.err, HasSubstr("have 32 files and connections open, a worker needs 60 to start"));
  const auto checked = run(in_shell("ulimit -n 32", stage.command({"check"})));
  EXPECT_THAT(checked.err, HasSubstr("warning: the system lets this process have 32 files"));
  Process little(in_shell("ulimit -n 64", stage.command({"worker"})));
  ASSERT_TRUE(stage.wait_ready(little)) << little.err();
  EXPECT_THAT(little.err(), HasSubstr("\"event\":\"open_files\""));
  EXPECT_EQ(stage.stsync(full_sync("jpm.jobs", "little")).code, 0) << little.err();
  const auto raised = run(in_shell("ulimit -Sn 32", stage.command({"check"})));
  EXPECT_EQ(raised.err.find("warning: the system"), std::string::npos) << "it helps itself: " << raised.err;
}

TEST(Starved, C13_WithoutFilesItWaitsTellsItAndGoesOn) {
  Stage stage({.records = 60, .partitions = 1});
  const auto worker = stage.start_worker();
  limit_files(*worker, next_file(*worker));
  Process follower(stage.command(full_sync("jpm.jobs", "patient")));
  ASSERT_TRUE(follower.wait_for_text("retrying", 60s)) << follower.err() << worker->err();
  EXPECT_THAT(worker->err() + follower.err(), HasSubstr("Too many open files"));
  EXPECT_FALSE(follower.wait(0ms)) << "a shortage fails no job";
  limit_files(*worker, 1024);
  EXPECT_EQ(follower.wait(120s), 0) << follower.err() << worker->err();
  expect_truth(stage, "jpm.jobs");
  const auto metrics = metrics_of(*worker);
  EXPECT_THAT(metrics, ::testing::ContainsRegex("outcome=\"failed\"\\} [1-9]")) << metrics;
}

TEST(Starved, C13_WithoutThreadsForAPartitionItTriesAgain) {
  Stage stage({.records = 60, .partitions = 1});
  const auto file = (stage.folder() / "no-threads").string();
  Process worker(stage.command({"worker"}), {"LD_PRELOAD=" STSYNC_BROKEN_LIBRARY, "NO_THREADS_FILE=" + file});
  ASSERT_TRUE(worker.wait_for_text("worker_started", 60s)) << worker.err();
  std::ofstream(file) << "none";
  ASSERT_TRUE(worker.wait_for_text("lane_restart", 60s)) << worker.err();
  EXPECT_THAT(worker.err(), HasSubstr("no client for the partition: thread: Resource temporarily unavailable"));
  EXPECT_THAT(metrics_of(worker), HasSubstr("stsync_kafka_errors_total{reason=\"broker\"}"));
  std::filesystem::remove(file);
  ASSERT_TRUE(stage.wait_ready(worker)) << worker.err();
  EXPECT_EQ(stage.stsync(full_sync("jpm.jobs", "patient")).code, 0) << worker.err();
}

TEST(Starved, C13_WithoutThreadsItDoesNotStartAndSaysWhy) {
  Stage stage({.records = 1, .partitions = 1});
  for (const auto* most : {"0", "1", "2", "3"}) {
    Process worker(stage.command({"worker"}), {"LD_PRELOAD=" STSYNC_BROKEN_LIBRARY, fmt::format("MOST_THREADS={}", most)});
    EXPECT_EQ(worker.wait(30s), 69) << most << worker.err();
    EXPECT_THAT(worker.err(), HasSubstr("the system does not give what is needed to run")) << most;
  }
}

/// Files of the disk that it holds open to write to.
std::vector<std::string> written_by(pid_t process) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(fmt::format("/proc/{}/fd", process))) {
    std::ifstream info(fmt::format("/proc/{}/fdinfo/{}", process, entry.path().filename().string()));
    unsigned flags = 0;
    for (std::string name; info >> name;)
      if (name == "flags:") info >> std::oct >> flags;
    std::error_code gone;
    const auto file = std::filesystem::read_symlink(entry.path(), gone).string();
    if (file.starts_with('/') && !file.starts_with("/dev/") && (flags & O_ACCMODE) != O_RDONLY) out.push_back(file);
  }
  return out;
}

TEST(Starved, C14_ItWritesNowhereButToItsFolder) {
  Stage stage({.records = 60, .partitions = 1});
  Process worker(in_shell("cd /proc; export HOME=/proc TMPDIR=/proc", stage.command({"worker"})));
  const auto job = stage.stsync(full_sync("jpm.jobs", "frugal"));
  EXPECT_EQ(job.code, 0) << job.err << worker.err();
  expect_truth(stage, "jpm.jobs");
  auto files = written_by(worker.pid());
  for (const auto& inherited : written_by(::getpid())) std::erase(files, inherited);  // of whoever runs the tests
  EXPECT_THAT(files, ::testing::Each(::testing::StartsWith(stage.folder().string())));
  EXPECT_THAT(files, ::testing::Not(::testing::IsEmpty())) << "at least its lock";
  const auto refused = run(stage.command({"worker"}, {"worker.spool_dir=/proc/self/absent"}));
  EXPECT_EQ(refused.code, 78);
  EXPECT_THAT(refused.err, HasSubstr("expected a directory that can be written to"));
}

TEST(Starved, C15_NobodyReadsItsLogAndItWorksAsEver) {
  Stage stage({.records = 60, .partitions = 1});
  const auto pipe = (stage.folder() / "log").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const int reader = ::open(pipe.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  const std::string rubbish(4096, 'x');
  while (::write(reader, rubbish.data(), rubbish.size()) > 0) continue;  // full before the first line
  for (const auto& [resource, log] : {std::pair("jpm.jobs", "exec 1>>" + pipe + " 2>&1"), {"crm.customers", "exec 1>&- 2>&-"}}) {
    Process worker(in_shell(log, stage.command({"worker"})));
    const auto job = stage.stsync(full_sync(resource, std::string("unheard-") + resource));
    EXPECT_EQ(job.code, 0) << job.err;
    expect_truth(stage, resource);
    worker.signal(SIGTERM);
    EXPECT_EQ(worker.wait(30s), 0) << log;
  }
  ::close(reader);
}

TEST(Starved, C16_WithATenthOfAProcessorItStaysAMemberAndGoesOn) {
  Stage stage({.records = 400, .rate = 20, .export_page = 20, .partitions = 1});
  const auto worker = stage.start_worker();
  Process follower(stage.command(full_sync("jpm.jobs", "slow")));
  ASSERT_TRUE(follower.wait_for_text("started", 60s)) << follower.err();
  // Twice the session: nine tenths of it stopped.
  for (int i = 0; i < 60; ++i) {
    worker->signal(SIGSTOP);
    ASSERT_FALSE(worker->wait(180ms));
    worker->signal(SIGCONT);
    ASSERT_FALSE(worker->wait(20ms)) << worker->err();
  }
  for (const auto* flapping : {"partitions_revoked", "lane_restart", "rejoining"})
    EXPECT_EQ(worker->err().find(flapping), std::string::npos) << worker->err();
  EXPECT_EQ(follower.wait(120s), 0) << follower.err() << worker->err();
  expect_truth(stage, "jpm.jobs");
}

/// GET within two seconds: what curl says, 28 for no answer.
int probe(const std::string& url) { return run({"curl", "-sSf", "--max-time", "2", url}).code; }

/// A loop that a library does not come back from, for as long as a file is there.
struct StalledLoop : ::testing::Test {
  StalledLoop() {
    stall();
    worker = std::make_unique<Process>(
        stage.command({"worker"}),
        std::vector<std::string>{"LD_PRELOAD=" STSYNC_BROKEN_LIBRARY, "STALL_TEXT=stalls-it", "STALL_FILE=" + file});
  }
  void stall() const { std::ofstream(file) << "stall"; }
  void go_on() const { std::filesystem::remove(file); }
  /// As often as a liveness probe asks before it gives up.
  bool answers_nothing() const {
    int no_answer = 0;
    for (const auto end = std::chrono::steady_clock::now() + 60s; no_answer < 3 && std::chrono::steady_clock::now() < end;)
      no_answer = probe(telemetry_url(*worker) + "/livez") == 28 ? no_answer + 1 : 0;
    return no_answer == 3;
  }

  Stage stage{{.records = 60, .partitions = 1}};
  const std::string file = (stage.folder() / "stall").string();
  std::unique_ptr<Process> worker;
};

TEST_F(StalledLoop, C17_AnswersNoProbeAndGoesOnOrIsReplacedWithoutLoss) {
  ASSERT_TRUE(stage.wait_ready(*worker)) << worker->err();
  EXPECT_EQ(probe(telemetry_url(*worker) + "/livez"), 0);
  Process first(stage.command(full_sync("jpm.jobs", "stalls-it")));
  EXPECT_TRUE(answers_nothing());
  ASSERT_FALSE(worker->wait(6s)) << "longer than a session in all: " << worker->err();
  go_on();
  EXPECT_EQ(first.wait(120s), 0) << first.err() << worker->err();
  EXPECT_EQ(probe(telemetry_url(*worker) + "/livez"), 0);
  EXPECT_THAT(metrics_of(*worker), ::testing::ContainsRegex("stsync_loop_lag_seconds_sum ([6-9]|[1-9][0-9])"));

  stall();
  Process second(stage.command(full_sync("crm.customers", "stalls-it-again")));
  EXPECT_TRUE(answers_nothing());
  worker->signal(SIGTERM);
  EXPECT_FALSE(worker->wait(1s)) << "it cannot hear that";
  worker->signal(SIGKILL);
  EXPECT_EQ(worker->wait(10s), 128 + SIGKILL);
  worker = stage.start_worker();
  EXPECT_EQ(second.wait(60s), 0) << second.err() << worker->err();
  for (const auto* resource : {"jpm.jobs", "crm.customers"}) expect_truth(stage, resource);
}

}  // namespace
}  // namespace stsync::test
