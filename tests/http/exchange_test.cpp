#include <fmt/format.h>
#include <gmock/gmock.h>

#include "fixture.hpp"

namespace stsync::http {
namespace {

using ::testing::HasSubstr;

asio::awaitable<ServerResponse> echo(ServerRequest request) {
  ServerResponse out;
  const auto* header = find_header(request.headers, "x-test");
  out.headers = {{"X-Seen", header ? *header : "none"}};
  out.body = request.method + " " + request.path + " " + request.query + " " + request.body;
  co_return out;
}

Script answer(std::string text, bool hold = false) { return {.answers = {std::move(text)}, .hold = hold}; }

struct Exchange : HttpTest {
  Result<Response> ask(Script script, ExchangeLimits limits = {}) {
    ScriptedServer peer(loop, {std::move(script)});
    const auto c = client();
    return get(loop, *c, peer.origin(), request_to("/"), limits);
  }
};

TEST_F(Exchange, CarriesEverythingBothWays) {
  const auto s = server(echo);
  const auto c = client();
  Request request;
  request.method = "POST";
  request.target = "/a/b?x=%2B1";
  request.headers = {{"X-Test", "seen"}};
  request.body = "body";
  const auto response = get(loop, *c, origin_of(*s), request);
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "POST /a/b x=%2B1 body");
  EXPECT_EQ(*find_header(response->headers, "x-seen"), "seen");
}

TEST_F(Exchange, B24_ReadsChunksAndInterimAnswers) {
  const auto response =
      ask(answer("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: "
                 "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"));
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->body, "abcde");
}

TEST_F(Exchange, AHeadAnswerHasNoBody) {
  const auto s = server(echo);
  const auto c = client();
  Request request = request_to("/");
  request.method = "HEAD";
  const auto response = get(loop, *c, origin_of(*s), request);
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->body, "");
}

