// The ingress's certificate, whose files somebody else replaces while it serves.
#include "webhook/certificate.hpp"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "http/certificate.hpp"
#include "http/client.hpp"
#include "support/run.hpp"
#include "support/virtual_clock.hpp"

namespace stsync::webhook {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

/// A folder with tls.crt and tls.key behind a link, as Kubernetes mounts a secret.
struct CertificateTest : ::testing::Test {
  CertificateTest() {
    fs::remove_all(folder);
    fs::create_directories(folder);
    for (const auto* name : {"tls.crt", "tls.key"}) fs::create_symlink(fs::path("..data") / name, folder / name);
    mount("first");
  }
  ~CertificateTest() override { fs::remove_all(folder); }

  static void write(const fs::path& file, const std::string& text) { std::ofstream(file, std::ios::binary) << text; }
  /// The link to the folder of that name, in one step.
  void mount(const std::string& name) const {
    fs::create_directories(folder / name);
    fs::remove(folder / "..next");
    fs::create_directory_symlink(name, folder / "..next");
    fs::rename(folder / "..next", folder / "..data");
  }
  void put(const std::string& name, const std::string& certificate, const std::string& key) const {
    fs::create_directories(folder / name);
    write(folder / name / "tls.crt", certificate);
    write(folder / name / "tls.key", key);
  }

