// Where a job begins: the watermark, and how far behind it an override looks back.
#include "servicetitan/plan.hpp"

#include <gtest/gtest.h>

namespace stsync::servicetitan {
namespace {

constexpr std::int64_t kHour = 3'600'000;
constexpr std::int64_t kDay = 24 * kHour;
constexpr std::int64_t kNow = 20'000 * kDay + 5 * kHour;

v1::CrawlState incremental(const std::string& overrides, const std::string& resource, std::int64_t watermark) {
  const auto catalogue = Catalogue::load(overrides, "over.yaml").value();
  v1::Sync sync;
  v1::StreamState stream;
  stream.set_watermark_ms(watermark);
  stream.set_full_ms(kNow);
  return plan({catalogue, *catalogue.find(resource), sync, stream, kNow, kNow}).value().start;
}

TEST(Plan, AnIncrementalOfAListBeginsAtItsWatermarkOrAsMuchBeforeAsItLooksBack) {
  const auto watermark = kNow - 3 * kHour;
  EXPECT_EQ(incremental("", "inventory.vendors", watermark).list().from_ms(), watermark);
  const auto start = incremental("resources: {inventory.vendors: {look_back: 2h}}", "inventory.vendors", watermark).list();
  EXPECT_EQ(start.from_ms(), watermark - 2 * kHour);
  EXPECT_EQ(start.to_ms(), kNow);
}

TEST(Plan, LookingBackNeverMovesTheWatermarkBack) {
  const auto start = incremental("resources: {inventory.vendors: {look_back: 2h}}", "inventory.vendors", kNow + kHour).list();
  EXPECT_GE(start.from_ms(), start.to_ms()) << "nothing has settled since: there is nothing to do";
}

TEST(Plan, LookingBackBeyondAllTimeStaysAnIncremental) {
  EXPECT_EQ(incremental("resources: {inventory.vendors: {look_back: 9d}}", "inventory.vendors", 5).list().from_ms(), 1);
}

v1::CrawlState window(const std::string& resource, std::int64_t from_ms, std::int64_t to_ms) {
  const auto catalogue = Catalogue::load("", "").value();
  v1::Sync sync;
  sync.set_mode(v1::window);
  sync.mutable_from()->set_seconds(from_ms / 1000);
  sync.mutable_to()->set_seconds(to_ms / 1000);
  return plan({catalogue, *catalogue.find(resource), sync, {}, kNow, kNow}).value().start;
}

TEST(Plan, E8_AWindowIsOneOfTimesThatThereHaveBeen) {
  constexpr std::int64_t kYear1 = -62'135'596'800'000;
  const auto all = window("inventory.vendors", kYear1, kNow + 10 * kDay).list();
  EXPECT_EQ(all.from_ms(), 1) << "0 would be another way to read";
  EXPECT_EQ(all.to_ms(), kNow) << "what is to come has not settled";
  const auto future = window("inventory.vendors", kNow + kDay, kNow + 2 * kDay).list();
  EXPECT_GE(future.from_ms(), future.to_ms()) << "nothing to do";
}

TEST(Plan, ChildrenAreLookedBackAtToo) {
  const auto start = incremental("resources: {crm.customer-notes: {look_back: 1d}}", "crm.customer-notes", kNow - kDay).fanout();
  EXPECT_EQ(start.from_ms(), kNow - 2 * kDay);
}

TEST(Plan, StretchesOfTimeBeginThatMuchEarlier) {
  const auto catalogue = Catalogue::load("", "").value();
  for (const auto& [name, resource] : catalogue.all()) {
    const auto* source = resource.source();
    if (source == nullptr || !source->period || source->period->back < std::chrono::days(30)) continue;
    SCOPED_TRACE(name);
    const auto watermark = kNow / kDay * kDay;
    const auto plain = incremental("", name, watermark).period();
    const auto back = incremental("resources: {" + name + ": {look_back: 3d}}", name, watermark).period();
    EXPECT_EQ(plain.begin_ms() - back.begin_ms(), 3 * kDay);
    EXPECT_EQ(plain.end_ms(), back.end_ms());
    return;
  }
  FAIL() << "no list of stretches in the catalogue";
}

}  // namespace
}  // namespace stsync::servicetitan
