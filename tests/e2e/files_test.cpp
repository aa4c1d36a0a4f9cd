// Files of the vendor with the real program and a real Kafka.
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/store.hpp"
#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::SizeIs;

/// The simulator's files have 3,000 to 6,000 bytes.
constexpr std::size_t kLargest = 5u << 10;

struct Files : ::testing::Test {
  explicit Files(std::size_t records = 30) {
    overrides = testing::TempDir() + fmt::format("stsync-files-{}.yaml", ::getpid());
    std::ofstream(overrides) << "resources:\n"
                                "  telecom.call-recordings: {files: true, max_file: 5KiB}\n"
                                "  forms.job-attachment-files: {files: true}\n"
                                "  pricebook.images: {files: true}\n";
    stage = std::make_unique<Stage>(StageOptions{.records = records, .sets = {"catalogue.overrides=" + overrides}});
    worker = stage->start_worker();
  }
  ~Files() override { std::filesystem::remove(overrides); }

  Finished sync(const std::string& resource, std::vector<std::string> more) const {
    std::vector<std::string> command{"sync", "--resource", resource, "--wait"};
    command.insert(command.end(), more.begin(), more.end());
    return stage->stsync(command);
  }
  std::map<std::string, std::string> published(const std::string& resource) const {
    std::map<std::string, std::string> out;
    for (const auto& m : stage->read({"st." + resource})) {
      EXPECT_TRUE(out.emplace(*m.key, sim::record_hash(*m.key, *m.value).hex()).second) << "twice: " << *m.key;
      EXPECT_LE(m.value->size(), resource.starts_with("telecom") ? kLargest : 6000);
    }
    return out;
  }
  std::map<std::string, std::string> truth(const std::string& resource) const {
    std::map<std::string, std::string> out;
    for (const auto& told : json_rows(stage->control("/__sim/truth?rows=true&resource=" + resource)))
      for (const auto& row : json_rows(told.at("rows"))) out[row.at("key")] = row.at("hash");
    return out;
  }

  std::string overrides;
  std::unique_ptr<Stage> stage;
  std::unique_ptr<Process> worker;
};

TEST_F(Files, OfEveryParentArePublishedButThoseTooLarge) {
  const auto done = sync("telecom.call-recordings", {"--mode", "full"});
  EXPECT_EQ(done.code, 0) << done.err;
  auto expected = truth("telecom.call-recordings");
  EXPECT_THAT(expected, SizeIs(30)) << "every call has one";
  const auto letters = stage->read({"st.dlq"});
  for (const auto& m : letters) {
    EXPECT_EQ(expected.erase(*m.key), 1u) << *m.key;
    EXPECT_EQ(m.value, std::optional<std::string>("")) << "without the file";
    ASSERT_NE(m.header("st-error-code"), nullptr);
    EXPECT_EQ(*m.header("st-error-code"), "too_large");
  }
  EXPECT_FALSE(letters.empty());
  EXPECT_EQ(published("telecom.call-recordings"), expected);
  EXPECT_THAT(done.out, HasSubstr(fmt::format("\"dead_letters\":{}", letters.size())));

  const auto again = sync("telecom.call-recordings", {});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(published("telecom.call-recordings"), expected) << "no call has changed since: no file is read again";
}

struct ManyFiles : Files {
  ManyFiles() : Files(700) {}
};

/// More calls than fit the first page of them, so that pages grow and the window is split before the kill.
TEST_F(ManyFiles, AreThereOnceAfterAKill) {
  Process sync(stage->command({"sync", "--resource", "telecom.call-recordings", "--mode", "full", "--wait"}));
  ASSERT_TRUE(sync.wait_for_text("progress", 60s, 4)) << sync.err();
  worker->signal(SIGKILL);
  worker->wait(10s);
  worker = stage->start_worker();
  EXPECT_EQ(sync.wait(120s), 0) << sync.err();
  auto expected = truth("telecom.call-recordings");
  EXPECT_THAT(expected, SizeIs(700));
  for (const auto& m : stage->read({"st.dlq"})) EXPECT_EQ(expected.erase(*m.key), 1u) << "twice: " << *m.key;
  EXPECT_EQ(published("telecom.call-recordings"), expected);
}

TEST_F(Files, LieBehindOtherRowsOrAtTheStorage) {
  const auto attached = sync("forms.job-attachment-files", {"--mode", "full"});
  EXPECT_EQ(attached.code, 0) << attached.err;
  const auto expected = truth("forms.job-attachment-files");
  EXPECT_EQ(expected.size(), truth("forms.job-attachments").size());
  EXPECT_EQ(published("forms.job-attachment-files"), expected);

  const auto images = sync("pricebook.images", {"--ids", "Images/a b.jpg,Images/c.png"});
  EXPECT_EQ(images.code, 0) << images.err;
  EXPECT_EQ(published("pricebook.images"), truth("pricebook.images"));
  EXPECT_THAT(published("pricebook.images"), Contains(Key("1001:Images%2Fa b.jpg")));

  const auto refused = sync("telecom.call-voicemails", {"--mode", "full"});
  EXPECT_NE(refused.code, 0);
  EXPECT_THAT(refused.out + refused.err, HasSubstr("files: true")) << "they are read only where they are asked for";
}

}  // namespace
}  // namespace stsync::test
