// Rows of cells as objects: names in, brackets changed, every cell as it was.
#include "codec/columns.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/page.hpp"
#include "codec/redact.hpp"

namespace stsync::codec {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const RecordFields kCells{.key = {}, .modified = {}, .columns = true};

std::string object(std::string_view fields, std::string_view row) {
  const auto columns = Columns::read(fields).value();
  std::string out;
  columns.append(out, row);
  EXPECT_EQ(out.size(), columns.size(row));
  EXPECT_TRUE(check_json(out)) << out;
  return out;
}

TEST(Columns, MakeAnObjectOfARowAndKeepItsCellsAndBlanks) {
  EXPECT_EQ(object(R"([{"name":"Id","label":"x"},{"label":"y","name":"Total \u2013 net"}])", "[1.50, \"a]b\"]"),
            R"({"Id":1.50, "Total \u2013 net":"a]b"})");
  EXPECT_EQ(object(R"([{"name":"A"}])", "[ {\"x\" : [1,2]} ]"), "{ \"A\":{\"x\" : [1,2]} }");
  EXPECT_EQ(object(R"([{"name":"A"},{"name":"B"}])", "[null,1e400]"), R"({"A":null,"B":1e400})");
}

TEST(Columns, GiveASecondColumnOfANameANumber) {
  const auto names =
      Columns::read(R"([{"name":"Total"},{"name":"Total"},{"name":"Total_2"},{"name":"T\u006ftal"}])").value().names();
  EXPECT_THAT(names, ElementsAre(R"("Total")", R"("Total_3")", R"("Total_2")", R"("T\u006ftal_4")"));
}

TEST(Columns, TellLayoutsApart) {
  const auto layout = [](const char* fields) { return Columns::read(fields).value().layout(); };
  EXPECT_EQ(layout(R"([{"name":"A"},{"name":"B"}])"), layout(R"([ {"name":"A","label":"other"}, {"name":"B"} ])"));
  EXPECT_NE(layout(R"([{"name":"A"},{"name":"B"}])"), layout(R"([{"name":"B"},{"name":"A"}])"));
  EXPECT_NE(layout(R"([{"name":"A\nB"}])"), layout(R"([{"name":"A"},{"name":"B"}])"));
}

TEST(Columns, RefuseWhatNamesNothing) {
  for (const auto* fields : {"", "{}", "[]", "[1]", R"([{"name":""}])", R"([{"label":"A"}])", R"([{"name":5}])"})
    EXPECT_FALSE(Columns::read(fields)) << fields;
}

TEST(Columns, ComeWithThePageWhereverItsFieldsStand) {
  for (const std::string body : {R"({"data":[[1,2],[3,4]],"fields":[{"name":"A"},{"name":"B"}]})",
                                 R"({"fields":[{"name":"A"},{"name":"B"}],"data":[[1,2],[3,4]]})"}) {
    const auto page = cut_page(body, kCells).value();
    ASSERT_EQ(page.records.size(), 2u);
    EXPECT_EQ(page.records[1].bytes.in(body), "[3,4]");
    EXPECT_EQ(page.records[1].size, std::string(R"({"A":3,"B":4})").size());
  }
}

TEST(Columns, RefuseRowsThatDoNotFitThem) {
  for (const std::string body : {R"({"data":[[1,2],[3]],"fields":[{"name":"A"},{"name":"B"}]})",
                                 R"({"data":[[1,2,3]],"fields":[{"name":"A"},{"name":"B"}]})",
                                 R"({"data":[{"A":1}],"fields":[{"name":"A"}]})", R"({"data":[[1]]})"}) {
    const auto page = cut_page(body, kCells);
    ASSERT_FALSE(page) << body;
    EXPECT_EQ(page.error().kind(), core::ErrorKind::malformed);
  }
  EXPECT_TRUE(cut_page(R"({"data":[]})", kCells)) << "nothing to name";
}

TEST(Columns, AreRedactedAsTheFieldsTheyBecome) {
  auto fields = kCells;
  fields.redactor = std::make_shared<const Redactor>(std::vector<std::string>{"B"}, std::vector<std::string>{});
  const std::string body = R"({"data":[[1,"secret"]],"fields":[{"name":"A"},{"name":"B"}]})";
  EXPECT_EQ(cut_page(body, fields).value().records[0].size, std::string(R"({"A":1})").size());
}

TEST(Text, IsWrittenAsJson) {
  std::string out;
  append_json_text(out, "a\"b\\c\n\x01\xc3\xbc");
  EXPECT_EQ(out, R"("a\"b\\c\u000a\u0001)"
                 "\xc3\xbc\"");
  EXPECT_EQ(json_text(out), "a\"b\\c\n\x01\xc3\xbc");
}

}  // namespace
}  // namespace stsync::codec
