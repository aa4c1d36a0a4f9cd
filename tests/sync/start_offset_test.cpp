#include "sync/start_offset.hpp"

#include <gtest/gtest.h>

namespace stsync::sync {
namespace {

TEST(StartOffset, IsTheLaterOfWhatGroupAndJournalKnow) {
  EXPECT_EQ(start_offset(7, 5, 0, 20).offset, 7);
  EXPECT_EQ(start_offset(std::nullopt, 9, 0, 20).offset, 9) << "brokers forget the offsets of idle groups";
  EXPECT_EQ(start_offset(20, -1, 0, 20).offset, 20);
  EXPECT_EQ(start_offset(std::nullopt, -1, 4, 20).offset, 4) << "the first time";
  EXPECT_EQ(start_offset(std::nullopt, -1, 4, 20).expired, 0);
}

TEST(StartOffset, A17_IsTheEarliestThatIsLeftAndCountsWhatIsNot) {
  const auto start = start_offset(7, 6, 12, 20);
  EXPECT_EQ(start.offset, 12);
  EXPECT_EQ(start.expired, 5);
  EXPECT_FALSE(start.made_anew);
  EXPECT_EQ(start_offset(7, 6, 7, 20).expired, 0);
}

TEST(StartOffset, A17_IsTheBeginningOfATopicThatWasMadeAnew) {
  const auto start = start_offset(std::nullopt, 500, 0, 3);
  EXPECT_EQ(start.offset, 0);
  EXPECT_TRUE(start.made_anew);
  EXPECT_FALSE(start_offset(3, 3, 0, 3).made_anew) << "all is read";
}

}  // namespace
}  // namespace stsync::sync
