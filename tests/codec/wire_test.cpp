#include "codec/wire.hpp"

#include <cstring>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "codec/gzip.hpp"
#include "stsync/v1/command.pb.h"
#include "stsync/v1/status.pb.h"

namespace stsync::codec {
namespace {

/// The most memory this process has had.
long peak_kib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

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

TEST(FromJson, E11_TheSchemaIsClosed) {
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

/// `members` gzip members of 16 MiB of blanks each: a thousandth of that on the wire.
std::string bomb(int members) {
  const auto one = gzip(std::string(16u << 20, ' '));
  std::string out;
  for (int i = 0; i < members; ++i) out += one;
  return out;
}

TEST(VendorFaults, B7_ABombIsInflatedNoFurtherThanItsLimit) {
  constexpr std::size_t kLimit = 1u << 20;
  const auto gibibytes = bomb(256);  // four of them
  EXPECT_LT(gibibytes.size(), 32u << 20);
  const auto before = peak_kib();
  const auto inflated = gunzip(gibibytes, kLimit);
  ASSERT_FALSE(inflated);
  EXPECT_EQ(inflated.error().kind(), core::ErrorKind::too_large);
  EXPECT_LT(peak_kib() - before, 8 << 10) << "memory follows the limit, not what the body claims";
}

/// gunzip_parts() into a text that a test can look at.
core::Result<void> in_parts(const std::string& packed, std::size_t max_bytes, std::string& out) {
  return gunzip_parts(core::Body(packed), max_bytes, [&out](std::string_view part) {
    out += part;
    return core::Result<void>();
  });
}

TEST(GzipInParts, GivesTheSameBytesAndTheSameErrors) {
  std::string text;
  for (std::int64_t i = 0; text.size() < 3u << 20; ++i) text += std::to_string(i * 7919);
  const auto packed = gzip(text);
  std::string out;
  ASSERT_TRUE(in_parts(packed + gzip("tail"), text.size() + 4, out));
  EXPECT_EQ(out, text + "tail");
  out.clear();
  EXPECT_EQ(in_parts(packed, text.size() - 1, out).error().kind(), core::ErrorKind::too_large);
  EXPECT_LT(out.size(), text.size());
  EXPECT_TRUE(in_parts(packed, text.size(), out));
  for (std::size_t n = 0; n < packed.size(); n += 1 + packed.size() / 100)
    EXPECT_EQ(in_parts(packed.substr(0, n), 1u << 30, out).error().kind(), core::ErrorKind::malformed) << n;
  EXPECT_EQ(in_parts(packed + "x", 1u << 30, out).error().kind(), core::ErrorKind::malformed);
  EXPECT_EQ(in_parts("plain text", 100, out).error().kind(), core::ErrorKind::malformed);
}

TEST(GzipInParts, EndsWhereTheReaderEnds) {
  int parts = 0;
  const auto full = gunzip_parts(core::Body(gzip(std::string(10u << 20, 'x'))), 1u << 30, [&parts](std::string_view) {
    return ++parts < 3 ? core::Result<void>() : core::fail(core::ErrorKind::spool_full, "full");
  });
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind(), core::ErrorKind::spool_full);
  EXPECT_EQ(parts, 3);
}

TEST(VendorFaults, B7_ABombInPartsIsInflatedNoFurtherThanItsLimit) {
  const core::Body quarter_gibibyte(bomb(16));
  std::size_t came = 0;
  const auto before = peak_kib();
  const auto inflated = gunzip_parts(quarter_gibibyte, 32u << 20, [&came](std::string_view part) {
    came += part.size();
    return core::Result<void>();
  });
  ASSERT_FALSE(inflated);
  EXPECT_EQ(inflated.error().kind(), core::ErrorKind::too_large);
  EXPECT_LE(came, 32u << 20);
  EXPECT_LT(peak_kib() - before, 8 << 10);
}

TEST(Gunzip, MayBeWithoutALimit) {
  const std::string text(1u << 20, 'x');
  EXPECT_EQ(gunzip(gzip(text), SIZE_MAX), text);
}

TEST(VendorFaults, B7_NestedGzipIsUnpackedOnce) {
  const auto inner = gzip("text");
  EXPECT_EQ(gunzip(gzip(inner), 1 << 20).value(), inner);
}

TEST(VendorFaults, B7_ABodyThatZlibCannotCountIsNotCutToItsBeginning) {
  // Its first bytes are a whole member, and its size modulo 2^32 is that of the member. The rest is never touched memory.
  const auto member = gzip("beginning");
  const auto size = (std::size_t{1} << 32) + member.size();
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  std::memcpy(memory, member.data(), member.size());
  const auto inflated = gunzip({static_cast<const char*>(memory), size}, 1 << 20);
  ::munmap(memory, size);
  ASSERT_FALSE(inflated) << *inflated;
  EXPECT_EQ(inflated.error().kind(), core::ErrorKind::too_large);
}

TEST(FromJson, IdsMayBeNumbersOrTexts) {
  v1::Command c;
  ASSERT_TRUE(from_json(R"({"id":"a","sync":{"resource":"jpm.jobs","mode":"ids","ids":[9007199254740993,"x-1"]}})", c));
  EXPECT_EQ(c.sync().ids(0), "9007199254740993");
  EXPECT_EQ(c.sync().ids(1), "x-1");
}

}  // namespace
}  // namespace stsync::codec
