#include "telemetry/log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cmath>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.hpp"
#include "telemetry/log_line.hpp"

namespace stsync::telemetry {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const auto kTime = core::parse_utc("2026-01-02T03:04:05.678Z").value();

std::string json(std::string_view message, std::initializer_list<Field> fields = {}) {
  return format_line(LogFormat::json, kTime, Level::info, "tested", message, {fields.begin(), fields.size()});
}

TEST(LogLine, IsOneJsonObject) {
  EXPECT_EQ(json("hello", {{"tenant", 1001}, {"resource", "jpm.jobs"}, {"rate", 0.5}}),
            "{\"time\":\"2026-01-02T03:04:05.678Z\",\"level\":\"info\",\"event\":\"tested\",\"message\":\"hello\",\"tenant\":1001,"
            "\"resource\":\"jpm.jobs\",\"rate\":0.500000}\n");
}

TEST(LogLine, NothingFromOutsideBreaksIt) {
  EXPECT_THAT(json("a\"b\\c\nd\x1b[31m\x7f"), HasSubstr("\"a\\\"b\\\\c\\u000ad\\u001b[31m\\u007f\""));
  EXPECT_THAT(json("\xff\xc3(\xed\xa0\x80\xf4\x90\x80\x80|"),
              HasSubstr("\"\\ufffd\\ufffd(\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd|\""));
  EXPECT_THAT(json("Zoë 東 😀"), HasSubstr("Zoë 東 😀"));
  EXPECT_THAT(json("\xc2\x9b"
                   "2J"),
              HasSubstr("\\u009b2J"));
  EXPECT_THAT(json("", {{"rate", std::nan("")}, {"most", INFINITY}}), HasSubstr("\"rate\":\"nan\",\"most\":\"inf\""));
  EXPECT_LT(json(std::string(1'000'000, 'x')).size(), 9000u);
}

TEST(LogLine, TextQuotesWhatHasBlanks) {
  const Field fields[] = {{"a", "x"}, {"b", "y z"}, {"c", ""}, {"d", "1\n2"}};
  EXPECT_EQ(format_line(LogFormat::text, kTime, Level::warn, "tested", "line\nbreak", fields),
            "2026-01-02T03:04:05.678Z warn  tested: line\\x0abreak a=x b=\"y z\" c=\"\" d=1\\x0a2\n");
  EXPECT_THAT(format_line(LogFormat::colour_text, kTime, Level::error, "e", "m", {}), HasSubstr("\x1b[31merror\x1b[0m"));
}

/// stderr goes into a pipe for as long as this lives.
class Captured {
 public:
  Captured() {
    EXPECT_EQ(::pipe(ends_), 0);
    ::fflush(stderr);
    saved_ = ::dup(STDERR_FILENO);
    ::dup2(ends_[1], STDERR_FILENO);
    ::close(ends_[1]);
  }
  ~Captured() {
    restore();
    ::close(ends_[0]);
  }
  void restore() {
    if (saved_ < 0) return;
    ::dup2(saved_, STDERR_FILENO);
    ::close(saved_);
    saved_ = -1;
  }
  std::string all() {
    restore();
    return read_to_end();
  }
  /// Ends when nobody can write any more: after restore().
  std::string read_to_end() {
    std::string out;
    char buffer[4096];
    for (auto n = ::read(ends_[0], buffer, sizeof buffer); n > 0; n = ::read(ends_[0], buffer, sizeof buffer))
      out.append(buffer, static_cast<std::size_t>(n));
    return out;
  }

 private:
  int ends_[2] = {-1, -1};
  int saved_ = -1;
};

TEST(Log, WritesLinesFromTheLevelOn) {
  Captured captured;
  log_start("json", "info");
  log(Level::debug, "quiet", "not seen");
  log(Level::info, "loud", "seen", {{"n", 1}});
  log_shutdown();
  const auto text = captured.all();
  EXPECT_THAT(text, HasSubstr("\"event\":\"loud\",\"message\":\"seen\",\"n\":1}\n"));
  EXPECT_THAT(text, Not(HasSubstr("quiet")));
}

TEST(Log, OutsideOfStartAndShutdownOnlyErrorsAreWritten) {
  Captured captured;
  log(Level::info, "early", "dropped");
  log(Level::error, "broken", "kept");
  log_start("text", "error");
  log_shutdown();
  log_shutdown();
  log(Level::warn, "late", "dropped");
  const auto text = captured.all();
  EXPECT_THAT(text, HasSubstr("error broken: kept\n"));
  EXPECT_THAT(text, Not(HasSubstr("dropped")));
}

TEST(Log, C15_ABlockedReaderStopsNeitherTheCallersNorTheShutdown) {
  Captured captured;
  log_start("json", "info");
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 50'000; ++i) log(Level::info, "flood", "a line that nobody reads for now", {{"i", i}});
  log_shutdown();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(Log, C15_TheOldestLinesAreDroppedAndCounted) {
  Captured captured;
  log_lines_dropped();
  log_start("json", "info");
  for (int i = 0; i < 30'000; ++i) log(Level::info, "flood", "a line that nobody reads for now", {{"i", i}});
  const auto dropped = log_lines_dropped();
  EXPECT_GT(dropped, 20'000U);
  EXPECT_EQ(log_lines_dropped(), 0U) << "each is told once";
  std::string text;
  std::thread reader([&] { text = captured.read_to_end(); });
  log_shutdown();
  captured.restore();
  reader.join();
  EXPECT_THAT(text, HasSubstr("\"event\":\"log_dropped\""));
  EXPECT_THAT(text, HasSubstr(fmt::format("\"dropped\":{}", dropped)));
  EXPECT_TRUE(text.ends_with("\"i\":29999}\n"));
}

TEST(Log, C11_C15_AClosedReaderIsNoReasonToDie) {
  {
    Captured captured;
    log_start("json", "info");
    captured.restore();
  }
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const int saved = ::dup(STDERR_FILENO);
  ::dup2(ends[1], STDERR_FILENO);
  ::close(ends[1]);
  ::close(ends[0]);
  log(Level::error, "gone", "nobody reads");
  log_shutdown();
  ::dup2(saved, STDERR_FILENO);
  ::close(saved);
}

TEST(Log, RarelySaysHowManyWereLeftOut) {
  Captured captured;
  log_start("json", "info");
  for (int i = 0; i < 5; ++i) log_rarely(Level::warn, "absent", 3600, "Kafka does not answer");
  for (int i = 0; i < 3; ++i) log_rarely(Level::warn, "other", 0, "each time");
  log_rarely(Level::warn, "absent", 0, "Kafka does not answer");
  log_shutdown();
  const auto text = captured.all();
  EXPECT_THAT(text, HasSubstr("\"left_out\":4}"));
  std::size_t lines = 0;
  for (const char c : text) lines += c == '\n' ? 1 : 0;
  EXPECT_EQ(lines, 5u);
}

}  // namespace
}  // namespace stsync::telemetry