TEST_F(Exchange, B8_ABodyAboveItsLimitIsTooLarge) {
  ExchangeLimits limits;
  limits.max_body = 10;
  EXPECT_EQ(ask(answer("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n01234567890"), limits).error().kind(), ErrorKind::too_large);
  EXPECT_EQ(ask(answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n"), limits)
                .error()
                .kind(),
            ErrorKind::too_large);
  EXPECT_EQ(ask(answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"), limits).value().body, "0123456789");
}

std::string with_length(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string in_chunks(std::string_view body, std::size_t size) {
  std::string out = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (; !body.empty(); body.remove_prefix(std::min(size, body.size())))
    out += fmt::format("{:x}\r\n{}\r\n", std::min(size, body.size()), body.substr(0, size));
  return out + "0\r\n\r\n";
}

TEST_F(Exchange, ABodyThatIsTooLargeForMemoryGoesToAFile) {
  core::Spool spool(::testing::TempDir());
  ExchangeLimits limits{.max_body = 8u << 20, .spool = &spool, .in_memory = 200'000};
  std::string body;
  for (int i = 0; body.size() < 5u << 20; ++i) body += std::to_string(i) + ",";
  for (const auto& sent : {with_length(body), in_chunks(body, 100'000), in_chunks(body, 3u << 20)}) {
    const auto response = ask(answer(sent), limits);
    ASSERT_TRUE(response) << response.error().message();
    EXPECT_EQ(response->body, "");
    ASSERT_TRUE(response->spooled);
    ASSERT_TRUE(response->spooled->map());
    EXPECT_EQ(response->spooled->view(), body);
  }
  body.resize(200'000);
  for (const auto& sent : {with_length(body), in_chunks(body, 70'000)}) {
    const auto response = ask(answer(sent), limits);
    EXPECT_FALSE(response->spooled) << "it just fits";
    EXPECT_EQ(response->body, body);
  }
  body += "x";
  const auto response = ask(answer(with_length(body)), limits);
  ASSERT_TRUE(response->spooled);
  EXPECT_EQ(response->spooled->size(), body.size());
}

TEST_F(Exchange, B4_ACutBodyInAFileIsNeverAShortBody) {
  core::Spool spool(::testing::TempDir());
  ExchangeLimits limits{.spool = &spool, .in_memory = 1000};
  auto cut = with_length(std::string(2u << 20, 'x'));
  cut.pop_back();
  const auto response = ask(answer(cut), limits);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind(), ErrorKind::network);
}

TEST_F(Exchange, B8_ABodyInAFileHasItsLimitToo) {
  core::Spool spool(::testing::TempDir());
  ExchangeLimits limits{.max_body = 1u << 20, .spool = &spool, .in_memory = 1000};
  const std::string body((1u << 20) + 1, 'x');
  EXPECT_EQ(ask(answer(with_length(body)), limits).error().kind(), ErrorKind::too_large);
  EXPECT_EQ(ask(answer(in_chunks(body, 10'000)), limits).error().kind(), ErrorKind::too_large);
}

TEST_F(Exchange, WithoutAFolderForItALargeBodyIsAnErrorThatSaysSo) {
  core::Spool spool(::testing::TempDir() + "stsync/is/not/here");
  const auto response = ask(answer(with_length(std::string(2000, 'x'))), {.spool = &spool, .in_memory = 1000});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind(), ErrorKind::bad_config);
  EXPECT_THAT(response.error().message(), HasSubstr("stsync/is/not/here"));
}

TEST_F(Exchange, TheConnectionOfALargeBodyServesTheNextRequest) {
  core::Spool spool(::testing::TempDir());
  const auto large = with_length(std::string(2u << 20, 'x'));
  ScriptedServer peer(loop, {{.answers = {large, with_length("small"), large}}});
  const auto c = client();
  const ExchangeLimits limits{.spool = &spool, .in_memory = 1000};
  for (const bool spooled : {true, false, true}) {
    const auto response = get(loop, *c, peer.origin(), request_to("/"), limits);
    ASSERT_TRUE(response) << response.error().message();
    EXPECT_EQ(response->spooled != nullptr, spooled);
    EXPECT_EQ(response->body, spooled ? "" : "small");
  }
  EXPECT_EQ(peer.accepted(), 1u);
}

TEST_F(Exchange, B24_AHeaderAboveItsLimitIsTooLarge) {
  ExchangeLimits limits;
  limits.max_header = 1000;
  const auto big = "HTTP/1.1 200 OK\r\nX: " + std::string(2000, 'x') + "\r\nContent-Length: 0\r\n\r\n";
  EXPECT_EQ(ask(answer(big), limits).error().kind(), ErrorKind::too_large);
  EXPECT_EQ(ask(answer("HTTP/1.1 200 OK\r\nX: " + std::string(5000, 'x'), true), limits).error().kind(), ErrorKind::too_large);
}

TEST_F(Exchange, B6_AnEndlessChunkHeaderIsNotCollected) {
  const auto endless = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;" + std::string(1 << 20, 'x');
  const auto response = ask(answer(endless, true));
  ASSERT_FALSE(response);
  EXPECT_NE(response.error().kind(), ErrorKind::timeout);
}

TEST_F(Exchange, B4_ACutBodyIsNeverAShortBody) {
  for (const auto* text : {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
                           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "HTTP/1.1 200 OK\r\nContent-Le", ""}) {
    const auto response = ask(answer(text));
    ASSERT_FALSE(response) << text;
    EXPECT_EQ(response.error().kind(), ErrorKind::network) << text;
  }
}

TEST_F(Exchange, B4_ABodyWithoutALengthIsRefusedOverPlainHttp) {
  EXPECT_EQ(ask(answer("HTTP/1.1 200 OK\r\n\r\nabc")).error().kind(), ErrorKind::protocol);
}

TEST_F(Exchange, GarbageIsAProtocolError) {
  for (const auto* text :
       {"garbage\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 abc OK\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n"}) {
    const auto response = ask(answer(text, true));
    ASSERT_FALSE(response) << text;
    EXPECT_EQ(response.error().kind(), ErrorKind::protocol) << text << response.error().message();
  }
}

TEST_F(Exchange, B3_ASlowAnswerIsATimeout) {
  ExchangeLimits limits;
  limits.first_byte = 30ms;
  const auto silent = ask(answer("", true), limits);
  EXPECT_EQ(silent.error().kind(), ErrorKind::timeout);
  EXPECT_THAT(silent.error().message(), HasSubstr("waiting for the response"));
  limits = {};
  limits.idle_body = 30ms;
  const auto slow = ask(answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234", true), limits);
  EXPECT_EQ(slow.error().kind(), ErrorKind::timeout);
  EXPECT_THAT(slow.error().message(), HasSubstr("reading the response body"));
  limits = {};
  limits.total = 30ms;
  EXPECT_EQ(ask(answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234", true), limits).error().kind(), ErrorKind::timeout);
}

TEST_F(Exchange, AStopEndsItAtOnce) {
  core::StopSource source;
  ScriptedServer peer(loop, {{.answers = {""}, .hold = true, .on_request = [&source] { source.request_stop(); }}});
  const auto c = client();
  const auto response = get(loop, *c, peer.origin(), request_to("/"), {}, source.token());
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(get(loop, *c, peer.origin(), request_to("/"), {}, source.token()).error().kind(), ErrorKind::cancelled);
}

TEST_F(Exchange, NobodyListeningIsANetworkErrorThatNamesTheHost) {
  Origin origin;
  {
    ScriptedServer gone(loop, {});
    origin = gone.origin();
  }
  const auto c = client();
  const auto response = get(loop, *c, origin);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind(), ErrorKind::network);
  EXPECT_THAT(response.error().message(), HasSubstr(origin.text()));
}

TEST_F(Exchange, WhatCannotBeSentIsNotSentAndNotShown) {
  const auto s = server(echo);
  const auto c = client();
  Request request = request_to("/");
  request.headers = {{"ST-App-Key", "geheim\r\nX-Evil: 1"}};
  const auto response = get(loop, *c, origin_of(*s), request);
  EXPECT_EQ(response.error().kind(), ErrorKind::bad_request);
  EXPECT_THAT(response.error().message(), HasSubstr("ST-App-Key"));
  EXPECT_EQ(response.error().message().find("geheim"), std::string::npos);
  for (const auto* target : {"", "x", "/a b", "/a\r\nX: y", "/a#b"})
    EXPECT_EQ(get(loop, *c, origin_of(*s), request_to(target)).error().kind(), ErrorKind::bad_request) << target;
}

}  // namespace
}  // namespace stsync::http
