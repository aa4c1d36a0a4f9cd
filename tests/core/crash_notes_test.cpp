// What a process that crashes leaves behind, and what its next lives make of it.
#include "core/crash_notes.hpp"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/at_work.hpp"

namespace stsync::core {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::int64_t kNow = 1'780'000'000;
const WallTime kWall{std::chrono::seconds(kNow)};
constexpr const char* kCommand = "command/st.commands/3/17/1764154990123";

std::string line(std::int64_t ago, std::string_view what, std::string_view detail = {}) {
  return fmt::format("{} 11 {}{}{}\n", kNow - ago, what, detail.empty() ? "" : " ", detail);
}

TEST(CrashNotes, C18_OnceMayBeAnythingsFaultAndTwiceIsItsOwn) {
  const CrashNotes once(line(10, kCommand) + line(5, "job/acme/1001/other"), kWall);
  EXPECT_FALSE(once.repeated(kCommand));
  const CrashNotes twice(line(10, kCommand, "job/acme/1001/a") + line(5, "job/acme/1001/other") + line(1, kCommand), kWall);
  ASSERT_TRUE(twice.repeated(kCommand));
  EXPECT_EQ(twice.repeated(kCommand)->seconds, kNow - 1) << "the newest";
  EXPECT_EQ(twice.repeated(kCommand)->signal, 11);
  EXPECT_FALSE(twice.repeated("command/st.commands/3/17/1764154990124")) << "the topic was made anew";
}

TEST(CrashNotes, C18_AreWrittenAsTheyWereRead) {
  const auto text = line(10, kCommand, "job/acme/1001/a") + line(5, "job/acme/1001/other");
  CrashNotes notes(text, kWall);
  EXPECT_EQ(notes.text(), text);
  notes.forget(kCommand);
  EXPECT_EQ(notes.text(), line(5, "job/acme/1001/other"));
}

TEST(CrashNotes, C18_AreForgottenAfterADay) {
  const CrashNotes notes(line(86'401, "old") + line(86'400, "yesterday") + line(-86'401, "of-another-clock"), kWall);
  ASSERT_THAT(notes.all(), SizeIs(1));
  EXPECT_EQ(notes.all().front().what, "yesterday");
}

TEST(CrashNotes, C18_WhatIsNoNoteIsLeftOut) {
  const auto now = std::to_string(kNow);
  for (const auto& bad : std::vector<std::string>{
           "", "\n\n", now, now + " 11", now + " 11 ", now + " 0 x", now + " 65 x", "x 11 x", now + " x x", now + " 11 x y z",
           now + "  11 x", now + " 11 \x01", now + " 11 caf\xc3\xa9", now + " 11 " + std::string(600, 'x'),
           "99999999999999999999 11 x", std::string("\0\0\0\0", 4), std::string(100'000, 'x')})
    EXPECT_THAT(CrashNotes(bad, kWall).all(), IsEmpty()) << bad.substr(0, 80);
  const CrashNotes mixed("rubbish\n" + line(1, "x") + std::string("\0\xff\n", 3) + line(1, "x") + now + " 11 cut", kWall);
  EXPECT_TRUE(mixed.repeated("x"));
  EXPECT_THAT(mixed.all(), SizeIs(3)) << "the last line may have lost its end";
}

TEST(CrashNotes, C18_NoMoreThanTheNewestThousandAreKept) {
  std::string text;
  for (int i = 0; i < 2500; ++i) text += line(0, fmt::format("job/acme/1001/{}", i));
  const CrashNotes notes(text, kWall);
  ASSERT_THAT(notes.all(), SizeIs(1000));
  EXPECT_EQ(notes.all().front().what, "job/acme/1001/1500");
}

struct CrashNoteFileTest : ::testing::Test {
  CrashNoteFileTest() {
    std::string name = (std::filesystem::temp_directory_path() / "stsync-notes-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder = name;
    path = CrashNoteFile::path_of(folder, "stsync", "pod-0");
  }
  ~CrashNoteFileTest() override { std::filesystem::remove_all(folder); }

  void write(const std::string& text) const { std::ofstream(path) << text; }
  std::string read() const {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  std::filesystem::path folder;
  std::string path;
};

TEST_F(CrashNoteFileTest, C18_BelongsToOneWorkerOfOneGroup) {
  EXPECT_EQ(path, folder.string() + "/stsync-stsync-pod-0.crashes");
  EXPECT_EQ(CrashNoteFile::path_of("/spool", "a/../b", "c d"), "/spool/stsync-a_.._b-c_d.crashes");
}

TEST_F(CrashNoteFileTest, C18_ForgetsWhatIsSettledAndWhatIsOld) {
  write(line(86'500, "old") + "rubbish\n" + line(9, "x") + line(8, "y") + line(7, "x"));
  {
    CrashNoteFile file(path, kWall);
    EXPECT_FALSE(file.problem());
    EXPECT_EQ(read(), line(9, "x") + line(8, "y") + line(7, "x"));
    EXPECT_TRUE(file.notes().repeated("x"));
    file.forget("x");
    EXPECT_FALSE(file.notes().repeated("x"));
  }
  EXPECT_EQ(read(), line(8, "y"));
}

TEST_F(CrashNoteFileTest, C18_ThatCannotBeWrittenIsSaidAndIsNoReasonToStop) {
  for (const auto& bad : {folder / "absent" / "x.crashes", folder, std::filesystem::path("/proc/x.crashes")}) {
    const CrashNoteFile file(bad, kWall);
    ASSERT_TRUE(file.problem()) << bad;
    EXPECT_THAT(file.problem()->message(), HasSubstr(bad.string()));
    EXPECT_THAT(file.notes().all(), IsEmpty());
  }
  std::filesystem::create_symlink("/etc/hostname", path);
  EXPECT_TRUE(CrashNoteFile(path, kWall).problem()) << "nobody leads us to another file";
}

TEST_F(CrashNoteFileTest, C18_OfAnySizeIsReadInLittleMemory) {
  std::ofstream out(path);
  for (int i = 0; i < 60'000; ++i) out << line(0, fmt::format("job/acme/1001/some-job-{:08}", i));
  out.close();
  ASSERT_GT(std::filesystem::file_size(path), 2u << 20);
  const CrashNoteFile file(path, kWall);
  EXPECT_THAT(file.notes().all(), SizeIs(1000));
  EXPECT_EQ(file.notes().all().back().what, "job/acme/1001/some-job-00059999");
  EXPECT_LT(std::filesystem::file_size(path), 100'000u);
}

/// Where a sanitizer tells of a crash first, the process ends with the code of that: of addresses, of threads.
bool reported(int ended) { return ended == -1 || ended == -66; }

struct CrashTest : CrashNoteFileTest {
  /// Of a process of its own: the signal that ended it, else what it returned, negative.
  template <class F>
  int signal_of(F crash) const {
    const auto child = ::fork();
    if (child == 0) {
      std::freopen("/dev/null", "w", stderr);
      note_crashes(path);
      crash();
      ::_exit(99);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
  }
  CrashNotes notes() const {
    return CrashNotes(read(), std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now()));
  }
  /// "11 what detail" of each.
  std::string told() const {
    std::string out;
    const auto left = notes();
    for (const auto& n : left.all()) out += fmt::format("{} {} {}\n", n.signal, n.what, n.detail);
    return out;
  }
};

TEST_F(CrashTest, C18_ASignalNotesWhatItsThreadWasAtAndEndsTheProcessAllTheSame) {
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) {
    std::filesystem::remove(path);
    const int ended = signal_of([signal] {
      const AtWork at_work(kCommand);
      AtWork::add("job/acme/1001/a");
      ::raise(signal);
    });
    EXPECT_EQ(told(), fmt::format("{} {} job/acme/1001/a\n", signal, kCommand));
    EXPECT_TRUE(ended == signal || reported(ended)) << ended;
  }
}

TEST_F(CrashTest, C18_WhatOnlyABugCanCauseIsNotedToo) {
  EXPECT_EQ(signal_of([] {
              const AtWork at_work("x");
              check(false, "a job changes along the table of its life");
            }),
            SIGABRT);
  EXPECT_EQ(signal_of([] {
              try {
                const AtWork at_work("y");
                throw std::runtime_error("nobody expects it");
              } catch (const std::exception&) {
                check(false, "an exception left a task");
              }
            }),
            SIGABRT);
  EXPECT_EQ(told(), "6 x \n6 y \n");
}

TEST_F(CrashTest, C18_TheOuterWorkIsToBlame) {
  signal_of([] {
    const AtWork outer("outer");
    {
      const AtWork inner("inner");
    }
    AtWork::add("first");
    AtWork::add("second");
    const AtWork inner("inner");
    std::abort();
  });
  EXPECT_EQ(told(), "6 outer first\n");
}

TEST_F(CrashTest, C18_OutsideOfAnyWorkNothingIsNoted) {
  EXPECT_EQ(signal_of([] {
              {
                const AtWork done("done");
              }
              std::abort();
            }),
            SIGABRT);
  EXPECT_EQ(signal_of([] {
              const AtWork at_work("x");
              ::raise(SIGKILL);
            }),
            SIGKILL);
  EXPECT_EQ(signal_of([] {
              const AtWork at_work("x");
              ::kill(::getpid(), SIGABRT);  // as an operator does for a core dump
            }),
            SIGABRT);
  EXPECT_EQ(read(), "");
}

int deeper(volatile char* before) {
  volatile char here[4096];
  here[0] = before == nullptr ? '\0' : before[0];
  if (here[0] != '\0') return 0;
  return deeper(here) + here[0];
}

TEST_F(CrashTest, C18_AStackThatIsUsedUpIsNotedToo) {
  signal_of([] {
    const AtWork at_work("deep");
    ::_exit(deeper(nullptr) & 1);
  });
  EXPECT_EQ(told(), fmt::format("{} deep \n", SIGSEGV));
}

TEST_F(CrashTest, C18_ANoteHoldsNothingThatBreaksItsLine) {
  signal_of([] {
    const AtWork at_work("a b\nc\xff" + std::string(1000, 'x'));
    AtWork::add(std::string(1000, 'y') + "\n1 2 3");
    std::abort();
  });
  const auto all = notes().all();
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all.front().what, "a?b?c?" + std::string(250, 'x'));
  EXPECT_EQ(all.front().detail, std::string(256, 'y'));
}

}  // namespace
}  // namespace stsync::core
