#include "webhook/secrets.hpp"

#include <cstdio>
#include <fstream>

#include <gtest/gtest.h>

namespace stsync::webhook {
namespace {

using namespace std::chrono_literals;

struct SecretFilesTest : ::testing::Test {
  std::string path(const char* name) const { return ::testing::TempDir() + "stsync_webhook_" + std::to_string(::getpid()) + name; }
  void write(const char* name, const std::string& text) { std::ofstream(path(name)) << text; }
  ~SecretFilesTest() override {
    for (const auto* name : {"old", "new"}) std::remove(path(name).c_str());
  }
  static std::vector<std::string> texts(std::span<const core::Secret> secrets) {
    std::vector<std::string> out;
    for (const auto& s : secrets) out.push_back(s.reveal());
    return out;
  }
  core::TimePoint now{1000s};
};

using Texts = std::vector<std::string>;

TEST_F(SecretFilesTest, F5_ARotationIsSeenWithinASecondAndBothLive) {
  write("old", "first\n");
  write("new", "second");
  SecretFiles files("acme", {path("old"), path("new")});
  EXPECT_EQ(texts(files.live(now)), (Texts{"first", "second"}));
  write("old", "third");
  EXPECT_EQ(texts(files.live(now + 999ms)), (Texts{"first", "second"})) << "no file is read for each event";
  EXPECT_EQ(texts(files.live(now + 1s)), (Texts{"third", "second"}));
}

TEST_F(SecretFilesTest, AFileThatIsGoneOrEmptyForAWhileKeepsItsSecret) {
  write("old", "first");
  SecretFiles files("acme", {path("old"), path("new")});
  EXPECT_EQ(texts(files.live(now)), (Texts{"first"}));
  std::remove(path("old").c_str());
  EXPECT_EQ(texts(files.live(now + 1s)), (Texts{"first"}));
  write("old", "\n");
  write("new", "second");
  EXPECT_EQ(texts(files.live(now + 2s)), (Texts{"first", "second"}));
}

}  // namespace
}  // namespace stsync::webhook
