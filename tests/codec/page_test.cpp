#include "codec/page.hpp"

#include <gtest/gtest.h>

namespace stsync::codec {
namespace {

Page cut(std::string_view body) {
  auto page = cut_page(body, {});
  EXPECT_TRUE(page) << (page ? "" : page.error().message());
  return page.value_or(Page{});
}

TEST(CutPage, SlicesAreTheExactBytes) {
  const std::string body = "\xef\xbb\xbf";  // a byte order mark is no JSON
  EXPECT_FALSE(cut_page(body + "{}", {}));
  const std::string page_text =
      R"( {"page":1, "pageSize":2 ,"hasMore":false,"totalCount":null,"data":[ {"id":12,"modifiedOn":"2025-01-02T03:04:05.1Z","n":{"id":99}} ,
 {"x":[1,{"id":7}],"s":"}]\"\\","id":"a\u0062", "big":12345678901234567890123,"e":1e400 }
 ]} )";
  const auto page = cut(page_text);
  ASSERT_EQ(page.records.size(), 2u);
  EXPECT_TRUE(page.has_data);
  EXPECT_EQ(page.records[0].bytes.in(page_text), R"({"id":12,"modifiedOn":"2025-01-02T03:04:05.1Z","n":{"id":99}})");
  EXPECT_EQ(page.records[0].key.in(page_text), "12");
  EXPECT_EQ(page.records[0].modified.in(page_text), "\"2025-01-02T03:04:05.1Z\"");
  EXPECT_EQ(page.records[1].bytes.in(page_text),
            R"({"x":[1,{"id":7}],"s":"}]\"\\","id":"a\u0062", "big":12345678901234567890123,"e":1e400 })");
  EXPECT_EQ(page.records[1].key.in(page_text), R"("a\u0062")");
  EXPECT_TRUE(page.records[1].modified.empty());
  EXPECT_EQ(page.has_more.in(page_text), "false");
  EXPECT_EQ(page.page_size.in(page_text), "2");
  EXPECT_EQ(page.total_count.in(page_text), "null");
  EXPECT_EQ(json_text(page.records[1].key.in(page_text)), "ab");
}

TEST(CutPage, EmptyPageAndEnvelopeInAnyOrder) {
  const std::string text = R"({"data":[],"continueFrom":"t/1","hasMore":true})";
  const auto page = cut(text);
  EXPECT_TRUE(page.records.empty());
  EXPECT_TRUE(page.has_data);
  EXPECT_EQ(page.continue_from.in(text), "\"t/1\"");
  EXPECT_FALSE(cut(R"({"data":null})").has_data);
  EXPECT_FALSE(cut(R"({})").has_data);
}

