// Starting and stopping again and again: nothing grows, nothing stays behind. Under the address sanitizer each end is a search for
// leaks.
#include <csignal>
#include <cstdio>
#include <filesystem>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;

std::size_t files_of(const Stage& stage) {
  const std::filesystem::directory_iterator files(stage.folder());
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

/// Start, one small job, SIGTERM. At its end the program looks for leaks by itself.
void cycle(const Stage& stage, int number) {
  auto command = stage.command({"worker"});
  command.front() = STSYNC_CHECKED_PROGRAM;
  const auto worker =
      std::make_unique<Process>(std::move(command), std::vector<std::string>{"LSAN_OPTIONS=suppressions=" STSYNC_SOURCE
                                                                             "/cmake/leak_ignore.txt:print_suppressions=0",
                                                                             "ASAN_OPTIONS=detect_container_overflow=0"});
  ASSERT_TRUE(stage.wait_ready(*worker)) << worker->err();
  const auto job =
      stage.stsync({"sync", "--resource", "jpm.jobs", "--mode", "full", "--id", fmt::format("job-{}", number), "--wait"});
  EXPECT_EQ(job.code, 0) << job.err << worker->err();
  worker->signal(SIGTERM);
  ASSERT_EQ(worker->wait(60s), 0) << worker->err();
  for (const auto* trace : {"stsync: bug", "ERROR: ", "runtime error: ", "WARNING: ThreadSanitizer"})
    EXPECT_EQ(worker->err().find(trace), std::string::npos) << worker->err();
}

void cycles(int count) {
  Stage stage({.records = 20, .rate = 60, .partitions = 1});
  cycle(stage, 0);
  const auto files = files_of(stage);
  for (int i = 1; i < count && !::testing::Test::HasFailure(); ++i) cycle(stage, i);
  EXPECT_EQ(files_of(stage), files) << "nothing is left on the disk";
  const auto checked = check_records(stage.read({"st.jpm.jobs"}));
  EXPECT_TRUE(checked.problems.empty()) << checked.problems.front();
  EXPECT_EQ(checked.records, 20U * static_cast<std::size_t>(count));
}

TEST(Cycles, C19_TwentyStartsAndStopsLeaveNothingBehind) { cycles(20); }

/// A thousand, in parts that run side by side.
class ManyCycles : public ::testing::TestWithParam<int> {};
TEST_P(ManyCycles, C19_AThousandStartsAndStopsLeaveNothingBehind) { cycles(250); }
INSTANTIATE_TEST_SUITE_P(Long, ManyCycles, ::testing::Range(0, 4));

}  // namespace
}  // namespace stsync::test
