#include "core/text.hpp"

#include <gtest/gtest.h>

namespace stsync::core {
namespace {

TEST(FormatUtc, RoundTripsToTheMillisecond) {
  for (const auto* text : {"2026-01-02T03:04:05.678Z", "1970-01-01T00:00:00.000Z", "2024-02-29T23:59:59.999Z"})
    EXPECT_EQ(format_utc(parse_utc(text).value()), text);
}

TEST(ParseUtc, AcceptsWhatTheVendorSends) {
  const auto base = parse_utc("2025-01-02T03:04:05Z").value();
  EXPECT_EQ(parse_utc("2025-01-02T03:04:05.1234567Z"), base + std::chrono::milliseconds(123));
  EXPECT_EQ(parse_utc("2025-01-02T03:04:05.5Z"), base + std::chrono::milliseconds(500));
  EXPECT_EQ(parse_utc("2025-01-02T03:04:05"), base);
  EXPECT_EQ(parse_utc("2025-01-02T05:34:05+02:30"), base);
  EXPECT_EQ(parse_utc("2025-01-02"), parse_utc("2025-01-02T00:00:00Z"));
}

TEST(ParseUtc, RefusesWhatIsNoTime) {
  for (const auto* text : {"", "2025", "2025-13-01", "2025-02-30", "2025-01-02T", "2025-01-02T03:04", "2025-01-02T25:00:00Z",
                           "2025-01-02T03:04:05.Z", "2025-01-02T03:04:05Zx", "2025-01-02 03:04:05", "x2025-01-02"})
    EXPECT_FALSE(parse_utc(text)) << text;
}

TEST(Uuid, OfANameIsAlwaysTheSame) {
  EXPECT_EQ(uuid5("restart j1"), "261350d7-b641-5819-adf3-abfc4eb5da9c");
  EXPECT_NE(uuid5("restart j1"), uuid5("restart j2"));
}

TEST(Uuid7, SortsByTimeAndCarriesItsVersion) {
  Rng rng(1);
  const auto a = uuid7(WallTime(std::chrono::milliseconds(1000)), rng);
  const auto b = uuid7(WallTime(std::chrono::milliseconds(2000)), rng);
  EXPECT_LT(a, b);
  ASSERT_EQ(a.size(), 36u);
  EXPECT_EQ(a[14], '7');
  EXPECT_NE(std::string("89ab").find(a[19]), std::string::npos);
}

TEST(Sha256, KnownAnswer) { EXPECT_EQ(sha256_hex("a", "bc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); }

TEST(Printable, ShowsControlCharactersAndCuts) {
  EXPECT_EQ(printable("a\nb"), "a\\x0ab");
  EXPECT_EQ(printable("abcdef", 3), "abc…");
}

TEST(Nearest, FindsATypoAndNothingElse) {
  const std::vector<std::string> names{"bootstrap_servers", "group", "topics"};
  EXPECT_EQ(nearest("bootstrap_server", names), "bootstrap_servers");
  EXPECT_EQ(nearest("gruop", names), "group");
  EXPECT_FALSE(nearest("zzz", names));
}

}  // namespace
}  // namespace stsync::core