TEST(CutPage, RefusesEverythingThatIsNotWholeJson) {
  for (const auto* bad : {"",
                          "[1]",
                          "[{}],",
                          "[{},]",
                          "{",
                          R"({"data":[{"a":tru}]})",
                          R"({"data":[{"a":01}]})",
                          R"({"data":[{"a":1 "b":2}]})",
                          R"({"data":[{"a":1,}]})",
                          R"({"data":[{"a":[1}]]})",
                          R"({"data":[{"a":"\q"}]})",
                          "{\"data\":[{\"a\":\"x\ny\"}]}",
                          R"({"data":[{"a":1)",
                          R"({"data":[{"a":1}]} x)",
                          R"({"data":[{"a":1}]}{})",
                          R"({"x":{"q":tru,,},"data":[{"a":1}]})",
                          R"({"data":[1]})",
                          R"({"data":[{"a":1},]})",
                          R"({"data":[{"a":1}],})",
                          R"({"data":[{}],"data":[{}]})",
                          R"({"hasMore":true,"hasMore":false})",
                          R"({"data":[{"a":-}]})",
                          R"({"data":[{"a":1.}]})",
                          R"({"data":[{"a":NaN}]})",
                          R"({"data":[{"a":"\u12G4"}]})",
                          R"({"data":[{"a":1e}]})",
                          R"({"data":[{a:1}]})",
                          R"({'data':[]})",
                          "{\"data\":[{\"a\":\"\xff\"}]}",
                          R"({"data":[{"a":}]})",
                          R"({"data":[{"a" 1}]})",
                          R"({"data":[{]})",
                          R"({"data":[)",
                          R"({"data":[{"a":"\)"})
    EXPECT_FALSE(cut_page(bad, {})) << bad;
}

TEST(CutPage, ABareArrayIsAPageWithoutAnEnvelope) {
  const std::string text = R"( [{"id":1}, {"id":2}] )";
  const auto page = cut_page(text, {}).value();
  EXPECT_TRUE(page.has_data && page.bare);
  ASSERT_EQ(page.records.size(), 2u);
  EXPECT_EQ(page.records[1].bytes.in(text), R"({"id":2})");
  EXPECT_TRUE(page.has_more.empty());
  EXPECT_TRUE(cut_page("[]", {}).value().records.empty());
}

TEST(CutPage, OneObjectOrOneValueIsOneRecord) {
  const std::string object = R"( {"id":7,"data":[1],"hasMore":3} )";
  const auto page = cut_page(object, {.shape = BodyShape::object}).value();
  ASSERT_EQ(page.records.size(), 1u);
  EXPECT_EQ(page.records[0].bytes.in(object), R"({"id":7,"data":[1],"hasMore":3})");
  EXPECT_EQ(page.records[0].key.in(object), "7");
  EXPECT_FALSE(cut_page("[1]", {.shape = BodyShape::object}));
  EXPECT_FALSE(cut_page(R"({"id":7} x)", {.shape = BodyShape::object}));
  EXPECT_EQ(cut_page(" 12 ", {.shape = BodyShape::value}).value().records.at(0).bytes.in(" 12 "), "12");
  EXPECT_EQ(cut_page("null", {.shape = BodyShape::value}).value().records.size(), 1u);
  EXPECT_FALSE(cut_page("", {.shape = BodyShape::value}));
}

TEST(CutPage, AFileIsOneRecordWhateverItHolds) {
  for (const std::string& body :
       {std::string("\xff\0{", 3), std::string("null"), std::string(R"({"tenantId":7})"), std::string()}) {
    const RecordFields fields{.shape = BodyShape::file, .tenant = 1001};
    for (const auto& page : {cut_page(body, fields).value(),
                             cut_large_page(core::Body(body), fields, 1, [](Record&) { return core::Result<void>(); }).value()}) {
      ASSERT_EQ(page.records.size(), 1u);
      EXPECT_EQ(page.records[0].bytes.in(body), body);
      EXPECT_EQ(page.records[0].size, body.size());
    }
  }
}

TEST(CutPage, FieldsMayStandInsideAnother) {
  const std::string text =
      R"({"data":[{"id":1,"leadCall":{"x":{"id":3},"id":2,"modifiedOn":"t"}},{"leadCall":null},{"leadCall":[2]}]})";
  const auto page = cut_page(text, {"leadCall.id", "leadCall.modifiedOn"}).value();
  EXPECT_EQ(page.records[0].key.in(text), "2");
  EXPECT_EQ(page.records[0].modified.in(text), "\"t\"");
  EXPECT_TRUE(page.records[1].key.empty());
  EXPECT_TRUE(page.records[2].key.empty());
}

TEST(VendorFaults, B23_DataOfAnotherTenantIsRefusedWhereItTells) {
  const RecordFields fields{.tenant = 1001};
  const auto problem = [&](std::string_view text, RecordFields f) {
    const auto page = cut_page(text, f);
    return page ? "" : std::string(core::to_string(page.error().kind()));
  };
  for (const auto* text : {R"({"data":[{"id":1},{"tenantId":1002,"id":2}]})", R"({"data":[{"id":1}],"tenantId":1002})",
                           R"([{"tenantId": -1001 }])", R"({"tenantId":0,"data":[]})"}) {
    EXPECT_EQ(problem(text, fields), "tenant_mismatch") << text;
    EXPECT_EQ(problem(text, {}), "") << "nobody asked";
  }
  EXPECT_EQ(problem(R"({"tenantId":7})", {.shape = BodyShape::object, .tenant = 1001}), "tenant_mismatch");
  for (const auto* text :
       {R"({"tenantId":1001,"data":[{"tenantId":1001}]})", R"({"tenantId":null,"data":[{"tenantId":"7"},{"tenantId":{"a":7}}]})",
        R"({"data":[{"customer":{"tenantId":7}},{"TenantID":7},{"parentId":7}],"x":{"tenantId":7}})"})
    EXPECT_EQ(problem(text, fields), "") << text;
}

TEST(CutPage, FindsItsFieldsAmongNamesOfAnyLength) {
  // Names are told apart by their lengths first.
  for (std::size_t length = 1; length < 140; ++length) {
    const std::string name(length, 'k');
    const auto text = R"([{"a":1,")" + name + R"(":2,")" + std::string(length, 'j') + R"(":3}])";
    const auto page = cut_page(text, {.key = name, .modified = {}}).value();
    EXPECT_EQ(page.records[0].key.in(text), "2") << length;
  }
}

TEST(CutPage, RowsOfAReportNeedNotBeObjects) {
  const std::string text = R"({"data":[[1,"a"],[]]})";
  EXPECT_EQ(cut_page(text, {.any_record = true}).value().records.at(0).bytes.in(text), R"([1,"a"])");
}

TEST(VendorFaults, B5_EveryPrefixOfAPageIsRefused) {
  const std::string text =
      R"({"hasMore":true,"continueFrom":"tok\u00e9","data":[{"id":1,"t":"aaaaaaaaaaaaaaaaaaaaaaaa"},{"id":2.5e-3,"o":{"k":[null]}}]})";
  ASSERT_TRUE(cut_page(text, {}));
  for (std::size_t n = 0; n < text.size(); ++n) {
    // A copy of exactly n bytes, so that a read past the end is caught by the address sanitizer.
    const std::vector<char> cut(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(n));
    EXPECT_FALSE(cut_page({cut.data(), cut.size()}, {})) << n;
  }
}

TEST(VendorFaults, B9_DepthIsLimitedWithoutRecursion) {
  const auto arrays = [](std::size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  const auto objects = [](std::size_t n) {
    std::string text;
    for (std::size_t i = 0; i < n; ++i) text += R"({"a":)";
    return text + "1" + std::string(n, '}');
  };
  const auto record = [](const std::string& value) { return R"({"data":[{"a":)" + value + "}]}"; };
  const auto member = [](const std::string& value) { return R"({"other":)" + value + R"(,"data":[]})"; };
  EXPECT_TRUE(cut_page(record(arrays(kMaxDepth - 3)), {}));
  EXPECT_TRUE(cut_page(record(objects(kMaxDepth - 3)), {}));
  EXPECT_TRUE(cut_page(member(arrays(kMaxDepth - 1)), {}));
  EXPECT_TRUE(json_members(member(objects(kMaxDepth - 1))));
  for (const std::size_t n : {std::size_t{kMaxDepth}, std::size_t{2'000'000}})
    for (const auto& deep : {arrays(n), objects(n), std::string(n, '[')}) {
      EXPECT_FALSE(cut_page(record(deep), {})) << n;
      EXPECT_FALSE(cut_page(member(deep), {})) << n;
      EXPECT_FALSE(json_members(member(deep))) << n << ": an error or a token, too";
    }
}

TEST(VendorFaults, B10_NumbersOfAnySizeStayAsTheyAre) {
  for (const std::string number : {"18446744073709551617", "-170141183460469231731687303715884105729", "1e400", "-1E-400", "0.1e+1",
                                   "123456789012345678901234567890.123456789012345678901234567890", "-0", "1.0"}) {
    const auto text = R"({"page":)" + number + R"(,"data":[{"id":)" + number + R"(,"x":[)" + number + "]}]}";
    const auto page = cut(text);
    ASSERT_EQ(page.records.size(), 1u) << number;
    EXPECT_EQ(page.records[0].bytes.in(text), R"({"id":)" + number + R"(,"x":[)" + number + "]}");
    EXPECT_EQ(page.records[0].key.in(text), number);
    EXPECT_EQ(page.page.in(text), number);
  }
  for (const char* number : {"18446744073709551617", "9223372036854775808", "-9223372036854775809", "1e400", "1.0"})
    EXPECT_FALSE(json_int(number)) << number << " is not cut to 64 bits";
  EXPECT_EQ(json_int("-9223372036854775808"), INT64_MIN);
  for (const char* bad :
       {"NaN", "nan", "Infinity", "-Infinity", "inf", "+1", "1.", ".5", "01", "-", "1e", "1e+", "0x1", "1_000", "١"})
    EXPECT_FALSE(cut_page(R"({"data":[{"id":)" + std::string(bad) + "}]}", {})) << bad;
}

TEST(VendorFaults, B11_TextThatIsNotUtf8IsRefused) {
  for (const std::string bad : {"\xff", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xed\xb0\x80", "\xf4\x90\x80\x80", "\x80"}) {
    EXPECT_FALSE(cut_page(R"({"data":[{"a":")" + bad + "\"}]}", {}));
    EXPECT_FALSE(cut_page(R"({"data":[{")" + bad + "\":1}]}", {}));
    EXPECT_FALSE(cut_page(R"({"other":")" + bad + R"(","data":[]})", {}));
  }
  EXPECT_FALSE(cut_page("\xef\xbb\xbf{\"data\":[]}", {})) << "a byte order mark";
  EXPECT_FALSE(cut_page(std::string("{\"data\":[{\"a\":\"\0\"}]}", 20), {})) << "a NUL in a text";
  EXPECT_FALSE(cut_page(std::string("{\"data\":[]}\0", 12), {})) << "a NUL behind the page";
  EXPECT_TRUE(cut_page(std::string("{\"data\":[]}\0", 11), {}));
}

TEST(VendorFaults, B11_EscapesThatStandForNoTextStayInTheRecord) {
  for (const std::string escape :
       {R"(\ud800)", R"(\udc00)", R"(\udc00\ud800)", R"(\ud800\ud800)", R"(\ud83dx)", R"(x\udfff)", R"(\ud83d\n)"}) {
    const auto raw = "\"" + escape + "\"";
    const auto text = R"({"data":[{"id":)" + raw + "}]}";
    const auto page = cut(text);
    ASSERT_EQ(page.records.size(), 1u) << escape;
    EXPECT_EQ(page.records[0].bytes.in(text), R"({"id":)" + raw + "}");
    EXPECT_FALSE(json_text(raw)) << escape << " would be bytes that no UTF-8 reader takes";
  }
  EXPECT_EQ(json_text(R"("\ud83d\ude00")"), "\xf0\x9f\x98\x80");
  EXPECT_EQ(json_text(R"("a\u0000b")"), std::string("a\0b", 3));
}

TEST(VendorFaults, B11_DuplicateKeysStayAndTheLastOneCounts) {
  const std::string text = R"({"data":[{"id":1,"id":2,"modifiedOn":"a","x":{"id":3},"modifiedOn":"b","id":null}]})";
  const auto page = cut(text);
  ASSERT_EQ(page.records.size(), 1u);
  EXPECT_EQ(page.records[0].bytes.in(text), text.substr(9, text.size() - 11));
  EXPECT_EQ(page.records[0].key.in(text), "null");
  EXPECT_EQ(page.records[0].modified.in(text), "\"b\"");
  for (const char* member : {"hasMore", "continueFrom", "page", "pageSize", "totalCount", "data"})
    EXPECT_FALSE(cut_page(std::string("{\"") + member + "\":[],\"" + member + "\":[]}", {})) << member << " steers us";
}

core::Result<Page> cut_large(const std::string& text, std::size_t max_records = 1000) {
  return cut_large_page(core::Body(text), {}, max_records, [](Record&) { return core::Result<void>(); });
}

TEST(CutLargePage, CutsAsCutPageDoes) {
  const std::string text = R"({"hasMore":true,"data":[{"id":1,"modifiedOn":"t"},{"id":[2]},{}],"continueFrom":"x"})";
  const auto page = cut(text);
  const auto large = cut_large(text).value();
  ASSERT_EQ(large.records.size(), page.records.size());
  for (std::size_t i = 0; i < page.records.size(); ++i) {
    EXPECT_EQ(large.records[i].bytes.in(text), page.records[i].bytes.in(text));
    EXPECT_EQ(large.records[i].key.in(text), page.records[i].key.in(text));
    EXPECT_EQ(large.records[i].modified.in(text), page.records[i].modified.in(text));
  }
  EXPECT_EQ(large.continue_from.in(text), "\"x\"");
  const auto bad = cut_large(R"({"data":[{"a":x}]})");
  EXPECT_EQ(bad.error().kind(), core::ErrorKind::malformed);
  EXPECT_NE(bad.error().message().find("byte 14"), std::string::npos) << bad.error().message();
}

TEST(CutLargePage, TextIsCheckedInPartsOfWholeCharacters) {
  // Characters of two to four bytes at every place around the end of a part.
  for (const std::string character : {"ä", "€", "😀"})
    for (std::size_t before = core::Passage::kWindow - 8; before <= core::Passage::kWindow + 8; ++before) {
      const std::string head = R"({"data":[{"a":")";
      const auto text = head + std::string(before - head.size(), 'x') + character + R"("}]})";
      EXPECT_TRUE(cut_large(text)) << before;
      for (std::size_t broken = 0; broken < character.size(); ++broken) {
        auto other = text;
        other.erase(before + broken, 1);
        EXPECT_FALSE(cut_large(other)) << before << " without its byte " << broken;
      }
    }
  EXPECT_FALSE(cut_large(std::string(core::Passage::kWindow - 2, ' ') + "\x80\x80\x80\x80\x80\x80{}"));
}

