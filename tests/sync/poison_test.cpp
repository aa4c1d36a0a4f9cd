// What becomes of a command or a job that crashed the worker twice.
#include "sync/poison.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sync/names.hpp"

namespace stsync::sync {
namespace {

using ::testing::HasSubstr;

core::CrashNote note(std::string detail) {
  return {1'780'000'000, 11, "command/st.commands/3/17/1764154990123", std::move(detail)};
}

TEST(PoisonCommand, C18_IsCalledByItsPlaceAndTime) {
  kafka::Message m;
  m.topic = "st.commands";
  m.partition = 3;
  m.offset = 17;
  m.timestamp_ms = 1'764'154'990'123;
  EXPECT_EQ(crash_name(m), "command/st.commands/3/17/1764154990123");
  m.timestamp_ms = 1;
  EXPECT_NE(crash_name(m), "command/st.commands/3/17/1764154990123") << "another one in its place";
}

TEST(PoisonCommand, C18_IsRejectedWithWhatIsKnownOfIt) {
  v1::Command command;
  command.set_app("acme");
  command.set_tenant(1001);
  command.set_id("nightly-1");
  const auto told = poison_command(note(crash_detail(command)));
  EXPECT_EQ(told.code, "poison");
  EXPECT_THAT(told.message, HasSubstr("crashed the worker twice (signal 11, lately at 2026-05-28T20:26:40.000Z)"));
  ASSERT_TRUE(told.command);
  EXPECT_EQ(told.command->SerializeAsString(), command.SerializeAsString());
}

TEST(PoisonCommand, C18_WhatANoteDoesNotTellRightIsNotToldAtAll) {
  for (const auto* detail : {"", "job", "job/", "job/acme", "job/acme/1001", "job/acme/1001/", "job/acme/x/id", "job/acme/1001/a b",
                             "stream/acme/1001/id", "job/acme/1001/id/more", "job/acme/99999999999999999999/id", "job//1001/id/",
                             "////", "job/acme/+1/id", "job/acme/01/id"}) {
    const auto told = poison_command(note(detail));
    EXPECT_FALSE(told.command) << detail;
    EXPECT_EQ(told.code, "poison") << detail;
  }
}

TEST(PoisonJob, C18_FailsForGoodAndSaysWhy) {
  const auto why = poison_job(note(""));
  EXPECT_EQ(why.code(), "poison");
  EXPECT_FALSE(why.retryable());
  EXPECT_THAT(why.message(), HasSubstr("crashed the worker twice"));
}

}  // namespace
}  // namespace stsync::sync
