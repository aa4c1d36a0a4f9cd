#include "core/spool.hpp"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "core/body.hpp"

namespace stsync::core {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SpoolTest : public ::testing::Test {
 public:
  SpoolTest() {
    auto name = ::testing::TempDir() + "stsync_spool_XXXXXX";
    folder = ::mkdtemp(name.data());
  }
  ~SpoolTest() override { fs::remove_all(folder); }

  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder)) out.push_back(entry.path());
    return out;
  }
  /// Files of the folder that this process holds open.
  std::size_t open() const {
    std::size_t count = 0;
    std::error_code gone;
    for (const auto& entry : fs::directory_iterator("/proc/self/fd"))
      count += fs::read_symlink(entry.path(), gone).string().starts_with(folder.string());
    return count;
  }

  fs::path folder;
};

/// Memory of this process that is a mapped file, in bytes.
std::size_t resident_files() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("RssFile:") || line.starts_with("RssShmem:")) {
      static std::size_t of_files;
      if (line.starts_with("RssFile:")) of_files = std::stoull(line.substr(8));
      if (line.starts_with("RssShmem:")) return (of_files + std::stoull(line.substr(9))) << 10;
    }
  return 0;
}

TEST_F(SpoolTest, WhatIsWrittenCanBeReadAndHasNoName) {
  Spool spool(folder);
  const auto file = spool.create().value();
  ASSERT_TRUE(file->map());
  EXPECT_EQ(file->view(), "");
  ASSERT_TRUE(file->append("one "));
  ASSERT_TRUE(file->append("two "));
  ASSERT_TRUE(file->settle());
  ASSERT_TRUE(file->map());
  ASSERT_TRUE(file->append("three"));
  EXPECT_EQ(file->view(), "one two ");
  ASSERT_TRUE(file->map());
  EXPECT_EQ(file->view(), "one two three");
  EXPECT_EQ(file->size(), 13u);
  EXPECT_EQ(open(), 1u);
  EXPECT_THAT(names(), IsEmpty()) << "a crash would leave it behind";
}

TEST_F(SpoolTest, WithoutRoomItSaysSo) {
  struct Limit {  // of this process, for the length of the test
    Limit() {
      ::getrlimit(RLIMIT_FSIZE, &before);
      handler = std::signal(SIGXFSZ, SIG_IGN);
      const rlimit small{1000, before.rlim_max};
      ::setrlimit(RLIMIT_FSIZE, &small);
    }
    ~Limit() {
      ::setrlimit(RLIMIT_FSIZE, &before);
      std::signal(SIGXFSZ, handler);
    }
    rlimit before{};
    void (*handler)(int);
  };
  Spool spool(folder);
  const auto file = spool.create().value();
  const Limit limit;
  EXPECT_TRUE(file->append(std::string(1000, 'x')));
  const auto more = file->append("x");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().kind(), ErrorKind::spool_full);
  EXPECT_EQ(to_string(more.error().kind()), "spool_full");
}

TEST_F(SpoolTest, WithoutItsFolderItSaysWhich) {
  Spool spool(folder / "gone");
  const auto file = spool.create();
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().kind(), ErrorKind::bad_config);
  EXPECT_THAT(file.error().message(), HasSubstr((folder / "gone").string()));
}

TEST_F(SpoolTest, IsFreedOnItsOwnThread) {
  Spool spool(folder);
  auto file = spool.create().value();
  std::promise<void> go_on;
  boost::asio::post(spool.writer(), [&go_on] { go_on.get_future().wait(); });
  file.reset();
  EXPECT_EQ(open(), 1u) << "whoever let go of it would have waited for the disk";
  std::promise<void> freed;
  boost::asio::post(spool.writer(), [&freed] { freed.set_value(); });
  go_on.set_value();
  freed.get_future().wait();
  EXPECT_EQ(open(), 0u);
}

TEST_F(SpoolTest, APassageKeepsLittleOfItInMemory) {
  constexpr std::size_t kSize = 48u << 20;
  Spool spool(folder);
  const auto file = spool.create().value();
  for (std::size_t at = 0; at < kSize; at += 1u << 20)
    ASSERT_TRUE(file->append(std::string(1u << 20, static_cast<char>(at >> 20))));
  ASSERT_TRUE(file->map());
  const Body body{std::shared_ptr<const SpoolFile>(file)};
  const auto before = resident_files();
  std::size_t most = 0;
  for (int time = 0; time < 2; ++time) {
    {
      Passage passage(body);
      for (std::size_t at = 0; at < kSize; at += 4096) {
        ASSERT_EQ(body.view()[at], static_cast<char>(at >> 20));
        passage.reached(at);
        if (at % (1u << 20) == 0) most = std::max(most, resident_files());
      }
    }
    EXPECT_LT(resident_files(), before + (1u << 20)) << "what is behind is gone";
  }
  EXPECT_LT(most, before + 3 * Passage::kWindow);
  EXPECT_GT(most, before + Passage::kWindow / 2) << "else this sees nothing";
}

TEST(Body, InMemoryIsItsText) {
  const Body body(std::string("text"));
  EXPECT_EQ(body.view(), "text");
  EXPECT_FALSE(body.spooled());
  body.forget();
  {
    Passage(body).reached(4);
  }
  EXPECT_EQ(body.view(), "text");
  EXPECT_EQ(Body().size(), 0u);
}

}  // namespace
}  // namespace stsync::core
