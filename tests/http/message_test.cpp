#include "http/message.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stsync::http {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(ParseUrl, TakesItApart) {
  const auto url = parse_url("https://API.example.com/jpm/v2/x?a=1&b=%2B").value();
  EXPECT_EQ(url.origin, (Origin{true, "api.example.com", 443}));
  EXPECT_EQ(url.target, "/jpm/v2/x?a=1&b=%2B");
  EXPECT_EQ(parse_url("http://localhost").value().origin, (Origin{false, "localhost", 80}));
  EXPECT_EQ(parse_url("http://localhost").value().target, "/");
  EXPECT_EQ(parse_url("https://127.0.0.1:8443/connect/token").value().origin.port, 8443);
  EXPECT_EQ(parse_url("https://h:/x").value().origin.port, 443);
  EXPECT_EQ(parse_url("http://h?a=b").value().target, "/?a=b");
}

TEST(ParseUrl, AddressesOfVersion6LoseAndRegainTheirBrackets) {
  const auto url = parse_url("https://[::1]:8443/").value();
  EXPECT_EQ(url.origin.host, "::1");
  EXPECT_EQ(url.origin.text(), "https://[::1]:8443");
}

TEST(ParseUrl, RefusesWhatCannotBeUsed) {
  for (const auto* text : {"", "host", "/path", "host:443/x", "https://", "https:///x", "ftp://h/", "https://u:p@h/",
                           "https://h/#x", "https://h:0/", "https://h:65536/", "https://h:x/", "https://h/a b", "https://h/%zz",
                           "https://a%2Fb/", "https://[::1/", "https://h/\r\nX: y", "https://h/\xc3\xa9"})
    EXPECT_FALSE(parse_url(text)) << text;
}

TEST(ParseUrl, NeverRepeatsAPassword) {
  EXPECT_EQ(parse_url("https://user:geheim@h/").error().message().find("geheim"), std::string::npos);
  EXPECT_EQ(parse_url("https://user:geheim@ h/").error().message().find("geheim"), std::string::npos);
}

TEST(PercentEncode, E10_RoundTripsEveryByte) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(percent_decode(percent_encode(all)), all);
  EXPECT_EQ(percent_encode("+Id a/b~"), "%2BId%20a%2Fb~");
}

TEST(PercentDecode, LeavesMalformedEscapesAlone) {
  EXPECT_EQ(percent_decode("a+b%20c"), "a b c");
  EXPECT_EQ(percent_decode("%"), "%");
  EXPECT_EQ(percent_decode("%4"), "%4");
  EXPECT_EQ(percent_decode("%zz%4g%41"), "%zz%4gA");
}

TEST(ParseQuery, KeepsOrderAndEmptyValues) {
  EXPECT_THAT(
      parse_query("sort=%2BId&page=2&&flag&x=&=y&a=b=c"),
      ElementsAre(Pair("sort", "+Id"), Pair("page", "2"), Pair("flag", ""), Pair("x", ""), Pair("", "y"), Pair("a", "b=c")));
  EXPECT_TRUE(parse_query("").empty());
}

TEST(FindHeader, ComparesWithoutCase) {
  const Headers headers{{"Content-Type", "a"}, {"content-type", "b"}};
  ASSERT_NE(find_header(headers, "CONTENT-TYPE"), nullptr);
  EXPECT_EQ(*find_header(headers, "CONTENT-TYPE"), "a");
  EXPECT_EQ(find_header(headers, "Content-Typ"), nullptr);
}

}  // namespace
}  // namespace stsync::http
