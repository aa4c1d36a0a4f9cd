#include <gmock/gmock.h>

#include "fixture.hpp"

namespace stsync::http {
namespace {

using ::testing::HasSubstr;

asio::awaitable<ServerResponse> hello(ServerRequest) {
  ServerResponse out;
  out.body = std::string(300'000, 'x');
  co_return out;
}

struct TlsTest : HttpTest {
  CertificateAuthority ca = CertificateAuthority::make("test ca", now).value();
  TemporaryFile ca_file{ca.root.certificate_pem};

  std::unique_ptr<Server> secure(const std::vector<std::string>& hosts, core::WallTime from, core::WallTime to) {
    const auto certificate = ca.issue(hosts, from, to).value();
    ServerOptions options;
    options.tls = ServerTls{certificate.certificate_pem, certificate.key_pem};
    return server(hello, options);
  }
  std::unique_ptr<Server> secure(const std::vector<std::string>& hosts) { return secure(hosts, now - 1h, now + 1h); }
  std::unique_ptr<Client> trusting(const std::string& file) {
    ClientOptions options;
    options.ca_file = file;
    return client(options);
  }
};

TEST_F(TlsTest, NamesAndAddressesAreVerified) {
  const auto s = secure({"localhost", "127.0.0.1"});
  const auto c = trusting(ca_file.path());
  for (const auto* host : {"localhost", "127.0.0.1"}) {
    for (int i = 0; i < 2; ++i) {  // the second one on the connection of the first
      const auto response = get(loop, *c, {true, host, s->port()});
      ASSERT_TRUE(response) << response.error().message();
      EXPECT_EQ(response->body.size(), 300'000u);
    }
  }
  EXPECT_THAT(s->url(), HasSubstr("https://127.0.0.1:"));
}

TEST_F(TlsTest, B20_AWrongHostIsRefused) {
  const auto c = trusting(ca_file.path());
  const auto other = secure({"other.example"});
  const auto by_name = get(loop, *c, {true, "localhost", other->port()});
  EXPECT_EQ(by_name.error().kind(), ErrorKind::tls) << by_name.error().message();
  EXPECT_THAT(by_name.error().message(), HasSubstr("ostname mismatch"));
  EXPECT_EQ(get(loop, *c, {true, "127.0.0.1", other->port()}).error().kind(), ErrorKind::tls);
  const auto name_only = secure({"localhost"});
  EXPECT_EQ(get(loop, *c, {true, "127.0.0.1", name_only->port()}).error().kind(), ErrorKind::tls);
}

TEST_F(TlsTest, B20_AnUnknownAuthorityIsRefused) {
  const auto s = secure({"localhost"});
  const auto stranger = CertificateAuthority::make("somebody else", now).value();
  const TemporaryFile file(stranger.root.certificate_pem);
  EXPECT_EQ(get(loop, *trusting(file.path()), {true, "localhost", s->port()}).error().kind(), ErrorKind::tls);
  EXPECT_EQ(get(loop, *trusting(""), {true, "localhost", s->port()}).error().kind(), ErrorKind::tls);
}

TEST_F(TlsTest, B20_CertificatesOutsideTheirTimeAreRefused) {
  const auto c = trusting(ca_file.path());
  const auto expired = secure({"localhost"}, now - 48h, now - 24h);
  const auto response = get(loop, *c, {true, "localhost", expired->port()});
  EXPECT_EQ(response.error().kind(), ErrorKind::tls);
  EXPECT_THAT(response.error().message(), HasSubstr("expired"));
  const auto future = secure({"localhost"}, now + 24h, now + 48h);
  EXPECT_EQ(get(loop, *c, {true, "localhost", future->port()}).error().kind(), ErrorKind::tls);
}

TEST_F(TlsTest, B20_APlainServerIsNoTlsServer) {
  const auto s = server(hello);
  EXPECT_EQ(get(loop, *trusting(ca_file.path()), {true, "127.0.0.1", s->port()}).error().kind(), ErrorKind::tls);
}

asio::awaitable<void> connect_into(Client& c, Origin origin, core::StopToken stop, std::optional<core::Error>& out, bool& done) {
  auto connection = co_await c.connect(std::move(origin), false, std::move(stop));
  if (!connection) out = connection.error();
  done = true;
}

TEST_F(TlsTest, B20_AHandshakeThatHangsIsATimeoutAndCanBeStopped) {
  ScriptedServer silent(loop, {{.hold = true}, {.hold = true}});
  auto origin = silent.origin();
  origin.tls = true;
  ClientOptions options;
  options.handshake_timeout = 30ms;
  const auto impatient = client(options);
  const auto late = get(loop, *impatient, origin);
  EXPECT_EQ(late.error().kind(), ErrorKind::timeout) << late.error().message();
  EXPECT_THAT(late.error().message(), HasSubstr("TLS handshake"));
  const auto patient = client();
  core::StopSource source;
  std::optional<core::Error> error;
  bool done = false;
  asio::co_spawn(loop, connect_into(*patient, origin, source.token(), error, done), [](const std::exception_ptr&) {});
  while (silent.accepted() < 2 && loop.run_one_for(10s) > 0) {
  }
  EXPECT_FALSE(done);
  source.request_stop();
  while (!done && loop.run_one_for(10s) > 0) {
  }
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), ErrorKind::cancelled);
}

TEST_F(TlsTest, B4_ACutBodyIsAnError) {
  const auto certificate = ca.issue({"localhost"}, now - 1h, now + 1h).value();
  ServerOptions options;
  options.tls = ServerTls{certificate.certificate_pem, certificate.key_pem};
  const auto s = server(
      [](ServerRequest) -> asio::awaitable<ServerResponse> {
        ServerResponse out;
        out.body = "0123456789";
        out.cut_after = 5;
        co_return out;
      },
      options);
  const auto response = get(loop, *trusting(ca_file.path()), {true, "localhost", s->port()});
  EXPECT_EQ(response.error().kind(), ErrorKind::network) << response.error().message();
}

TEST_F(TlsTest, UnusableFilesAreABadConfig) {
  ClientOptions options;
  options.ca_file = "/does/not/exist.pem";
  const auto c = make_client(loop.get_executor(), *clock, options);
  ASSERT_FALSE(c);
  EXPECT_EQ(c.error().kind(), ErrorKind::bad_config);
  EXPECT_THAT(c.error().message(), HasSubstr("/does/not/exist.pem"));
  const auto a = ca.issue({"a"}, now, now + 1h).value();
  const auto b = ca.issue({"b"}, now, now + 1h).value();
  for (const auto& tls : {ServerTls{"x", "y"}, ServerTls{a.certificate_pem, "y"}, ServerTls{a.certificate_pem, b.key_pem}}) {
    ServerOptions server_options;
    server_options.tls = tls;
    const auto s = start_server(loop.get_executor(), *clock, server_options, hello);
    ASSERT_FALSE(s);
    EXPECT_EQ(s.error().kind(), ErrorKind::bad_config);
  }
  EXPECT_FALSE(ca.issue({}, now, now + 1h));
  EXPECT_FALSE(ca.issue({"a,DNS:b"}, now, now + 1h));
}

}  // namespace
}  // namespace stsync::http