TEST(CutLargePage, RecordsMayBeTakenAlongOnTheWay) {
  std::vector<std::uint32_t> seen;
  const auto page = cut_large_page(core::Body(std::string(R"([{"id":5},{"id":6},{"id":7}])")), {}, 1000, [&](Record& record) {
    seen.push_back(record.bytes.offset);
    record.key = {100, 1};
    return seen.size() < 3 ? core::Result<void>() : core::fail(core::ErrorKind::spool_full, "full");
  });
  EXPECT_EQ(seen, (std::vector<std::uint32_t>{1, 10, 19}));
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().kind(), core::ErrorKind::spool_full) << "not malformed: that would be asked for again";
}

TEST(VendorFaults, B8_APageOfMoreRecordsThanThereIsMemoryForIsTooLarge) {
  const std::string text = R"({"data":[{},{},{},{}]})";
  EXPECT_TRUE(cut_page(text, {}, 4));
  EXPECT_EQ(cut_page(text, {}, 3).error().kind(), core::ErrorKind::too_large);
  EXPECT_TRUE(cut_large(text, 4));
  EXPECT_EQ(cut_large(text, 3).error().kind(), core::ErrorKind::too_large);
}

TEST(CutPage, SaysWhere) {
  const auto page = cut_page(R"({"data":[{"a":x}]})", {});
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().kind(), core::ErrorKind::malformed);
  EXPECT_NE(page.error().message().find("byte 14"), std::string::npos) << page.error().message();
}

