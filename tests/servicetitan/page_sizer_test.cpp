#include "servicetitan/page_sizer.hpp"

#include <gtest/gtest.h>

namespace stsync::servicetitan {
namespace {

constexpr std::size_t kMiB = 1u << 20;

/// The size that pages of rows of this many bytes come to.
int settled(std::size_t row_bytes, int start = 500, int most = 5000) {
  PageSizer sizer(most);
  auto size = start;
  for (int i = 0; i < 50; ++i) {
    const auto next = sizer.after_page(size, static_cast<std::size_t>(size), static_cast<std::size_t>(size) * row_bytes);
    if (!next) break;
    size = *next;
  }
  return size;
}

TEST(PageSizer, ComesToFourToEightMebibytes) {
  for (const std::size_t row : {2'000u, 5'000u, 20'000u, 100'000u, 400'000u}) {
    const auto bytes = static_cast<std::size_t>(settled(row)) * row;
    EXPECT_GE(bytes, 4 * kMiB) << row;
    EXPECT_LE(bytes, 8 * kMiB) << row;
  }
}

TEST(PageSizer, KeepsBelowWhatTheEndpointGives) {
  EXPECT_EQ(settled(100), 5000);
  EXPECT_EQ(settled(100, 500, 500), 500);
  EXPECT_EQ(settled(50'000'000), PageSizer::kSmallest) << "rows of 50 MB";
  EXPECT_EQ(settled(1'000, 5, 5), 5);
}

TEST(PageSizer, GrowsByTwoAtMostAndShrinksAtOnce) {
  PageSizer sizer(5000);
  EXPECT_EQ(sizer.after_page(500, 500, 500 * 100), 1000);
  EXPECT_EQ(sizer.after_page(1000, 1000, 60 * kMiB), 100);
}

TEST(PageSizer, TheLastPageTellsNothing) {
  PageSizer sizer(5000);
  EXPECT_EQ(sizer.after_page(500, 3, 3000), std::nullopt);
  EXPECT_EQ(sizer.after_page(500, 0, 40), std::nullopt);
}

TEST(PageSizer, HalvesAfterATimeoutAndGrowsBackSlowly) {
  PageSizer sizer(5000);
  EXPECT_EQ(sizer.after_timeout(1000), 500);
  for (int page = 1; page < PageSizer::kPatience; ++page) EXPECT_EQ(sizer.after_page(500, 500, 500 * 100), std::nullopt);
  EXPECT_EQ(sizer.after_page(500, 500, 500 * 100), 1000);
  EXPECT_EQ(sizer.after_timeout(15), PageSizer::kSmallest);
  EXPECT_EQ(sizer.after_timeout(PageSizer::kSmallest), std::nullopt);
}

}  // namespace
}  // namespace stsync::servicetitan
