// How many files and connections a configuration needs, and what a limit below that means.
#include "sync/open_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stsync::sync {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

config::Config config_with(int partitions, std::size_t tenants) {
  config::Config config;
  config.kafka.partitions = partitions;
  config.apps.emplace_back();
  config.apps.front().tenants.resize(tenants);
  return config;
}

TEST(OpenFiles, C13_TheNeedGrowsWithPartitionsAndWithTenantsUpToTheMostCalls) {
  const auto small = files_needed(config_with(1, 1));
  EXPECT_LE(small.least, 64U) << "the limit of an old system is enough to start";
  EXPECT_GE(small.all, small.least);
  EXPECT_EQ(files_needed(config_with(12, 1)).least, small.least) << "one of several workers may own one of them";
  EXPECT_GT(files_needed(config_with(12, 1)).all, small.all + 11 * 9);
  EXPECT_GT(files_needed(config_with(1, 10)).all, small.all);
  EXPECT_EQ(files_needed(config_with(1, 1000)).all, files_needed(config_with(1, 100'000)).all);
  EXPECT_LT(files_needed(config_with(12, 1000)).all, 1024U) << "what most systems allow";
}

TEST(OpenFiles, C13_ALimitBelowTheNeedIsToldInOneSentenceWithWhatIsNeeded) {
  const FilesNeeded needed{60, 300};
  EXPECT_THAT(short_of_files(300, needed), IsEmpty());
  EXPECT_THAT(short_of_files(299, needed),
              HasSubstr("have 299 files and connections open, a worker with all of its partitions needs 300"));
  EXPECT_THAT(short_of_files(60, needed), HasSubstr("needs 300"));
  EXPECT_THAT(short_of_files(59, needed), HasSubstr("have 59 files and connections open, a worker needs 60 to start"));
}

}  // namespace
}  // namespace stsync::sync
