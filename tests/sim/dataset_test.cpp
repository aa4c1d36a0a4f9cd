#include "sim/dataset.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include "core/text.hpp"
#include "sim/feed_token.hpp"

namespace stsync::sim {
namespace {

const Resource& jobs() { return *find_resource("jpm.jobs"); }

std::string all_rows(const Dataset& data) {
  std::string out;
  data.append_export(out, {}, INT64_MAX, data.size());
  return out;
}

TEST(Dataset, TheSameSeedGivesTheSameRows) {
  const Dataset a(jobs(), 1001, 7, 50, 800);
  const Dataset b(jobs(), 1001, 7, 50, 800);
  const Dataset other_tenant(jobs(), 1002, 7, 50, 800);
  const Dataset other_seed(jobs(), 1001, 8, 50, 800);
  EXPECT_EQ(all_rows(a), all_rows(b));
  EXPECT_NE(all_rows(a), all_rows(other_tenant));
  EXPECT_NE(all_rows(a), all_rows(other_seed));
}

TEST(Dataset, IdsAreUniqueAndFoundAgain) {
  for (const Dataset::Index rows : {1u, 2u, 97u, 1000u}) {
    const Dataset data(jobs(), 1001, 7, rows, 800);
    std::set<std::int64_t> ids;
    for (Dataset::Index i = 0; i < rows; ++i) {
      ids.insert(data.id_of(i));
      EXPECT_EQ(data.find(data.id_of(i)), i);
    }
    EXPECT_EQ(ids.size(), rows);
    EXPECT_FALSE(data.find(*ids.begin() - 1));
    EXPECT_FALSE(data.find(*ids.rbegin() + 7));
    EXPECT_GT(*ids.begin(), std::int64_t{1} << 53);
  }
}

TEST(Dataset, TheFeedsOrderIsThatOfModificationAndNotOfIds) {
  const Dataset data(jobs(), 1001, 7, 2000, 300);
  Dataset::Position at;
  std::set<std::int64_t> ids;
  bool ids_ascend = true;
  while (true) {
    std::string row;
    const auto slice = data.append_export(row, at, INT64_MAX, 1);
    if (slice.rows == 0) break;
    EXPECT_LT(at, slice.last);
    ids_ascend = ids_ascend && slice.last.id > at.id;
    ids.insert(slice.last.id);
    at = slice.last;
  }
  EXPECT_EQ(ids.size(), 2000u);
  EXPECT_FALSE(ids_ascend);
}

TEST(Dataset, RowsHaveAboutTheirSize) {
  for (const auto& resource : resources()) {
    const Dataset data(resource, 1001, 7, 200, 1500);
    const auto size = all_rows(data).size() / 200;
    EXPECT_GT(size, 1350u) << resource.name;
    EXPECT_LT(size, 1650u) << resource.name;
  }
}

TEST(Dataset, RowsAreJsonInUtf8) {
  for (const auto& resource : resources()) {
    const Dataset data(resource, 1001, 7, 300, 1500);
    const auto text = "[" + all_rows(data) + "]";
    rapidjson::MemoryStream stream(text.data(), text.size());
    rapidjson::BaseReaderHandler<> nobody;
    rapidjson::Reader reader;
    const auto result = reader.Parse<rapidjson::kParseValidateEncodingFlag>(stream, nobody);
    EXPECT_FALSE(result.IsError()) << resource.name << " at "
                                   << text.substr(result.Offset() - std::min<std::size_t>(40, result.Offset()), 80);
    EXPECT_NE(text.find("\\n"), std::string::npos) << resource.name;
  }
}

TEST(Dataset, AboutOneRowInTwentyIsInactive) {
  const Dataset data(jobs(), 1001, 7, 4000, 300);
  int inactive = 0;
  for (Dataset::Index i = 0; i < data.size(); ++i) inactive += data.facts(i).active ? 0 : 1;
  EXPECT_GT(inactive, 120);
  EXPECT_LT(inactive, 300);
}

TEST(Dataset, ChangedRowsMoveToTheEndAndTheTruthFollows) {
  Dataset data(jobs(), 1001, 7, 100, 300);
  EXPECT_FALSE(data.advance_truth(50));
  Dataset same(jobs(), 1001, 7, 100, 300);
  const auto touched = to_ticks(core::parse_utc("2026-01-01").value());
  data.touch(30, touched);
  data.touch(30, touched);
  data.enlarge(5000);
  same.touch(30, touched);
  same.touch(30, touched);
  same.enlarge(5000);
  EXPECT_EQ(data.truth().hex(), same.truth().hex()) << "whenever the changes came";
  std::string rows;
  auto slice = data.append_export(rows, {}, INT64_MAX, 100);
  EXPECT_EQ(slice.rows, 100u) << "a changed row appears once";
  EXPECT_FALSE(slice.more);
  EXPECT_GE(slice.last.modified, touched);
  slice = data.append_export(rows, {}, touched - 1, 100);
  EXPECT_EQ(slice.rows, 100u - 60u) << "and not before its time";
}

TEST(Dataset, SelectsAndSorts) {
  Dataset data(jobs(), 1001, 7, 500, 300);
  Dataset::Filter filter;
  filter.active = std::nullopt;
  filter.sort = "+Id";
  const auto all = data.select(filter);
  EXPECT_EQ(all->size(), 500u);
  EXPECT_TRUE(std::is_sorted(all->begin(), all->end()));
  EXPECT_EQ(data.select(filter), all) << "kept";
  filter.sort = "-ModifiedOn";
  filter.modified_from = data.facts(10).modified;
  const auto window = data.select(filter);
  EXPECT_LT(window->size(), 500u);
  EXPECT_EQ(window->back(), 10u) << "the bound itself is inside, and the oldest";
  filter.modified_before = filter.modified_from;
  EXPECT_TRUE(data.select(filter)->empty());
}

TEST(Sum128, CarriesAndBorrows) {
  Sum128 a{0, ~std::uint64_t{0}};
  a += {0, 1};
  EXPECT_EQ(a.hex(), "00000000000000010000000000000000");
  a -= {0, 1};
  EXPECT_EQ(a.hex(), "0000000000000000ffffffffffffffff");
  a -= {1, 0};
  EXPECT_EQ(a.hex(), "ffffffffffffffffffffffffffffffff");
}

TEST(RecordHash, IsTheFirstHalfOfASha256WithANulBetween) {
  EXPECT_EQ(record_hash("1001:5", "{\"id\":5}").hex(), core::sha256_hex(std::string("1001:5\0", 7), "{\"id\":5}").substr(0, 32));
}

TEST(FeedToken, BelongsToOneFeed) {
  const Dataset a(jobs(), 1001, 7, 10, 300);
  const Dataset other_tenant(jobs(), 1002, 7, 10, 300);
  const Dataset other_feed(*find_resource("jpm.projects"), 1001, 7, 10, 300);
  const Dataset::Position at{1234567890123456789, -1};
  const auto token = make_feed_token(7, a, at);
  EXPECT_EQ(read_feed_token(7, a, token), at);
  EXPECT_FALSE(read_feed_token(8, a, token));
  EXPECT_FALSE(read_feed_token(7, other_tenant, token));
  EXPECT_FALSE(read_feed_token(7, other_feed, token));
  for (const auto* text : {"", "x", "ffffffffffffffff"}) EXPECT_FALSE(read_feed_token(7, a, text));
  auto broken = token;
  broken[20] = broken[20] == '0' ? '1' : '0';
  EXPECT_FALSE(read_feed_token(7, a, broken));
}

TEST(AppendTime, CutsTrailingZeros) {
  const auto text = [](Ticks t) {
    std::string out;
    append_time(out, t);
    return out;
  };
  const auto base = to_ticks(core::parse_utc("2025-01-02T03:04:05Z").value());
  EXPECT_EQ(text(base), "2025-01-02T03:04:05Z");
  EXPECT_EQ(text(base + 1'234'567), "2025-01-02T03:04:05.1234567Z");
  EXPECT_EQ(text(base + 5'000'000), "2025-01-02T03:04:05.5Z");
  EXPECT_EQ(text(base + 10), "2025-01-02T03:04:05.000001Z");
}

}  // namespace
}  // namespace stsync::sim
