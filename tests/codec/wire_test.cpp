#include "codec/wire.hpp"

#include <gtest/gtest.h>

#include "codec/gzip.hpp"
#include "stsync/v1/command.pb.h"
#include "stsync/v1/status.pb.h"

namespace stsync::codec {
namespace {

TEST(ToJson, SnakeCaseNumbersAndTimes) {
  v1::StatusEvent e;
  e.set_type(v1::StatusEvent::progress);
  e.set_job("j");
  e.set_tenant(9007199254740993);
  e.mutable_time()->set_seconds(1767323045);
  e.mutable_time()->set_nanos(678000000);
  e.mutable_counts()->set_pages(3);
  EXPECT_EQ(to_json(e), R"({"type":"progress","job":"j","tenant":9007199254740993,"time":"2026-01-02T03:04:05.678Z",)"
                        R"("counts":{"pages":3,"records":0,"bytes":0,"calls":0,"throttled":0,"retries":0,"dead_letters":0}})");
}

TEST(FromJson, NumbersAsNumberOrText) {
  for (const auto* tenant : {"1001", "\"1001\""}) {
    v1::Command c;
    ASSERT_TRUE(from_json(
        std::string(R"({"id":"a","app":"acme","tenant":)") + tenant + R"(,"sync":{"resource":"jpm.jobs","mode":"full"}})", c));
    EXPECT_EQ(c.tenant(), 1001);
    EXPECT_EQ(c.sync().mode(), v1::full);
  }
}

TEST(FromJson, TheSchemaIsClosed) {
  for (const auto* bad : {R"({"id":"a","url":"http://x"})", R"({"sync":{"resource":"a","credentials":"x"}})", R"({'id':'a'})",
                          R"({"id":"a",})", "", "null x", R"({"sync":{"mode":"sometimes"}})", R"({"tenant":1.5})",
                          R"({"tenant":99999999999999999999})", R"({"id":{"a":1}})", R"({"sync":{},"cancel":{}})", "[]", "7"}) {
    v1::Command c;
    const auto r = from_json(bad, c);
    EXPECT_FALSE(r) << bad;
    if (!r) EXPECT_EQ(r.error().kind(), core::ErrorKind::bad_data);
  }
}

TEST(Gzip, RoundTripMembersAndLimits) {
  const std::string text(100000, 'x');
  const auto packed = gzip(text);
  EXPECT_EQ(gunzip(packed, 1 << 20).value(), text);
  EXPECT_EQ(gunzip(packed + gzip("tail"), 1 << 20).value(), text + "tail");
  EXPECT_EQ(gunzip(packed, 99999).error().kind(), core::ErrorKind::too_large);
  EXPECT_TRUE(gunzip(packed, 100000));
  for (std::size_t n = 0; n < packed.size(); ++n)
    EXPECT_EQ(gunzip(packed.substr(0, n), 1 << 20).error().kind(), core::ErrorKind::malformed) << n;
  EXPECT_EQ(gunzip("plain text", 100).error().kind(), core::ErrorKind::malformed);
}

}  // namespace
}  // namespace stsync::codec
