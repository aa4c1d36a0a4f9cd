#include <gmock/gmock.h>

#include <openssl/pem.h>
#include <openssl/ui.h>

#include "fixture.hpp"
#include "http/tls.hpp"

namespace stsync::http {
namespace {

using ::testing::HasSubstr;

asio::awaitable<ServerResponse> hello(ServerRequest) {
  ServerResponse out;
  out.body = std::string(300'000, 'x');
  co_return out;
}

/// The key with a password.
std::string encrypted(const std::string& key_pem, std::string password) {
  const auto free = [](BIO* b) { BIO_free_all(b); };
  const std::unique_ptr<BIO, decltype(free)> in(BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())), free);
  const std::unique_ptr<BIO, decltype(free)> out(BIO_new(BIO_s_mem()), free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr),
                                                                EVP_PKEY_free);
  PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), EVP_aes_128_cbc(), password.data(), static_cast<int>(password.size()),
                                nullptr, nullptr);
  std::string text(BIO_ctrl_pending(out.get()), '\0');
  BIO_read(out.get(), text.data(), static_cast<int>(text.size()));
  return text;
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

TEST_F(TlsTest, ANewCertificateIsShownToNewConnectionsAndOldOnesLiveOn) {
  const auto s = secure({"localhost"});
  const Origin origin{true, "localhost", s->port()};
  const auto early = trusting(ca_file.path()), late = trusting(ca_file.path());
  ASSERT_TRUE(get(loop, *early, origin));
  const auto next = CertificateAuthority::make("the next ca", now).value();
  const TemporaryFile next_file(next.root.certificate_pem);
  const auto certificate = next.issue({"localhost"}, now - 1h, now + 1h).value();
  ASSERT_TRUE(s->use({certificate.certificate_pem, certificate.key_pem}));
  EXPECT_TRUE(get(loop, *early, origin)) << "on the connection that it has";
  EXPECT_EQ(get(loop, *late, origin).error().kind(), ErrorKind::tls);
  EXPECT_TRUE(get(loop, *trusting(next_file.path()), origin));
}

TEST_F(TlsTest, ACertificateThatCannotBeUsedLeavesTheOneBefore) {
  const auto s = secure({"localhost"});
  const auto next = ca.issue({"other.example"}, now - 1h, now + 1h).value();
  const auto other = ca.issue({"other.example"}, now - 1h, now + 1h).value();
  const auto half = [](const std::string& text) { return text.substr(0, text.size() / 2); };
  for (const auto& bad :
       {ServerTls{next.certificate_pem, other.key_pem}, ServerTls{half(next.certificate_pem), next.key_pem},
        ServerTls{next.certificate_pem, half(next.key_pem)}, ServerTls{next.certificate_pem, ""}, ServerTls{"", next.key_pem}}) {
    const auto used = s->use(bad);
    ASSERT_FALSE(used);
    EXPECT_EQ(used.error().kind(), ErrorKind::bad_config);
    EXPECT_TRUE(get(loop, *trusting(ca_file.path()), {true, "localhost", s->port()}));
  }
  EXPECT_EQ(server(hello)->use({next.certificate_pem, next.key_pem}).error().kind(), ErrorKind::bad_config) << "a plain server";
}

/// Takes the place of the terminal that OpenSSL asks for passwords.
int asked_for_password = 0;

TEST_F(TlsTest, AKeyThatNeedsAPasswordIsRefusedWithoutAskingTheTerminal) {
  auto* terminal = UI_create_method("test");
  UI_method_set_reader(terminal, [](UI*, UI_STRING*) {
    ++asked_for_password;
    return 0;
  });
  UI_set_default_method(terminal);
  const auto certificate = ca.issue({"localhost"}, now - 1h, now + 1h).value();
  const auto made = make_server_context(certificate.certificate_pem, encrypted(certificate.key_pem, "a password"));
  UI_set_default_method(UI_OpenSSL());
  UI_destroy_method(terminal);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind(), ErrorKind::bad_config);
  EXPECT_EQ(asked_for_password, 0);
}

TEST_F(TlsTest, WhenACertificateExpiresIsReadFromIt) {
  const auto to = std::chrono::floor<std::chrono::seconds>(now) + 90 * 24h;
  const auto own = ca.issue({"localhost"}, now - 1h, to).value().certificate_pem;
  EXPECT_EQ(expiry_of(own), core::WallTime(to));
  EXPECT_EQ(expiry_of(own + ca.root.certificate_pem), core::WallTime(to)) << "the first of a chain is the server's own";
  for (const auto& bad : {std::string(), std::string("no certificate"), own.substr(0, own.size() / 2), ca.root.key_pem})
    EXPECT_EQ(expiry_of(bad).error().kind(), ErrorKind::bad_config);
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
