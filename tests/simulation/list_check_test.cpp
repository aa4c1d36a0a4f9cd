#include "simulation/list_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stsync::simulation {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = ListModel::Kind;

constexpr core::WallTime at(int seconds) { return core::WallTime(std::chrono::seconds(seconds)); }

/// Rows 1, 2 and 3 from 10 on; row 4 comes at 80; a job from 100 to 110.
struct Lists : ::testing::TestWithParam<Kind> {
  Lists() {
    for (int i = 0; i < 3; ++i) list.add(at(10));
    list.add(at(80));
  }
  ListCheck::Job job(std::vector<std::pair<std::int64_t, std::size_t>> rows) const {
    ListCheck::Job out{"j", v1::full, {}, {}, at(100), at(110), true, {}, {}};
    for (const auto& [id, n] : rows) out.records.emplace_back("7:" + std::to_string(id), list.row(id, n));
    return out;
  }
  std::vector<std::string> problems(const ListCheck::Job& job) const {
    ListCheck check(list, 7, 30s, 2);
    check.add(job);
    return check.problems();
  }
  ListModel list{"7/some/list", Kind::windowed};
};

TEST_F(Lists, AWindowIsWhole) {
  EXPECT_THAT(problems(job({{1, 0}, {2, 0}, {3, 0}})), IsEmpty());
  EXPECT_THAT(problems(job({{1, 0}, {3, 0}})), ElementsAre(HasSubstr("row 2 was there all the time and is missing")));
  EXPECT_THAT(problems(job({{1, 0}, {2, 0}, {3, 0}, {4, 0}})), ElementsAre(HasSubstr("row 4 is not of its window")));
  EXPECT_THAT(problems(job({{1, 0}, {2, 0}, {3, 0}, {3, 0}})), ElementsAre(HasSubstr("row 3 is there twice")));
}

TEST_F(Lists, ARowThatChangesWhileAJobRunsMayBeMissing) {
  list.change(2, at(105));
  EXPECT_THAT(problems(job({{1, 0}, {3, 0}})), IsEmpty());
  EXPECT_THAT(problems(job({{1, 0}, {2, 0}, {3, 0}})), IsEmpty());
}

TEST_F(Lists, ARowIsPublishedAsItWas) {
  list.change(2, at(50));
  EXPECT_THAT(problems(job({{1, 0}, {2, 1}, {3, 0}})), IsEmpty());
  EXPECT_THAT(problems(job({{1, 0}, {2, 0}, {3, 0}})),
              ElementsAre(HasSubstr("row 2 was not so while it ran"), HasSubstr("row 2 was there all the time")));
  auto other = job({{1, 0}, {2, 1}, {3, 0}});
  other.records[0].second = R"({"id":1,"n":0})";
  EXPECT_THAT(problems(other), ElementsAre(HasSubstr("no row of the vendor's"), HasSubstr("row 1 was there all the time")));
}

TEST_F(Lists, AnIncrementalNeedNotBeWhole) {
  auto some = job({{1, 0}});
  some.mode = v1::incremental;
  EXPECT_THAT(problems(some), IsEmpty());
}

TEST_F(Lists, BeforeTheWatermarkEverythingIsPublished) {
  ListCheck check(list, 7, 30s, 2);
  auto some = job({{1, 0}, {2, 0}});
  some.mode = v1::incremental;
  check.add(some);
  check.check_watermark(at(10), {});
  check.check_watermark(at(70), at(20));
  EXPECT_THAT(check.problems(), IsEmpty());
  check.check_watermark(at(70), {});
  EXPECT_THAT(check.problems(), ElementsAre(HasSubstr("row 3 changed before the watermark and was never published")));
}

struct Snapshots : Lists {
  Snapshots() {
    for (int i = 0; i < 3; ++i) plain.add(at(10));
  }
  std::vector<std::string> problems(int rows, int count, std::size_t markers = 2) const {
    ListCheck::Job out{"j", v1::full, {}, {}, at(100), at(110), true, {}, {}};
    for (int id = 1; id <= rows; ++id) out.records.emplace_back("7:" + std::to_string(id), plain.row(id, 0));
    out.markers.assign(markers, R"({"count":)" + std::to_string(count) + R"(,"to_seq":)" + std::to_string(rows - 1) + "}");
    ListCheck check(plain, 7, 30s, 2);
    check.add(out);
    return check.problems();
  }
  ListModel plain{"7/some/list", Kind::plain};
};

TEST_F(Snapshots, HoldTheRowsOfOneMoment) {
  EXPECT_THAT(problems(3, 3), IsEmpty());
  EXPECT_THAT(problems(2, 2), ElementsAre(HasSubstr("are those of no moment")));
  plain.add(at(105));
  EXPECT_THAT(problems(3, 3), IsEmpty());
  EXPECT_THAT(problems(4, 4), IsEmpty());
  plain.take_away(1, at(107));
  EXPECT_THAT(problems(4, 3), IsEmpty()) << "row 1 was read before it was taken away";
}

TEST_F(Snapshots, HaveAMarkerInEachPartition) {
  EXPECT_THAT(problems(3, 3, 1), ElementsAre(HasSubstr("has 1 markers")));
  EXPECT_THAT(problems(3, 3, 0), ElementsAre(HasSubstr("has 0 markers")));
}

}  // namespace
}  // namespace stsync::simulation
