// What a vendor, or something in between that thinks it is the vendor, can do to a client on the wire. Numbers as in the list of
// faults that the project keeps: B3 slow bytes, B4 cut bodies, B6 lengths that lie, B8 endless bodies, B24 floods of headers.
#include <gmock/gmock.h>

#include "fixture.hpp"
#include "http/pace.hpp"

namespace stsync::http {
namespace {

using ::testing::HasSubstr;

constexpr auto kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

struct VendorFaults : HttpTest {
  struct Answer {
    Result<Response> bad;
    Result<Response> next;  ///< of another request, with the pool's one place
    std::size_t connections = 0;
  };
  /// One exchange with a misbehaving connection, then one that is answered as it should.
  Answer ask(Script script, ExchangeLimits limits = {}) {
    ScriptedServer peer(loop, {std::move(script), {.answers = {kOk}}});
    ClientOptions options;
    options.max_connections_per_origin = 1;
    const auto c = client(options);
    auto bad = get(loop, *c, peer.origin(), request_to("/"), limits);
    auto next = get(loop, *c, peer.origin(), request_to("/"), {.total = 2s});
    return {std::move(bad), std::move(next), peer.accepted()};
  }
  /// Nothing of the bad connection is used again, and the place it had is free.
  static void expect(const Answer& got, ErrorKind kind, std::string_view what) {
    ASSERT_FALSE(got.bad) << what << " gave " << got.bad->status << " " << got.bad->body;
    EXPECT_EQ(got.bad.error().kind(), kind) << what << ": " << got.bad.error().message();
    ASSERT_TRUE(got.next) << what << ": " << got.next.error().message();
    EXPECT_EQ(got.next->body, "ok") << what;
    EXPECT_EQ(got.connections, 2u) << what;
  }
};

TEST_F(VendorFaults, B3_DrippingAnswersEndWithinHalfAMinute) {
  const ReadPace::Time start{};
  ReadPace header({}, start);
  EXPECT_EQ(header.deadline() - start, 120s) << "the vendor may think";
  auto now = start + 50s;
  for (; now < header.deadline(); now += 1s) header.header_bytes(now);
  EXPECT_EQ(now - start, 80s) << "one byte a second";

  ReadPace body({}, start);
  body.body_begins(start);
  for (now = start; now < body.deadline(); now += 1s) body.body_bytes(10, now);
  EXPECT_EQ(now - start, 30s) << "ten bytes a second";

  ReadPace slow({}, start);
  slow.body_begins(start);
  for (now = start; now < slow.deadline(); now += 1s) slow.body_bytes(1000, now);
  EXPECT_EQ(now - start, 300s) << "1000 bytes a second are slow, but no drip";
}

TEST_F(VendorFaults, B3_ALargeBodyMayTakeItsTimeAsLongAsItComes) {
  const ReadPace::Time start{};
  const auto ends = [start](std::size_t in_a_second) {
    ReadPace pace({}, start);
    pace.body_begins(start);
    auto now = start;
    for (std::size_t came = 0, spooled = 0; now < pace.deadline() && now < start + 1h; now += 1s) {
      pace.body_bytes(in_a_second, now);
      came += in_a_second;
      if (came - spooled < 1u << 20) continue;
      pace.body_spooled(came - spooled, now);
      spooled = came;
    }
    return now - start;
  };
  EXPECT_EQ(ends(2u << 20), 1h);
  EXPECT_GT(ends(512u << 10), 500s);
  EXPECT_LT(ends(512u << 10), 700s) << "half of what it should be";
  ReadPace busy({}, start);
  busy.body_begins(start);
  busy.body_spooled(1000, start + 100s);
  EXPECT_EQ(busy.deadline() - start, 130s) << "the time of the disk is not the peer's";
}

TEST_F(VendorFaults, B3_InterimAnswersDoNotShortenTheWait) {
  const ReadPace::Time start{};
  ReadPace pace({}, start);
  pace.header_bytes(start + 1s);
  EXPECT_EQ(pace.deadline() - start, 31s);
  pace.interim_over();
  EXPECT_EQ(pace.deadline() - start, 120s);
  pace.header_bytes(start + 100s);
  EXPECT_EQ(pace.deadline() - start, 120s) << "but do not prolong it either";
}

TEST_F(VendorFaults, B3_ADrippingHeaderIsCut) {
  ExchangeLimits limits;
  limits.header = 30ms;
  limits.max_header = 64u << 20;
  const auto got = ask({.answers = {"HTTP/1.1 200 OK\r\nX: "}, .drip = "x"}, limits);
  expect(got, ErrorKind::timeout, "a dripping header");
  EXPECT_THAT(got.bad.error().message(), HasSubstr("waiting for the response"));
}

TEST_F(VendorFaults, B3_ADrippingBodyIsCut) {
  ExchangeLimits limits;
  limits.idle_body = 30ms;
  limits.min_body = 1u << 30;
  limits.max_body = 1u << 30;
  const auto got = ask({.answers = {"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"}, .drip = "x"}, limits);
  expect(got, ErrorKind::timeout, "a dripping body");
  EXPECT_THAT(got.bad.error().message(), HasSubstr("reading the response body"));
}

TEST_F(VendorFaults, B4_AResetInTheBodyIsNeverAShortBody) {
  for (const auto* text :
       {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        "HTTP/1.1 200 OK\r\nContent-Le", ""})
    expect(ask({.answers = {text}, .reset = true}), ErrorKind::network, text);
}

TEST_F(VendorFaults, B6_FramingThatIsNotPlainIsRefused) {
  for (const char* framing :
       {"Content-Length: -1\r\n\r\n", "Content-Length: +2\r\n\r\nok", "Content-Length: 0x2\r\n\r\nok",
        "Content-Length: 2 2\r\n\r\nok", "Content-Length:\r\n\r\n", "Content-Length: 18446744073709551618\r\n\r\nok",
        "Content-Length: 2, 3\r\n\r\nok", "Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk", "Content-Length : 2\r\n\r\nok",
        // both
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "Transfer-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok", "Content-Length: 2\r\nTransfer-Encoding: identity\r\n\r\nok",
        // codings that this client did not ask for
        "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\nok", "Transfer-Encoding:\r\nContent-Length: 2\r\n\r\nok",
        // chunks
        "Transfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n\r\nok\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\nok\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n2\r\nokk\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n3\r\nok\r\n0\r\n\r\n"})
    expect(ask({.answers = {std::string("HTTP/1.1 200 OK\r\n") + framing}, .hold = true}), ErrorKind::protocol, framing);
}

TEST_F(VendorFaults, B6_ALengthThatPromisesTooMuchIsWaitedForAndNoMore) {
  ExchangeLimits limits;
  limits.idle_body = 30ms;
  expect(ask({.answers = {"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n0123456789"}, .hold = true}, limits), ErrorKind::timeout,
         "a length above the body");
}

TEST_F(VendorFaults, B6_WhatIsBehindAnAnswerIsNeverTheNextOne) {
  const std::string smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
  for (const std::string answer : {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                                   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                                   "HTTP/1.1 204 No Content\r\nContent-Length: 40\r\n\r\n", "HTTP/1.1 304 Not Modified\r\n\r\n"}) {
    const auto got = ask({.answers = {answer + smuggled}, .hold = true});
    ASSERT_TRUE(got.bad) << answer << got.bad.error().message();
    ASSERT_TRUE(got.next) << answer << got.next.error().message();
    EXPECT_EQ(got.next->body, "ok") << answer;
    EXPECT_EQ(got.connections, 2u) << answer;
  }
}

TEST_F(VendorFaults, B8_AGibibyteIsCutAtTheLimit) {
  ExchangeLimits limits;
  limits.max_body = 1u << 20;
  // Announced: not a byte of it is waited for.
  expect(ask({.answers = {"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n"}, .hold = true}, limits), ErrorKind::too_large,
         "an announced gibibyte");
  const auto chunk = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
  std::string chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 17; ++i) chunks += chunk;
  expect(ask({.answers = {chunks}, .hold = true}, limits), ErrorKind::too_large, "chunks without an end");
  expect(ask({.answers = {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n"}, .hold = true}, limits),
         ErrorKind::too_large, "an announced chunk of a gibibyte");
}

TEST_F(VendorFaults, B24_AFloodOfInterimAnswersIsRefused) {
  for (const char* status : {"100 Continue", "102 Processing", "103 Early Hints", "199 Odd"}) {
    std::string flood;
    for (int i = 0; i < 1000; ++i) flood += std::string("HTTP/1.1 ") + status + "\r\n\r\n";
    expect(ask({.answers = {flood}, .hold = true}), ErrorKind::protocol, status);
  }
}

TEST_F(VendorFaults, B24_HeadersWithoutEndAreRefused) {
  expect(
      ask({.answers = {"HTTP/1.1 200 OK\r\nX: " + std::string(1u << 20, 'x') + "\r\nContent-Length: 2\r\n\r\nok"}, .hold = true}),
      ErrorKind::too_large, "a header of a mebibyte");
  expect(ask({.answers = {"HTTP/1.1 200 " + std::string(1u << 20, 'x') + "\r\nContent-Length: 2\r\n\r\nok"}, .hold = true}),
         ErrorKind::too_large, "a reason of a mebibyte");
  std::string many = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 10'000; ++i) many += "X-" + std::to_string(i) + ": y\r\n";
  expect(ask({.answers = {many + "Content-Length: 2\r\n\r\nok"}, .hold = true}), ErrorKind::too_large, "10,000 headers");
  std::string trailers = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n";
  for (int i = 0; i < 20'000; ++i) trailers += "X-" + std::to_string(i) + ": y\r\n";
  expect(ask({.answers = {trailers + "\r\n"}, .hold = true}), ErrorKind::too_large, "20,000 trailers");
}

TEST_F(VendorFaults, B24_AnswersWithoutABodyHaveNone) {
  for (const char* status : {"204 No Content", "304 Not Modified"}) {
    const auto got = ask({.answers = {std::string("HTTP/1.1 ") + status + "\r\n\r\n", kOk}, .hold = true});
    ASSERT_TRUE(got.bad) << status << got.bad.error().message();
    EXPECT_EQ(got.bad->body, "");
    EXPECT_EQ(got.connections, 1u) << status << ": the connection is in step";
  }
}

}  // namespace
}  // namespace stsync::http
