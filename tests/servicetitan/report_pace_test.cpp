// One run of the same report a minute, whoever runs it.
#include "servicetitan/report_pace.hpp"

#include <gtest/gtest.h>

namespace stsync::servicetitan {
namespace {

using namespace std::chrono_literals;
constexpr std::int64_t kNow = 1'767'225'600'000;

TEST(ReportPace, LetsTheFirstRunBeginAndTheNextAfterAMinute) {
  ReportPace pace(1, 0);
  EXPECT_EQ(pace.wait(kNow), 0ms);
  pace.began(kNow);
  EXPECT_EQ(pace.wait(kNow), 60'100ms);
  EXPECT_EQ(pace.wait(kNow + 60'000), 100ms);
  EXPECT_EQ(pace.wait(kNow + 60'100), 0ms);
  EXPECT_EQ(ReportPace(5, kNow).wait(kNow), 12'100ms);
}

TEST(ReportPace, GoesWithItsTimeToAnotherWorker) {
  ReportPace first(1, 0);
  first.began(kNow);
  EXPECT_EQ(ReportPace(1, first.last_run_ms()).wait(kNow + 20'000), 40'100ms);
}

TEST(ReportPace, DoesWhatARefusalSays) {
  ReportPace pace(1, kNow);
  pace.refused(kNow, 5000ms);
  EXPECT_EQ(pace.wait(kNow + 1000), 4000ms) << "less than a minute: the vendor knows better";
  pace.refused(kNow, 120'000ms);
  EXPECT_EQ(pace.wait(kNow + 61'000), 59'000ms);
  EXPECT_EQ(pace.wait(kNow + 61'000, true), 59'000ms) << "also for a run that needs no turn";
  pace.refused(kNow, std::nullopt);
  EXPECT_EQ(pace.wait(kNow), 60'100ms);
  EXPECT_GT(ReportPace(1, pace.last_run_ms()).wait(kNow), 0ms) << "a successor keeps away too";
}

TEST(ReportPace, AClockThatWasSetBackCostsOneWaitAtMost) {
  EXPECT_EQ(ReportPace(1, kNow + 3'600'000).wait(kNow), 60'100ms);
  EXPECT_EQ(ReportPace(1, kNow).wait(kNow, true), 0ms) << "the call before was no run";
}

}  // namespace
}  // namespace stsync::servicetitan
