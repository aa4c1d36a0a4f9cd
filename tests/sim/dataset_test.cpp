#include "sim/store.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include "codec/page.hpp"
#include "core/text.hpp"
#include "sim/feed_token.hpp"

namespace stsync::sim {
namespace {

std::string member(const std::string& json, const std::string& name) { return std::string(codec::json_field(json, name)); }

const Resource& jobs() { return *Schema::get().find("jpm.jobs"); }

std::string all_rows(std::int64_t tenant, std::uint64_t seed, const Resource& resource, Dataset::Index rows, std::size_t bytes) {
  Writers writers(bytes);
  const Store store(tenant, seed, rows, writers);
  std::string out;
  for (Dataset::Index i = 0; i < std::min(rows, store.of(resource).size()); ++i) {
    if (i > 0) out += ',';
    store.append(out, *resource.source(), i);
  }
  return out;
}

TEST(Dataset, TheSameSeedGivesTheSameRows) {
  EXPECT_EQ(all_rows(1001, 7, jobs(), 50, 800), all_rows(1001, 7, jobs(), 50, 800));
  EXPECT_NE(all_rows(1001, 7, jobs(), 50, 800), all_rows(1002, 7, jobs(), 50, 800));
  EXPECT_NE(all_rows(1001, 7, jobs(), 50, 800), all_rows(1001, 8, jobs(), 50, 800));
}

TEST(Dataset, IdsAreUniqueAndFoundAgain) {
  for (const Dataset::Index rows : {1u, 2u, 97u, 1000u}) {
    const Dataset data(jobs(), 1001, 7, rows, {});
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
  const Dataset data(jobs(), 1001, 7, 2000, {});
  Dataset::Position at;
  std::set<std::int64_t> ids;
  bool ids_ascend = true;
  while (true) {
    const auto slice = data.feed(at, INT64_MAX, 1);
    if (slice.rows.empty()) break;
    EXPECT_LT(at, slice.last);
    ids_ascend = ids_ascend && slice.last.id > at.id;
    ids.insert(slice.last.id);
    at = slice.last;
  }
  EXPECT_EQ(ids.size(), 2000u);
  EXPECT_FALSE(ids_ascend);
}

TEST(Dataset, RowsHaveAboutTheirSizeWhereThereIsATextToFill) {
  for (const auto* name : {"jpm.jobs", "accounting.invoices", "jpm.appointments", "crm.leads"}) {
    const auto size = all_rows(1001, 7, *Schema::get().find(name), 200, 5000).size() / 200;
    EXPECT_GT(size, 4500u) << name;
    EXPECT_LT(size, 5500u) << name;
  }
}

TEST(Dataset, RowsAreJsonInUtf8) {
  for (const auto& resource : Schema::get().resources()) {
    if (resource.source() == nullptr || resource.source()->shape == Shape::binary) continue;
    const auto text = "[" + all_rows(1001, 7, resource, 100, 1500) + "]";
    rapidjson::MemoryStream stream(text.data(), text.size());
    rapidjson::BaseReaderHandler<> nobody;
    rapidjson::Reader reader;
    const auto result = reader.Parse<rapidjson::kParseValidateEncodingFlag>(stream, nobody);
    EXPECT_FALSE(result.IsError()) << resource.name << " at "
                                   << text.substr(result.Offset() - std::min<std::size_t>(40, result.Offset()), 80);
  }
}

TEST(Dataset, AboutOneRowInTwentyIsInactive) {
  const Dataset data(jobs(), 1001, 7, 4000, {});
  int inactive = 0;
  for (Dataset::Index i = 0; i < data.size(); ++i) inactive += data.facts(i).active ? 0 : 1;
  EXPECT_GT(inactive, 120);
  EXPECT_LT(inactive, 300);
}

TEST(Dataset, ChangedRowsMoveToTheEnd) {
  Dataset data(jobs(), 1001, 7, 100, {});
  const auto touched = to_ticks(core::parse_utc("2026-01-01").value());
  for (int i = 0; i < 60; ++i) {
    const auto row = data.next_in_turn();
    data.change({&row, 1}, touched);
  }
  data.enlarge(5000);
  auto slice = data.feed({}, INT64_MAX, 100);
  EXPECT_EQ(slice.rows.size(), 100u) << "a changed row appears once";
  EXPECT_FALSE(slice.more);
  EXPECT_GE(slice.last.modified, touched);
  slice = data.feed({}, touched - 1, 100);
  EXPECT_EQ(slice.rows.size(), 100u - 60u) << "and not before its time";
}

TEST(Dataset, WhatVanishesIsInTheFeedOnly) {
  Dataset data(jobs(), 1001, 7, 100, {});
  const auto time = to_ticks(core::parse_utc("2026-01-01").value());
  data.vanish(5, time);
  const auto added = data.appear(time);
  EXPECT_EQ(data.id_of(added), data.facts(added).id);
  EXPECT_GT(data.id_of(added), data.id_of(99));
  Dataset::Filter any;
  any.active = std::nullopt;
  const auto listed = data.select(any);
  EXPECT_EQ(listed->size(), 100u);
  EXPECT_EQ(std::count(listed->begin(), listed->end(), 5u), 0);
  const auto slice = data.feed({}, INT64_MAX, 1000);
  EXPECT_EQ(slice.rows.size(), 101u);
  EXPECT_EQ(std::vector(slice.rows.end() - 2, slice.rows.end()), (std::vector<Dataset::Index>{5, added}));
  EXPECT_FALSE(data.facts(5).active);
}

TEST(Dataset, RowsChangedTogetherHaveOneTimeAndNoneThatCouldHaveBeenRead) {
  Dataset data(jobs(), 1001, 7, 100, {});
  const auto time = to_ticks(core::parse_utc("2026-01-01").value());
  const std::vector<Dataset::Index> first{1, 2, 3}, second{4};
  data.change(first, time);
  data.change(second, time);
  EXPECT_EQ(data.facts(1).modified, data.facts(3).modified);
  EXPECT_GT(data.facts(4).modified, data.facts(3).modified);
}

TEST(Store, ChildrenBelongToTheirParents) {
  Writers writers(300);
  const Store store(1001, 7, 50, writers);
  const auto& notes = *Schema::get().find("jpm.job-notes")->endpoint(Role::children);
  auto& data = store.of(*notes.resource);
  std::size_t rows = 0;
  for (Dataset::Index parent = 0; parent < 50; ++parent) {
    const auto parameters = store.bound(notes, parent);
    ASSERT_EQ(parameters.size(), 1u);
    EXPECT_EQ(parameters[0].second, std::to_string(store.of(jobs()).id_of(parent)));
    EXPECT_EQ(store.parent_by(notes, parameters), parent);
    rows += data.of_parent(parent).size();
  }
  EXPECT_EQ(rows, 50u);
  store.of(jobs()).vanish(7, 1);
  EXPECT_FALSE(store.parent_by(notes, store.bound(notes, 7)));
}

TEST(Store, WhatGoesWithItsParentIsNoLongerTrue) {
  Writers writers(300);
  const Store store(1001, 7, 30, writers);
  const auto& notes = *Schema::get().find("crm.customer-notes");
  const auto count = [&] {
    std::size_t out = 0;
    store.each_record(notes, [&](const std::string&, const std::string&) { ++out; });
    return out;
  };
  EXPECT_EQ(count(), 30u);
  auto& data = store.of(notes);
  const auto parent = data.parent_of(0);
  const auto gone = data.of_parent(parent).size();
  store.of(*Schema::get().find("crm.customers")).vanish(parent, 1);
  EXPECT_EQ(count(), 30u - gone);
}

TEST(Store, NumbersOfOtherResourcesAreThose) {
  Writers writers(300);
  const Store store(1001, 7, 40, writers);
  const auto& list = *Schema::get().find("crm.locations")->endpoint(Role::list);
  const auto& customers = store.of(*Schema::get().find("crm.customers"));
  for (Dataset::Index i = 0; i < 40; ++i) {
    const auto row = store.row(list, i);
    const auto id = core::parse_int(member(row, "customerId"));
    ASSERT_TRUE(id) << row;
    EXPECT_TRUE(customers.find(*id)) << row;
  }
}

TEST(IdText, IsReadBackWhateverItsForm) {
  for (const auto form : {Scalar::int64, Scalar::guid, Scalar::string})
    for (const std::int64_t id : {std::int64_t{1}, std::int64_t{90'000'000'001}, (std::int64_t{1} << 53) + 12345}) {
      EXPECT_EQ(read_id(form, id_text(form, id)), id);
      EXPECT_FALSE(read_id(form, id_text(form, id) + "x"));
    }
  EXPECT_FALSE(read_id(Scalar::guid, "00000000-0000-4000-8000-000000000000"));
}

TEST(RecordKey, IsMadeAsTheCatalogueSays) {
  const std::string row = R"({"id":5,"a":"x/y%","leadCall":{"id":7},"n":null})";
  EXPECT_EQ(record_key("id", row, {}, 0), "5");
  EXPECT_EQ(record_key("leadCall.id", row, {}, 0), "7");
  EXPECT_EQ(record_key("$p+a+#row", row, {{"p", "q"}}, 3), "q/x%2Fy%25/3");
  EXPECT_EQ(record_key("=current", row, {}, 0), "current");
  EXPECT_EQ(record_key("n", row, {}, 0), "#" + core::sha256_hex(row).substr(0, 32)) << "no key";
}

TEST(Dataset, SelectsAndSorts) {
  Dataset data(jobs(), 1001, 7, 500, {});
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

TEST(Sum128, Carries) {
  Sum128 a{0, ~std::uint64_t{0}};
  a += {0, 1};
  EXPECT_EQ(a.hex(), "00000000000000010000000000000000");
}

TEST(RecordHash, IsTheFirstHalfOfASha256WithANulBetween) {
  EXPECT_EQ(record_hash("1001:5", "{\"id\":5}").hex(), core::sha256_hex(std::string("1001:5\0", 7), "{\"id\":5}").substr(0, 32));
}

TEST(FeedToken, BelongsToOneFeed) {
  const Dataset a(jobs(), 1001, 7, 10, {});
  const Dataset other_tenant(jobs(), 1002, 7, 10, {});
  const Dataset other_feed(*Schema::get().find("jpm.projects"), 1001, 7, 10, {});
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
