#include "config/yaml.hpp"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/units.hpp"

namespace stsync::config {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

Node parse(const std::string& text, Report& report) { return parse_yaml(text, std::make_shared<Source>(Source{"f", ""}), report); }

std::string error_of(const std::string& text) {
  Report report;
  parse(text, report);
  return report.errors().empty() ? "" : report.errors().front().text();
}

TEST(Yaml, KnowsThePlaceOfEverything) {
  Report report;
  const auto root = parse("a:\n  - x\n  - b: 'y'\n", report);
  ASSERT_TRUE(report.errors().empty());
  const auto& list = *root.find("a");
  EXPECT_EQ(list.items[0].where.line, 2);
  EXPECT_EQ(list.items[0].where.column, 5);
  EXPECT_FALSE(list.items[0].quoted);
  EXPECT_EQ(list.items[1].find("b")->where.column, 8);
  EXPECT_TRUE(list.items[1].find("b")->quoted);
}

TEST(Yaml, RefusesWhatAConfigurationNeedsNot) {
  EXPECT_EQ(error_of("a: 1\nb: 2\na: 3\n"), "f:3:1: duplicate key 'a'");
  EXPECT_EQ(error_of("a: &x 1\n"), "f:1:4: anchors (&name) are not supported");
  EXPECT_THAT(error_of("a: &x [1]\nb: *x\n"), HasSubstr("anchors"));
  EXPECT_THAT(error_of("a: !!int 1\n"), HasSubstr("tags"));
  EXPECT_THAT(error_of("[a]: 1\n"), HasSubstr("a key must be a text"));
  EXPECT_THAT(error_of("? {a: 1}\n: 2\n"), HasSubstr("a key must be a text"));
  EXPECT_THAT(error_of("~: 1\n"), HasSubstr("a key without a name"));
  EXPECT_THAT(error_of("a: 1\n---\nb: 2\n"), HasSubstr("more than one YAML document"));
  EXPECT_THAT(error_of("a: [1\n"), HasSubstr("not valid YAML"));
  EXPECT_THAT(error_of("\ta: 1\n"), HasSubstr("not valid YAML"));
}

TEST(Yaml, BoundsWhatItTakes) {
  EXPECT_THAT(error_of(std::string(100, '[') + std::string(100, ']')), HasSubstr("levels deep"));
  EXPECT_NE(error_of(std::string(1'000'000, '[')), "");
  std::string blocks;
  for (int i = 0; i < 300; ++i) blocks += "- ";
  EXPECT_THAT(error_of(blocks + "x"), HasSubstr("levels deep"));
  std::string many = "[";
  for (int i = 0; i < 250'000; ++i) many += "1,";
  EXPECT_THAT(error_of(many + "1]"), HasSubstr("more than 200000 values"));
  EXPECT_THAT(error_of(std::string((1U << 20U) + 1, 'a')), HasSubstr("larger than"));
}

TEST(Yaml, KeepsABombFromGoingOff) {
  std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c < 'k'; ++c)
    bomb += std::string(1, c) + ": &" + c + " [*" + static_cast<char>(c - 1) + ",*" + static_cast<char>(c - 1) + "]\n";
  EXPECT_THAT(error_of(bomb), HasSubstr("anchors"));
}

TEST(Yaml, ReportsABoundedNumberOfProblems) {
  Report report;
  for (int i = 0; i < 10'000; ++i) report.error({}, "x");
  EXPECT_EQ(report.errors().size(), Report::kMost + 1);
  EXPECT_THAT(report.errors().back().message, HasSubstr("too many"));
}

TEST(Yaml, NeedsNoLongTimeForAHostileMegabyte) {
  for (const auto* piece : {"? ", "- ", "a: ", "{", "a,", "'", "\n ", "#", "[]", "{a: ", "- a\n"}) {
    std::string text;
    while (text.size() < 1'000'000) text += piece;
    const auto start = std::chrono::steady_clock::now();
    error_of(text);
    EXPECT_LT(std::chrono::steady_clock::now() - start, 20s) << piece;
  }
}

TEST(Yaml, SurvivesRandomBytes) {
  static constexpr std::string_view kAlphabet = "ab:-[]{},\n\n  ?!&*#|>'\"%@`~\\\t0\xff\xc3";
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (auto n = random() % 40; n > 0; --n) text += kAlphabet[random() % kAlphabet.size()];
    Report report;
    parse(text, report);
  }
}

TEST(Yaml, WritesWhatItReads) {
  Report report;
  const std::string text =
      "a:\n  - b: x\n    c:\n      - \"1: 2\"\n      -\n        - \"\\x0a\"\n  - []\nd: {}\ne: \"null\"\nf: null\n";
  const auto once = to_yaml(parse(text, report));
  const auto twice = to_yaml(parse(once, report));
  ASSERT_TRUE(report.errors().empty()) << report.errors().front().text() << once;
  EXPECT_EQ(once, twice);
}

TEST(Units, ParseAndPrint) {
  EXPECT_EQ(parse_duration("100ms"), 100ms);
  EXPECT_EQ(parse_duration("15m"), 15min);
  EXPECT_EQ(parse_duration("7d"), 7 * 24h);
  for (const auto* bad : {"", "5", "m", "-5s", "1.5s", "5 s", "5us", "5S", "106752d", "9223372036854775808ms"})
    EXPECT_FALSE(parse_duration(bad)) << bad;
  EXPECT_EQ(format_duration(90s), "90s");
  EXPECT_EQ(format_duration(48h), "2d");
  EXPECT_EQ(format_duration(0s), "0ms");
  EXPECT_EQ(parse_size("2GiB"), 2ull << 30);
  EXPECT_EQ(parse_size("0B"), 0u);
  for (const auto* bad : {"", "5", "5MB", "KiB", "8589934592GiB", "-1B"}) EXPECT_FALSE(parse_size(bad)) << bad;
  EXPECT_EQ(format_size(1536), "1536B");
  EXPECT_EQ(format_size(16ull << 20), "16MiB");
  EXPECT_EQ(format_number(60), "60");
  EXPECT_EQ(format_number(0.1), "0.1");
  EXPECT_EQ(format_number(9e15), "9000000000000000");
}

}  // namespace
}  // namespace stsync::config