  const fs::path folder = fs::path(::testing::TempDir()) / ("stsync_certificate_" + std::to_string(::getpid()));
  const config::WebhookTls named{(folder / "tls.crt").string(), (folder / "tls.key").string()};
};

struct CertificateFilesTest : CertificateTest {
  /// What a look at the files says: "-": nothing new, "! why", or what they hold.
  static std::string told(const std::optional<core::Result<http::ServerTls>>& found) {
    if (!found) return "-";
    return *found ? (*found)->certificate_pem + "+" + (*found)->key_pem : "! " + found->error().message();
  }
};

TEST_F(CertificateFilesTest, AreNewWhenWhatTheyHoldIs) {
  put("first", "a", "b");
  CertificateFiles files(named);
  ASSERT_TRUE(files.read());
  EXPECT_EQ(told(files.changed()), "-");
  put("first", "a", "b");
  EXPECT_EQ(told(files.changed()), "-") << "written again";
  put("second", "c", "d");
  EXPECT_EQ(told(files.changed()), "-") << "not there yet";
  mount("second");
  EXPECT_EQ(told(files.changed()), "c+d");
  EXPECT_EQ(told(files.changed()), "-");
  write(folder / "second" / "tls.key", "e");
  EXPECT_EQ(told(files.changed()), "c+e") << "one after the other";
  write(folder / "second" / "tls.crt", "ce");
  write(folder / "second" / "tls.key", "");
  EXPECT_EQ(told(files.changed()), "ce+");
}

TEST_F(CertificateFilesTest, ThatCannotBeReadAreToldOnceAndAreNewWhenTheyAreBack) {
  put("first", "a", "b");
  CertificateFiles files(named);
  ASSERT_TRUE(files.read());
  fs::remove(folder / "first" / "tls.key");
  EXPECT_THAT(told(files.changed()), HasSubstr("! cannot read"));
  EXPECT_EQ(told(files.changed()), "-");
  put("first", "a", "b");
  EXPECT_EQ(told(files.changed()), "a+b");
  write(folder / "first" / "tls.crt", std::string((1u << 20) + 1, 'x'));
  EXPECT_THAT(told(files.changed()), HasSubstr("larger than"));
}

TEST(CertificateExpiry, IsWarnedOfAWeekBefore) {
  const core::WallTime now(1'800'000'000s);
  EXPECT_FALSE(expires_soon(now + 7 * 24h, now));
  EXPECT_TRUE(expires_soon(now + 7 * 24h - 1s, now));
  EXPECT_TRUE(expires_soon(now - 1h, now)) << "it has expired";
}

asio::awaitable<http::ServerResponse> answer(http::ServerRequest) { co_return http::ServerResponse(); }

/// A server whose certificate is kept, and two authorities.
struct CertificateKeeperTest : CertificateTest {
  static core::WallTime real_now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }
  struct Authority {
    http::CertificateAuthority ca;
    fs::path file;
  };
  Authority authority(const std::string& name) const {
    Authority out{http::CertificateAuthority::make(name, now).value(), folder / (name + ".pem")};
    write(out.file, out.ca.root.certificate_pem);
    return out;
  }
  ~CertificateKeeperTest() override {
    stop.request_stop();
    clock.run_for(0s);
    if (server) test::run(loop, server->stop(1s));
  }

  void start() {
    http::ServerOptions options;
    options.tls = keeper.read().value();
    server = http::start_server(loop.get_executor(), clock, std::move(options), answer).value();
    asio::co_spawn(loop, keeper.keep(*server, stop.token()), [](const std::exception_ptr& e) {
      if (e) std::rethrow_exception(e);
    });
  }
  http::Certificate issue(const Authority& by, std::chrono::seconds lives) const {
    return by.ca.issue({"localhost"}, now - 1h, now + lives).value();
  }
  asio::awaitable<void> ask(const Authority& trusted, bool& connected) {
    const auto client = http::make_client(loop.get_executor(), clock, {.ca_file = trusted.file.string()}).value();
    connected = (co_await client->connect({true, "localhost", server->port()}, false, {})).has_value();
    co_await client->close();
  }
  /// Whether a new connection is shown a certificate of theirs.
  bool shows(const Authority& whose) {
    bool connected = false;
    test::run(loop, ask(whose, connected));
    return connected;
  }
  /// What the metric says; 0: there is none.
  double told_expiry() const {
    const auto text = metrics.render();
    const auto at = text.find("\nstsync_webhook_certificate_expiration_timestamp_seconds ");
    return at == std::string::npos ? 0 : std::stod(text.substr(text.find(' ', at)));
  }
  double expiry(std::chrono::seconds lives) const {
    return static_cast<double>(std::chrono::duration_cast<std::chrono::seconds>((now + lives).time_since_epoch()).count());
  }

  const core::WallTime now = real_now();  // OpenSSL compares with the real time
  asio::io_context loop;
  test::VirtualClock clock{loop, now};
  telemetry::Metrics metrics{true};
  CertificateKeeper keeper{clock, named, metrics};
  core::StopSource stop;
  std::unique_ptr<http::Server> server;
  const Authority first = authority("first_ca"), second = authority("second_ca");
};

TEST_F(CertificateKeeperTest, ANewCertificateIsShownTenSecondsLater) {
  const auto old = issue(first, 24h), next = issue(second, 48h);
  put("first", old.certificate_pem, old.key_pem);
  start();
  EXPECT_TRUE(shows(first));
  EXPECT_EQ(told_expiry(), expiry(24h));
  put("second", next.certificate_pem, next.key_pem);
  mount("second");
  clock.run_for(9s);
  EXPECT_TRUE(shows(first)) << "nobody has looked";
  clock.run_for(1s);
  EXPECT_TRUE(shows(second));
  EXPECT_FALSE(shows(first));
  EXPECT_EQ(told_expiry(), expiry(48h));
}

TEST_F(CertificateKeeperTest, WhatDoesNotFitOrIsHalfWrittenIsNotShown) {
  const auto old = issue(first, 24h), next = issue(second, 48h);
  put("first", old.certificate_pem, old.key_pem);
  start();
  const auto keeps_the_old = [&](const std::string& certificate, const std::string& key) {
    put("first", certificate, key);
    clock.run_for(10s);
    return shows(first) && told_expiry() == expiry(24h);
  };
  EXPECT_TRUE(keeps_the_old(next.certificate_pem, old.key_pem)) << "the certificate came first";
  EXPECT_TRUE(keeps_the_old(next.certificate_pem.substr(0, 300), next.key_pem));
  EXPECT_TRUE(keeps_the_old(next.certificate_pem, ""));
  fs::remove(folder / "..data");
  clock.run_for(10s);
  EXPECT_TRUE(shows(first)) << "no file at all";
  mount("first");
  EXPECT_FALSE(keeps_the_old(next.certificate_pem, next.key_pem)) << "now it fits";
  EXPECT_TRUE(shows(second));
}

TEST_F(CertificateKeeperTest, WithoutACertificateNothingBegins) {
  EXPECT_EQ(keeper.read().error().kind(), core::ErrorKind::bad_config);
  put("first", "no certificate", "no key");
  EXPECT_EQ(keeper.read().error().kind(), core::ErrorKind::bad_config);
  EXPECT_EQ(told_expiry(), 0);
}

}  // namespace
}  // namespace stsync::webhook
