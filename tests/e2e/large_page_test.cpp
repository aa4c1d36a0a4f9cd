// Pages that do not fit into memory: published whole, from a file, with little of them in memory.
#include <csignal>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kRecord = 62'000;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STSYNC_SANITIZED
#endif
#endif
#if defined(STSYNC_SANITIZED) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryIsOurs = false;  // but the sanitizer's
#else
constexpr bool kMemoryIsOurs = true;
#endif

/// One page of an export feed with all rows.
StageOptions one_page(std::size_t megabytes, bool tls_and_gzip) {
  return {
      .records = megabytes * 1'000'000 / kRecord, .export_page = 100'000, .record_bytes = kRecord, .tls_and_gzip = tls_and_gzip};
}

std::vector<std::string> sync_jobs() { return {"sync", "--resource", "jpm.jobs", "--mode", "full", "--wait"}; }

/// A figure of /proc/PID/status in KiB: "VmHWM" is the most memory that the process has had.
long status_kib(const Process& process, const std::string& name) {
  std::ifstream in(fmt::format("/proc/{}/status", process.pid()));
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(name + ":")) return std::stol(line.substr(name.size() + 1));
  return -1;
}

/// Files without a name that the process holds open, but for its lock.
int open_spools(const Process& process) {
  int count = 0;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator(fmt::format("/proc/{}/fd", process.pid()), gone)) {
    const auto file = std::filesystem::read_symlink(entry.path(), gone).string();
    count += file.ends_with(" (deleted)") && file.find(".lock") == std::string::npos;
  }
  return count;
}

std::vector<std::string> files_in(const std::filesystem::path& folder) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) out.push_back(entry.path().filename());
  return out;
}

void expect_jobs_once(const Stage& stage) {
  const auto checked = check_records(stage.read({"st.jpm.jobs"}));
  EXPECT_TRUE(checked.problems.empty()) << checked.problems.size() << " problems, first: " << checked.problems.front();
  const auto differences = compare_with_truth(checked, stage.control("/__sim/truth?resource=jpm.jobs"));
  EXPECT_TRUE(differences.empty()) << differences.size() << " differences, first: " << differences.front();
}

void publish_one_page(std::size_t megabytes, bool tls_and_gzip, long most_mib) {
  Stage stage(one_page(megabytes, tls_and_gzip));
  const auto worker = stage.start_worker();
  const auto start = std::chrono::steady_clock::now();
  const auto job = stage.stsync(sync_jobs(), 900s);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  ASSERT_EQ(job.code, 0) << job.err << worker->err();
  EXPECT_NE(job.out.find("\"pages\":1,"), std::string::npos) << job.out;
  const auto peak = status_kib(*worker, "VmHWM");
  std::printf("a page of %zu MB, %s: peak memory %ld MiB, %.1f s\n", megabytes, tls_and_gzip ? "HTTPS and gzip" : "HTTP",
              peak >> 10, took.count());
  EXPECT_GT(peak, 0);
  if (kMemoryIsOurs) EXPECT_LT(peak >> 10, most_mib);
  expect_jobs_once(stage);
}

/// 48 pages of 4 MB, of three tenants and sixteen resources, all asked for at once.
TEST(LargePage, C12_DozensAtOnceStayWithinTheMemoryThatTheyMayTake) {
  Stage stage({.tenants = {1001, 1002, 1003},
               .records = 64,
               .export_page = 100'000,
               .record_bytes = kRecord,
               .tls_and_gzip = false,
               .sets = {"worker.max_memory=128MiB"}});
  const auto worker = stage.start_worker();
  std::vector<std::unique_ptr<Process>> followers;
  for (const auto* tenant : {"1001", "1002", "1003"})
    followers.push_back(
        std::make_unique<Process>(stage.command({"sync", "--tenant", tenant, "--resource", kBulk, "--mode", "full", "--wait"})));
  for (const auto& f : followers) EXPECT_EQ(f->wait(240s), 0) << f->err();
  const auto peak = status_kib(*worker, "VmHWM");
  std::printf("48 pages of 4 MB, 128 MiB for them: peak memory %ld MiB\n", peak >> 10);
  EXPECT_GT(peak, 0);
  if (kMemoryIsOurs) EXPECT_LT(peak >> 10, 128);  // without the limit it is more than 200
  const auto checked = check_records(stage.read(stage.record_topics()));
  EXPECT_TRUE(checked.problems.empty()) << checked.problems.front();
  EXPECT_EQ(checked.records, 3U * 16 * 64);
}

/// The simulator's jobs come in one page of 40 MB, everything else in small ones.
StageOptions one_large_record() { return {.records = 200, .tls_and_gzip = false}; }
void grow(const Stage& stage) { stage.control("/__sim/faults", R"({"oversize_record":40000000})"); }

