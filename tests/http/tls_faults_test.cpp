// Faults of a vendor that speaks TLS (B4, B6, B20 of the list): versions, resets and renegotiation, and where an answer ends.
#include <gmock/gmock.h>

#include "tls_peer.hpp"

namespace stsync::http {
namespace {

using ::testing::HasSubstr;

constexpr auto kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

struct TlsFaults : HttpTest {
  CertificateAuthority ca = CertificateAuthority::make("test ca", now).value();
  TemporaryFile ca_file{ca.root.certificate_pem};
  Certificate certificate = ca.issue({"localhost"}, now - 1h, now + 1h).value();

  std::unique_ptr<Client> trusting() {
    ClientOptions options;
    options.ca_file = ca_file.path();
    return client(options);
  }
};

TEST_F(TlsFaults, B4_ABodyWithoutALengthEndsWithATlsCloseOnly) {
  const auto c = trusting();
  for (const auto end : {TlsEnd::notify, TlsEnd::fin}) {
    TlsPeer peer(loop, certificate, {{.answers = {{"HTTP/1.1 200 OK\r\n\r\nabc"}}, .end = end}});
    const auto response = get(loop, *c, peer.origin());
    if (end == TlsEnd::notify) {
      ASSERT_TRUE(response) << response.error().message();
      EXPECT_EQ(response->body, "abc");
    } else {
      ASSERT_FALSE(response) << "cut, and taken for whole: " << response->body;
      EXPECT_EQ(response.error().kind(), ErrorKind::network) << response.error().message();
    }
  }
}

TEST_F(TlsFaults, B6_WhatIsBehindAnAnswerIsNeverTheNextOne) {
  const auto c = trusting();
  TlsPeer tidy(loop, certificate, {{.answers = {{kOk}, {kOk}}}});
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(get(loop, *c, tidy.origin()));
  EXPECT_EQ(tidy.accepted(), 1u) << "a tidy connection is used again";

  // The second record is read from the socket with the first, so the socket looks empty.
  const std::string smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
  TlsPeer peer(loop, certificate, {{.answers = {{kOk, smuggled}}}, {.answers = {{kOk}}}});
  EXPECT_EQ(get(loop, *c, peer.origin()).value().body, "ok");
  const auto next = get(loop, *c, peer.origin(), request_to("/"), {.total = 2s});
  ASSERT_TRUE(next) << next.error().message();
  EXPECT_EQ(next->body, "ok");
  EXPECT_EQ(peer.accepted(), 2u);
}

TEST_F(TlsFaults, B8_ABodyWithoutALengthIsCutAtTheLimit) {
  const auto c = trusting();
  TlsPeer peer(loop, certificate, {{.answers = {{"HTTP/1.1 200 OK\r\n\r\n", std::string(11, 'x')}}}});
  EXPECT_EQ(get(loop, *c, peer.origin(), request_to("/"), {.max_body = 10}).error().kind(), ErrorKind::too_large);
}

TEST_F(TlsFaults, B20_OldVersionsAreRefused) {
  const auto up_to = [](long version) {
    return [version](SSL_CTX* context) {
      SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_VERSION, nullptr);
      SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, version, nullptr);
      SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
    };
  };
  const auto c = trusting();
  for (const long version : {TLS1_VERSION, TLS1_1_VERSION}) {
    TlsPeer old(loop, certificate, {{.answers = {{kOk}}}}, up_to(version));
    const auto response = get(loop, *c, old.origin());
    ASSERT_FALSE(response) << version;
    EXPECT_EQ(response.error().kind(), ErrorKind::tls) << response.error().message();
    EXPECT_THAT(response.error().message(), HasSubstr("version")) << version;
  }
  TlsPeer good(loop, certificate, {{.answers = {{kOk}}}}, up_to(TLS1_2_VERSION));
  EXPECT_TRUE(get(loop, *c, good.origin())) << "the peer of this test can do it";
}

TEST_F(TlsFaults, B20_ACertificateThatSignedItselfIsRefused) {
  // A root of its own as the server's certificate, and even with our name in it nobody vouches for it.
  const auto self = CertificateAuthority::make("localhost", now).value().root;
  TlsPeer peer(loop, self, {{.answers = {{kOk}}}});
  const auto response = get(loop, *trusting(), peer.origin());
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind(), ErrorKind::tls);
  EXPECT_THAT(response.error().message(), HasSubstr("self"));
}

TEST_F(TlsFaults, B20_AResetInTheHandshakeIsANetworkError) {
  ScriptedServer peer(loop, {{.reset = true}});
  auto origin = peer.origin();
  origin.tls = true;
  const auto response = get(loop, *trusting(), origin);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind(), ErrorKind::network) << response.error().message();
}

TEST_F(TlsFaults, B20_RenegotiationIsDeclined) {
  static int hellos;
  hellos = 0;
  const auto tls12 = [](SSL_CTX* context) {
    SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, TLS1_2_VERSION, nullptr);
    SSL_CTX_set_msg_callback(context, [](int sent, int, int type, const void* bytes, std::size_t n, SSL*, void*) {
      if (sent == 0 && type == SSL3_RT_HANDSHAKE && n > 0 && *static_cast<const unsigned char*>(bytes) == SSL3_MT_CLIENT_HELLO)
        ++hellos;
    });
  };
  const auto ask_again = [](SSL* ssl) {
    SSL_renegotiate(ssl);
    SSL_do_handshake(ssl);
  };
  TlsPeer peer(loop, certificate, {{.answers = {{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok", "ok"}}, .between = ask_again}},
               tls12);
  const auto c = trusting();
  const auto response = get(loop, *c, peer.origin());
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->body, "okok");
  while (peer.ended() == 0 && loop.run_one_for(10s) > 0) {
  }
  EXPECT_EQ(peer.ended(), 1u) << "the server has read what the client said to that";
  EXPECT_EQ(hellos, 1);
}

}  // namespace
}  // namespace stsync::http