TEST(CutPage, FieldNamesCanBeChosen) {
  const std::string text = R"({"data":[{"code":"x","changed":1}]})";
  const auto page = cut_page(text, {.key = "code", .modified = "changed"});
  ASSERT_TRUE(page);
  EXPECT_EQ(page->records[0].key.in(text), "\"x\"");
  EXPECT_EQ(page->records[0].modified.in(text), "1");
}

std::vector<std::string> names_of(const std::vector<std::string>& rows) {
  std::string text = R"({"x":1,"data":[)";
  for (const auto& row : rows) text += row + ",";
  text.back() = ']';
  return cut_page(text + "}", {.names = true}).value().names;
}

TEST(CutPage, NamesOfRowsAreToldAsTheyAreWrittenAndOnlyOfTheirTopLevel) {
  const std::string row = R"({"id":1,"a":{"b":[{"c":1}]},"d":"e"})";
  EXPECT_EQ(names_of({row, row}), (std::vector<std::string>{"id", "a", "d"}));
  EXPECT_EQ(names_of({R"({"\u0061":1,"":2,"\u0061":3})"}), (std::vector<std::string>{"\\u0061", "", "\\u0061"}));
  EXPECT_EQ(names_of({"{}"}), std::vector<std::string>{});
  EXPECT_TRUE(cut_page(R"({"data":[{"id":1}]})", {}).value().names.empty()) << "nobody asked";
  EXPECT_TRUE(cut_page(R"({"data":[[1]]})", {.any_record = true, .names = true}).value().names.empty());
}

