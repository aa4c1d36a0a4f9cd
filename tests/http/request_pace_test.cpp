// How long a sender may take, decided without a socket.
#include "http/request_pace.hpp"

#include <gtest/gtest.h>

namespace stsync::http {
namespace {

using namespace std::chrono_literals;
using Time = RequestPace::Time;

const Time kStart{1000s};
const RequestLimits kStrict{.idle = 15s, .total = 15s, .header = 5s, .body = 10s, .bytes_a_second = 500};

TEST(RequestPace, F6_ANewConnectionMustBeginSoonAndAnOldOneMayRest) {
  EXPECT_EQ(RequestPace(kStrict, true, kStart).deadline(), kStart + 5s);
  EXPECT_EQ(RequestPace(kStrict, false, kStart).deadline(), kStart + 15s);
  EXPECT_EQ(RequestPace({.idle = 75s, .total = 10s}, true, kStart).deadline(), kStart + 75s) << "without limits for strangers";
}

TEST(RequestPace, F6_AHeaderHasItsTimeHoweverItDrips) {
  RequestPace pace(kStrict, false, kStart);
  pace.begun(kStart + 14s);
  EXPECT_EQ(pace.deadline(), kStart + 19s);
}

TEST(RequestPace, F6_ABodyHasToComeAtItsRateAndInItsTime) {
  RequestPace pace(kStrict, true, kStart);
  pace.begun(kStart);
  pace.header_done(kStart + 1s);
  EXPECT_EQ(pace.deadline(), kStart + 3s) << "two seconds before the rate counts";
  pace.body_bytes(1);
  EXPECT_EQ(pace.deadline(), kStart + 3s + 2ms);
  pace.body_bytes(1500);
  EXPECT_EQ(pace.deadline(), kStart + 6s);
  pace.body_bytes(1'000'000);
  EXPECT_EQ(pace.deadline(), kStart + 11s) << "ten seconds for all of it";
}

TEST(RequestPace, WithoutLimitsForStrangersARequestHasOneTime) {
  RequestPace pace({.idle = 75s, .total = 10s}, true, kStart);
  pace.begun(kStart + 1s);
  EXPECT_EQ(pace.deadline(), kStart + 11s);
  pace.header_done(kStart + 9s);
  pace.body_bytes(0);
  EXPECT_EQ(pace.deadline(), kStart + 11s);
}

}  // namespace
}  // namespace stsync::http
