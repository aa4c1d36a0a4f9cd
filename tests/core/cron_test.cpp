#include "core/cron.hpp"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.hpp"

namespace stsync::core {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

WallTime at(const char* text) { return parse_utc(text).value(); }

/// The next `count` moments of a line, in UTC.
std::vector<std::string> next(const char* line, const char* zone, const char* after, int count) {
  const auto cron = Cron::parse(line, zone);
  if (!cron) return {cron.error().message()};
  std::vector<std::string> out;
  for (auto t = at(after); count > 0; --count) {
    t = cron->next(t);
    out.push_back(format_utc(t).substr(0, 16));
  }
  return out;
}

TEST(Cron, FieldsAreNumbersNamesRangesListsAndSteps) {
  EXPECT_THAT(next("5 4 * * *", "UTC", "2026-03-01T04:05:00Z", 2), ElementsAre("2026-03-02T04:05", "2026-03-03T04:05"));
  EXPECT_THAT(next("5 4 * * *", "UTC", "2026-03-01T04:04:59.999Z", 1), ElementsAre("2026-03-01T04:05"));
  EXPECT_THAT(next("*/20 8-9 * * *", "UTC", "2026-03-01T08:50:00Z", 4),
              ElementsAre("2026-03-01T09:00", "2026-03-01T09:20", "2026-03-01T09:40", "2026-03-02T08:00"));
  EXPECT_THAT(next("0 0 1 jan,JUL *", "UTC", "2026-03-01T00:00:00Z", 2), ElementsAre("2026-07-01T00:00", "2027-01-01T00:00"));
  EXPECT_THAT(next(" 0\t6  * * Mon-FRI ", "UTC", "2026-11-26T12:00:00Z", 1), ElementsAre("2026-11-27T06:00"));
  EXPECT_THAT(next("0 6 * * mon-fri", "UTC", "2026-11-26T12:00:00Z", 2), ElementsAre("2026-11-27T06:00", "2026-11-30T06:00"));
  EXPECT_THAT(next("30 7/6 * * 7", "UTC", "2026-11-26T12:00:00Z", 3),
              ElementsAre("2026-11-29T07:30", "2026-11-29T13:30", "2026-11-29T19:30"));
  EXPECT_THAT(next("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1), ElementsAre("2104-02-29T00:00")) << "1900 and 2100 have none";
  EXPECT_THAT(next("@weekly", "UTC", "2026-11-26T12:00:00Z", 1), ElementsAre("2026-11-29T00:00"));
}

TEST(Cron, OfTwoRestrictedDaysEitherWillDo) {
  EXPECT_THAT(next("0 0 13 * 5", "UTC", "2026-11-07T00:00:00Z", 3),
              ElementsAre("2026-11-13T00:00", "2026-11-20T00:00", "2026-11-27T00:00"));
  EXPECT_THAT(next("0 0 15 * 5", "UTC", "2026-11-07T00:00:00Z", 3),
              ElementsAre("2026-11-13T00:00", "2026-11-15T00:00", "2026-11-20T00:00"));
  EXPECT_THAT(next("0 0 */15 * 5", "UTC", "2026-11-07T00:00:00Z", 1), ElementsAre("2027-01-01T00:00"))
      << "a star restricts nothing";
}

TEST(Cron, WhatIsLeftOutInSpringComesAtTheChangeOnce) {
  const auto* zone = "America/New_York";  // 2026-03-08: from 02:00 to 03:00, which is 07:00 UTC
  EXPECT_THAT(next("30 2 * * *", zone, "2026-03-07T00:00:00Z", 3),
              ElementsAre("2026-03-07T07:30", "2026-03-08T07:00", "2026-03-09T06:30"));
  EXPECT_THAT(next("0 2,3 * * *", zone, "2026-03-08T06:00:00Z", 2), ElementsAre("2026-03-08T07:00", "2026-03-09T06:00"));
  EXPECT_THAT(next("0 3 * * *", zone, "2026-03-08T06:00:00Z", 1), ElementsAre("2026-03-08T07:00"));
  EXPECT_THAT(next("*/30 * * * *", zone, "2026-03-08T06:00:00Z", 3),
              ElementsAre("2026-03-08T06:30", "2026-03-08T07:00", "2026-03-08T07:30"));
}

TEST(Cron, WhatComesTwiceInAutumnIsRunOnce) {
  const auto* zone = "America/New_York";  // 2026-11-01: from 02:00 back to 01:00, which is 06:00 UTC
  EXPECT_THAT(next("30 1 * * *", zone, "2026-10-31T12:00:00Z", 2), ElementsAre("2026-11-01T05:30", "2026-11-02T06:30"));
  EXPECT_THAT(next("30 1 * * *", zone, "2026-11-01T06:10:00Z", 1), ElementsAre("2026-11-02T06:30")) << "asked in the second hour";
  EXPECT_THAT(next("*/30 * * * *", zone, "2026-11-01T04:59:00Z", 5),
              ElementsAre("2026-11-01T05:00", "2026-11-01T05:30", "2026-11-01T06:00", "2026-11-01T06:30", "2026-11-01T07:00"));
}

TEST(Cron, OddZonesAreNoExceptions) {
  EXPECT_THAT(next("30 9 * * *", "Asia/Kolkata", "2026-01-01T00:00:00Z", 2), ElementsAre("2026-01-01T04:00", "2026-01-02T04:00"));
  // Half an hour, 2026-10-04 from 02:00 to 02:30: 15:30 UTC.
  EXPECT_THAT(next("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", 2),
              ElementsAre("2026-10-03T15:30", "2026-10-04T15:15"));
  // A day that was left out.
  EXPECT_THAT(next("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", 3),
              ElementsAre("2011-12-29T22:00", "2011-12-30T10:00", "2011-12-30T22:00"));
}

/// Whatever the clocks do, a daily line comes once a day.
TEST(Cron, ADailyRunNeverSlips) {
  for (const auto* zone :
       {"America/New_York", "America/Los_Angeles", "America/Phoenix", "Europe/London", "Australia/Sydney", "UTC"})
    for (const auto* line : {"30 2 * * *", "0 2 * * *", "30 1 * * *", "59 23 * * *", "0 0 * * *"}) {
      const auto cron = Cron::parse(line, zone).value();
      const auto begin = cron.next(at("2024-06-01T00:00:00Z"));
      auto t = begin;
      for (int day = 0; day < 3 * 365; ++day) {
        const auto then = cron.next(t);
        ASSERT_GE(then - t, 23h - 30min) << zone << " " << line << " after " << format_utc(t);
        ASSERT_LE(then - t, 25h + 30min) << zone << " " << line << " after " << format_utc(t);
        t = then;
      }
      EXPECT_LE(std::chrono::abs(t - begin - std::chrono::days(3 * 365)), 1h) << zone << " " << line;
    }
}

TEST(Cron, SaysWhatIsWrong) {
  const auto error = [](const char* line, const char* zone = "UTC") {
    const auto cron = Cron::parse(line, zone);
    return cron ? std::string() : cron.error().message();
  };
  EXPECT_THAT(error("0 2 * *"), HasSubstr("expected five fields"));
  EXPECT_THAT(error("@sometimes"), HasSubstr("expected five fields"));
  EXPECT_THAT(error("60 2 * * *"), HasSubstr("minute: found '60', expected *, or numbers from 0 to 59"));
  EXPECT_THAT(error("0 8-5 * * *"), HasSubstr("hour: found '8-5'"));
  EXPECT_THAT(error("0 8 0 * *"), HasSubstr("day of the month: found '0'"));
  EXPECT_THAT(error("0 8 * foo *"), HasSubstr("month: found 'foo'"));
  EXPECT_THAT(error("*/0 8 * * *"), HasSubstr("minute"));
  EXPECT_THAT(error("1,,2 8 * * *"), HasSubstr("minute"));
  EXPECT_THAT(error("0 0 * * 8"), HasSubstr("day of the week: found '8'"));
  EXPECT_THAT(error("0 0 30 2 *"), HasSubstr("never comes"));
  EXPECT_THAT(error("0 2 * * *", "America/Gotham"), HasSubstr("time zone: found 'America/Gotham'"));
  EXPECT_THAT(error("0 2 * * *", "../../etc/passwd"), HasSubstr("time zone"));
  EXPECT_THAT(error("\x01 2 * * *"), HasSubstr("\\x01"));
}

}  // namespace
}  // namespace stsync::core