TEST(CutPage, RowsAreLookedAtNowAndThenAndWhereTheyHaveAnotherNumberOfMembers) {
  std::vector<std::string> rows(100, R"({"id":1})");
  rows[16] = R"({"every":1})";
  rows[17] = R"({"between":1})";  // as many as the others: not seen
  rows[21] = R"({"id":1,"more":2})";
  rows[22] = R"({"id":1,"more again":2})";
  rows[39] = R"({"id":1,"x":2,"y":3})";
  rows[99] = "{}";
  EXPECT_EQ(names_of(rows), (std::vector<std::string>{"id", "every", "more", "x", "y"}));
}

TEST(CutPage, NamesAreBounded) {
  std::string row = "{";
  for (int i = 0; i < 2000; ++i) row += "\"n" + std::to_string(i) + "\":1,";
  row.back() = '}';
  EXPECT_EQ(names_of({row, row, R"({"x":1})"}).size(), kMostNames);
  EXPECT_EQ(names_of({"{\"" + std::string(5000, 'n') + "\":1}"}).at(0).size(), kLongestName);
}

TEST(CheckJson, AnyOneValue) {
  for (const auto* good : {"1", " null ", R"("x")", "[]", "{}", R"({"a":[1,2,{"b":"c"}]})", "[[],[{}]]"})
    EXPECT_TRUE(check_json(good)) << good;
  for (const auto* bad : {"", "1 2", "[1,]", "{\"a\"}", "nul", "[", "\"", "{}}"}) EXPECT_FALSE(check_json(bad)) << bad;
  EXPECT_FALSE(check_json("[[[]]]", 2));
}

}  // namespace
}  // namespace stsync::codec