void expect_others_go_on(const Stage& stage) {
  const auto other = stage.stsync({"sync", "--resource", "crm.customers", "--mode", "full", "--wait"});
  EXPECT_EQ(other.code, 0) << other.err;
  EXPECT_NE(other.out.find("\"records\":200"), std::string::npos) << other.out;
}

void expect_nothing_of_jobs(const Stage& stage, Process& worker) {
  EXPECT_TRUE(stage.read({"st.jpm.jobs", "st.dlq"}).empty()) << "half a page is no page";
  for (const auto& name : files_in(stage.folder())) EXPECT_FALSE(name.starts_with("stsync-spool")) << name;
  for (int i = 0; i < 500 && open_spools(worker) > 0; ++i) ASSERT_FALSE(worker.wait(20ms)) << worker.err();
  EXPECT_EQ(open_spools(worker), 0);
}

TEST(LargePage, C12_OfAHundredMegabytesIsPublishedWholeInLittleMemory) { publish_one_page(100, false, 128); }
TEST(LargePage, C12_OfAHundredMegabytesOnceInflatedIsPublishedWholeInLittleMemory) { publish_one_page(100, true, 128); }

TEST(LargePage, C14_ThatTheDiskHasNoRoomForFailsItsJobAndNothingElse) {
  Stage stage(one_large_record());
  grow(stage);
  std::vector<std::string> command{"sh", "-c", "ulimit -f 40000; exec \"$@\"", "worker"};  // 20 MB a file
  for (auto& word : stage.command({"worker"})) command.push_back(std::move(word));
  Process worker(std::move(command));
  ASSERT_TRUE(stage.wait_ready(worker)) << worker.err();
  const auto job = stage.stsync(sync_jobs());
  EXPECT_EQ(job.code, 1) << job.err;
  EXPECT_NE(job.out.find("\"code\":\"spool_full\""), std::string::npos) << job.out;
  expect_nothing_of_jobs(stage, worker);
  expect_others_go_on(stage);
}

TEST(LargePage, C14_WithoutAFolderForItFailsItsJobAndNothingElse) {
  Stage stage(one_large_record());
  grow(stage);
  const auto folder = stage.folder() / "spool";
  std::filesystem::create_directory(folder);
  const auto worker = stage.start_worker({"worker.spool_dir=" + folder.string()});
  std::filesystem::remove_all(folder);
  const auto job = stage.stsync(sync_jobs());
  EXPECT_EQ(job.code, 1) << job.err;
  EXPECT_NE(job.out.find("\"code\":\"bad_config\""), std::string::npos) << job.out;
  EXPECT_NE(job.out.find("worker.spool_dir '" + folder.string() + "'"), std::string::npos) << job.out;
  expect_nothing_of_jobs(stage, *worker);
  expect_others_go_on(stage);
}

TEST(LargePage, AboveTheLimitFailsItsJobAndNothingElse) {
  auto options = one_large_record();
  options.tls_and_gzip = true;  // far below the limit as sent
  Stage stage(options);
  grow(stage);
  const auto worker = stage.start_worker({"worker.max_body=32MiB"});
  const auto job = stage.stsync(sync_jobs());
  EXPECT_EQ(job.code, 1) << job.err;
  EXPECT_NE(job.out.find("\"code\":\"too_large\""), std::string::npos) << job.out;
  expect_nothing_of_jobs(stage, *worker);
  expect_others_go_on(stage);
}

TEST(LargePage, C1_to_C8_KilledInTheMiddleNothingIsLostOrDoubled) {
  Stage stage(one_page(100, true));
  auto worker = stage.start_worker();
  Process follower(stage.command(sync_jobs()));
  ASSERT_TRUE(follower.wait_for_text("started", 60s)) << follower.err();
  int working_kills = 0;
  for (const auto pause : {1ms, 100ms, 300ms, 600ms, 900ms}) {  // while it is fetched, inflated, published
    while (open_spools(*worker) == 0 && !follower.wait(0ms)) ASSERT_FALSE(worker->wait(2ms)) << worker->err();
    ASSERT_FALSE(worker->wait(pause)) << worker->err();
    working_kills += !follower.wait(0ms);
    worker->signal(SIGKILL);
    ASSERT_EQ(worker->wait(10s), 128 + SIGKILL);
    worker = stage.start_worker();
  }
  EXPECT_GE(working_kills, 2) << "the work ended before the kills did";
  EXPECT_EQ(follower.wait(300s), 0) << follower.err();
  expect_jobs_once(stage);
  for (const auto& name : files_in(stage.folder())) EXPECT_FALSE(name.starts_with("stsync-spool")) << name;
}

class HugePage : public ::testing::TestWithParam<bool> {};
TEST_P(HugePage, C12_OfNineHundredMegabytesIsPublishedWholeInLittleMemory) { publish_one_page(900, GetParam(), 256); }
INSTANTIATE_TEST_SUITE_P(Long, HugePage, ::testing::Bool(),
                         [](const auto& test) { return std::string(test.param ? "HttpsAndGzip" : "Http"); });

}  // namespace
}  // namespace stsync::test
