// Secrets that are rotated, files first or vendor first, and files that hold something wrong.
#include "tokens/rotation.hpp"

#include <set>

#include <gmock/gmock.h>

#include "play.hpp"

namespace stsync::tokens {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Credentials credentials(const std::string& secret) { return {core::Secret("id"), core::Secret(secret)}; }

/// A vendor that knows some secrets, and a file with one.
struct Vendor final : TokenSource {
  awaitable<Result<Fetched>> fetch(Account, core::StopToken) override {
    auto chosen = rotation.choose(read());
    if (!chosen) co_return core::fail(chosen.error());
    shown.push_back(chosen->secret.reveal());
    if (away) co_return core::fail(ErrorKind::network, "away");
    if (!known.contains(shown.back())) {
      rotation.refused();
      co_return core::fail(ErrorKind::unauthorized, "invalid_client");
    }
    rotation.worked();
    co_return Fetched{core::Secret("by " + shown.back()), life, rotation.fell_back()};
  }
  bool has_another(const Account&) const override { return rotation.has_another(); }
  bool changed(const Account&) const override { return rotation.changed(read()); }
  Result<Credentials> read() const {
    if (file.empty()) return core::fail(ErrorKind::bad_config, "empty");
    return credentials(file);
  }
  Rotation rotation;
  std::string file = "old";
  std::set<std::string> known{"old"};
  std::vector<std::string> shown;
  Duration life = 900s;
  bool away = false;
};

struct RotationTest : ::testing::Test {
  Vendor vendor;
  Play play{5, vendor};
  /// How often a caller that asks every second got nothing.
  int failures_in(Duration d) {
    int failures = 0;
    for (const auto start = play.clock.now(); play.clock.now() - start < d; play.clock.run_for(1s))
      if (!play.get()) ++failures;
    return failures;
  }
};

TEST_F(RotationTest, TheFilesChangeFirst) {
  EXPECT_EQ(failures_in(10min), 0);
  vendor.file = "new";
  EXPECT_EQ(failures_in(1h), 0);
  EXPECT_THAT(play.notes.health, ElementsAre(Health::rotating));
  vendor.known = {"old", "new"};
  EXPECT_EQ(failures_in(3h), 0);
  EXPECT_EQ(vendor.shown.back(), "new");
  EXPECT_THAT(play.notes.health, ElementsAre(Health::rotating, Health::working));
  vendor.known = {"new"};
  EXPECT_EQ(failures_in(1h), 0);
}

TEST_F(RotationTest, TheFilesChangeFirstAndTheVendorSwitchesAtOnce) {
  EXPECT_EQ(failures_in(10min), 0);
  vendor.file = "new";
  EXPECT_EQ(failures_in(2h), 0);
  vendor.known = {"new"};
  EXPECT_EQ(failures_in(2h), 0) << "the other one is tried in the same fetch, whichever was first";
  EXPECT_EQ(vendor.shown.back(), "new");
}

TEST_F(RotationTest, TheVendorChangesFirst) {
  EXPECT_EQ(failures_in(10min), 0);
  vendor.known = {"new"};
  EXPECT_EQ(failures_in(4min), 0) << "the token in hand serves on";
  const auto tried = vendor.shown.size();
  EXPECT_GE(tried, 2u);
  vendor.file = "new";
  EXPECT_EQ(failures_in(1h), 0) << "the wait ends when the file changes";
  EXPECT_EQ(vendor.shown[tried], "new");
  EXPECT_THAT(play.notes.health, ElementsAre(Health::refused, Health::working));
}

TEST_F(RotationTest, TheVendorChangesFirstAndTheFileLongAfter) {
  EXPECT_EQ(failures_in(10min), 0);
  vendor.known = {"new"};
  failures_in(2h);
  vendor.file = "new";
  EXPECT_LE(failures_in(1h), 5) << "seconds";
}

TEST_F(RotationTest, AWrongSecretInTheFileIsNotShownAtEachRenewal) {
  EXPECT_EQ(failures_in(1min), 0);
  vendor.file = "wrong";
  vendor.life = 30s;
  EXPECT_EQ(failures_in(24h), 0);
  EXPECT_LE(std::count(vendor.shown.begin(), vendor.shown.end(), "wrong"), 24 * 20);
  EXPECT_THAT(play.notes.health, ElementsAre(Health::rotating)) << "and is told of";
}

TEST_F(RotationTest, AFileThatIsJustBeingReplacedHarmsNobody) {
  EXPECT_EQ(failures_in(10min), 0);
  vendor.file = "";
  EXPECT_EQ(failures_in(1h), 0);
  vendor.file = "new";
  vendor.known = {"new"};
  EXPECT_EQ(failures_in(1h), 0);
}

TEST_F(RotationTest, AnUnreadableFileAtTheStartIsTheConfigurationsFault) {
  vendor.file = "";
  EXPECT_EQ(play.get().error().kind(), ErrorKind::bad_config);
  EXPECT_THAT(vendor.shown, IsEmpty());
  vendor.file = "old";
  play.clock.run_for(1s);
  EXPECT_TRUE(play.get());
}

TEST_F(RotationTest, TwoDeadSecretsAreTriedInTurnAndSeldom) {
  EXPECT_EQ(failures_in(10min), 0);
  const auto before = vendor.shown.size();
  vendor.file = "new";
  vendor.known = {};
  failures_in(12h);
  EXPECT_LE(vendor.shown.size() - before, 12u * 20);
  for (auto i = before; i + 1 < vendor.shown.size(); i += 2) {
    EXPECT_EQ(vendor.shown[i], "new");
    EXPECT_EQ(vendor.shown[i + 1], "old");
  }
}

TEST(Rotation, AnOutageSaysNothingAboutTheCredentials) {
  Rotation rotation;
  ASSERT_TRUE(rotation.choose(credentials("old")));
  rotation.worked();
  EXPECT_EQ(rotation.choose(credentials("new"))->secret.reveal(), "new");
  EXPECT_FALSE(rotation.has_another()) << "no answer";
  EXPECT_EQ(rotation.choose(credentials("new"))->secret.reveal(), "new");
  rotation.refused();
  EXPECT_TRUE(rotation.has_another());
  EXPECT_EQ(rotation.choose(credentials("new"))->secret.reveal(), "old");
  EXPECT_FALSE(rotation.has_another());
  rotation.refused();
  EXPECT_FALSE(rotation.has_another()) << "both were tried";
}

TEST(Rotation, TheConfiguredOnesAreTheOtherWhereTheOldWereFirst) {
  Rotation rotation;
  ASSERT_TRUE(rotation.choose(credentials("old")));
  rotation.worked();
  ASSERT_TRUE(rotation.choose(credentials("new")));
  rotation.refused();
  ASSERT_TRUE(rotation.choose(credentials("new")));
  rotation.worked();
  EXPECT_TRUE(rotation.fell_back());
  EXPECT_EQ(rotation.choose(credentials("new"))->secret.reveal(), "old") << "they worked last time";
  rotation.refused();
  EXPECT_TRUE(rotation.has_another());
  EXPECT_EQ(rotation.choose(credentials("new"))->secret.reveal(), "new");
  rotation.worked();
  EXPECT_FALSE(rotation.fell_back());
  EXPECT_EQ(rotation.choose(credentials("new"))->secret.reveal(), "new");
}

TEST(Rotation, ANewFileIsShownAtOnceWhateverTheOneBeforeWas) {
  Rotation rotation;
  ASSERT_TRUE(rotation.choose(credentials("old")));
  rotation.worked();
  ASSERT_TRUE(rotation.choose(credentials("wrong")));
  rotation.refused();
  ASSERT_TRUE(rotation.choose(credentials("wrong")));
  rotation.worked();
  EXPECT_EQ(rotation.choose(credentials("right"))->secret.reveal(), "right");
}

TEST(Rotation, TheFirstCredentialsHaveNoOther) {
  Rotation rotation;
  ASSERT_TRUE(rotation.choose(credentials("wrong")));
  rotation.refused();
  EXPECT_FALSE(rotation.has_another());
  EXPECT_FALSE(rotation.changed(credentials("wrong")));
  EXPECT_TRUE(rotation.changed(credentials("new")));
  EXPECT_FALSE(rotation.changed(core::fail(ErrorKind::bad_config, "empty")));
}

}  // namespace
}  // namespace stsync::tokens
