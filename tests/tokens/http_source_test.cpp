// The token endpoint's side of a fetch: what is sent, over which connection, and what the answer may be.
#include "tokens/http_source.hpp"

#include <unistd.h>

#include <deque>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

namespace stsync::tokens {
namespace {

using boost::asio::awaitable;
using core::ErrorKind;
using core::Result;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

struct Desk final : http::Client {
  struct Line final : http::Connection {
    Line(Desk& d, bool f) : desk(d), fresh(f) {}
    awaitable<Result<http::Response>> exchange(http::Request request, http::ExchangeLimits, core::StopToken) override {
      desk.requests.push_back(std::move(request));
      if (stale()) co_return core::fail(ErrorKind::network, "closed");
      auto answer = std::move(desk.answers.front());
      desk.answers.pop_front();
      co_return answer;
    }
    bool reused() const noexcept override { return !fresh; }
    bool stale() const noexcept override { return desk.pool_is_stale && !fresh; }
    Desk& desk;
    bool fresh;
  };
  awaitable<Result<std::unique_ptr<http::Connection>>> connect(http::Origin origin, bool fresh, core::StopToken) override {
    origins.push_back(origin.text());
    if (unreachable) co_return core::fail(ErrorKind::tls, "certificate has expired");
    co_return std::make_unique<Line>(*this, fresh);
  }
  awaitable<void> close() override { co_return; }

  std::deque<Result<http::Response>> answers;
  std::vector<http::Request> requests;
  std::vector<std::string> origins;
  bool pool_is_stale = false;
  bool unreachable = false;
};

struct HttpTokenSourceTest : ::testing::Test {
  HttpTokenSourceTest() {
    config.environments["local"] = {"local", "https://api.example", "https://auth.example:9443/connect/token", ""};
    config::App app;
    app.name = "acme";
    config::Tenant tenant;
    tenant.id = 1001;
    tenant.environment = "local";
    tenant.client_id.value = core::Secret("cid.a+b");
    tenant.client_secret.value = core::Secret("cs1.GEHEIM&x=%");
    app.tenants.push_back(tenant);
    config.apps.push_back(app);
    auto owned = std::make_unique<Desk>();
    desk = owned.get();
    clients["local"] = std::move(owned);
  }
  Result<Fetched> fetch(const Account& account = {"acme", 1001}) {
    std::optional<Result<Fetched>> out;
    HttpTokenSource source(config, clients);
    const auto run = [&]() -> awaitable<void> { out = co_await source.fetch(account, {}); };
    boost::asio::io_context loop;
    boost::asio::co_spawn(loop, run(), boost::asio::detached);
    loop.run();
    return *out;
  }
  void answers(int status, std::string body) { desk->answers.emplace_back(http::Response{status, {}, std::move(body)}); }

  config::Config config;
  std::map<std::string, std::unique_ptr<http::Client>> clients;
  Desk* desk = nullptr;
};

TEST_F(HttpTokenSourceTest, AsksAsTheVendorWantsIt) {
  answers(200, R"({"access_token":"abc","expires_in":900})");
  const auto fetched = fetch();
  ASSERT_TRUE(fetched) << fetched.error().message();
  EXPECT_EQ(fetched->token.reveal(), "abc");
  EXPECT_THAT(desk->origins, ::testing::ElementsAre("https://auth.example:9443"));
  ASSERT_EQ(desk->requests.size(), 1u);
  const auto& request = desk->requests[0];
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/connect/token") << "credentials never stand in a URL";
  EXPECT_EQ(*http::find_header(request.headers, "content-type"), "application/x-www-form-urlencoded");
  EXPECT_EQ(request.body, "grant_type=client_credentials&client_id=cid.a%2Bb&client_secret=cs1.GEHEIM%26x%3D%25");
}

TEST_F(HttpTokenSourceTest, AClosedConnectionIsReplacedOnce) {
  desk->pool_is_stale = true;
  answers(200, R"({"access_token":"abc"})");
  EXPECT_TRUE(fetch());
  EXPECT_EQ(desk->requests.size(), 2u);
  EXPECT_EQ(desk->requests[0].body, desk->requests[1].body);
}

TEST_F(HttpTokenSourceTest, SaysWhatFailed) {
  desk->unreachable = true;
  auto failed = fetch();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind(), ErrorKind::tls);
  EXPECT_THAT(failed.error().message(), HasSubstr("connecting to the token endpoint: certificate has expired"));
  desk->unreachable = false;
  desk->answers.emplace_back(core::fail(ErrorKind::timeout, "no answer"));
  failed = fetch();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind(), ErrorKind::timeout);
  EXPECT_THAT(failed.error().message(), HasSubstr("asking for a token: no answer"));
}

TEST_F(HttpTokenSourceTest, ATenantThatWasRemovedOrHasNoSecretIsTheConfigurationsFault) {
  EXPECT_EQ(fetch({"acme", 7}).error().kind(), ErrorKind::bad_config);
  EXPECT_EQ(fetch({"nobody", 1001}).error().kind(), ErrorKind::bad_config);
  config.apps[0].tenants[0].client_secret = {"/no/such/file", {}};
  const auto missing = fetch();
  EXPECT_EQ(missing.error().kind(), ErrorKind::bad_config);
  EXPECT_THAT(missing.error().message(), HasSubstr("/no/such/file"));
  EXPECT_TRUE(desk->requests.empty());
}

TEST_F(HttpTokenSourceTest, AnEndpointThatEchoesTheSecretDoesNotGetItIntoAnError) {
  for (const int status : {400, 401, 403, 429, 500})
    for (const char* body :
         {R"({"error":"no client with secret cs1.GEHEIM&x=%"})", R"({"error":"cs1.GEHEIM"})",
          R"({"error":"invalid_client","error_description":"cs1.GEHEIM"})", "cs1.GEHEIM", R"({"error":{"secret":"cs1.GEHEIM"}})"}) {
      answers(status, body);
      const auto refused = fetch();
      ASSERT_FALSE(refused);
      EXPECT_THAT(refused.error().message(), Not(HasSubstr("GEHEIM"))) << status << " " << body;
    }
}

/// The same with a secret in a file, and one source for all fetches.
struct RotatedFiles : HttpTokenSourceTest {
  RotatedFiles() {
    file = ::testing::TempDir() + "stsync_rotated_secret_" + std::to_string(::getpid());
    write("old.GEHEIM\n");
    config.apps[0].tenants[0].client_secret = {file, {}};
  }
  ~RotatedFiles() override { std::filesystem::remove(file); }
  void write(const std::string& text) const { std::ofstream(file) << text; }
  Result<Fetched> next() {
    std::optional<Result<Fetched>> out;
    const auto run = [&]() -> awaitable<void> { out = co_await source.fetch(account, {}); };
    boost::asio::io_context loop;
    boost::asio::co_spawn(loop, run(), boost::asio::detached);
    loop.run();
    return *out;
  }
  void accepts() { answers(200, R"({"access_token":"abc"})"); }
  void refuses() { answers(400, R"({"error":"invalid_client"})"); }
  std::string shown() const {
    const auto& body = desk->requests.back().body;
    return body.substr(body.rfind('=') + 1);
  }
  const Account account{"acme", 1001};
  std::string file;
  HttpTokenSource source{config, clients};
};

TEST_F(RotatedFiles, AreReadAtEachFetch) {
  accepts();
  EXPECT_TRUE(next());
  EXPECT_EQ(shown(), "old.GEHEIM");
  EXPECT_FALSE(source.changed(account));
  write("new.GEHEIM");
  EXPECT_TRUE(source.changed(account));
  accepts();
  EXPECT_TRUE(next());
  EXPECT_EQ(shown(), "new.GEHEIM");
  EXPECT_FALSE(source.changed(account));
}

TEST_F(RotatedFiles, WhatWorkedLastIsShownOnceTheNewIsRefused) {
  accepts();
  EXPECT_FALSE(next()->fallback);
  write("new.GEHEIM");
  refuses();
  EXPECT_EQ(next().error().kind(), ErrorKind::unauthorized);
  EXPECT_EQ(shown(), "new.GEHEIM");
  EXPECT_TRUE(source.has_another(account));
  accepts();
  EXPECT_TRUE(next()->fallback);
  EXPECT_EQ(shown(), "old.GEHEIM");
  EXPECT_FALSE(source.has_another(account));
}

TEST_F(RotatedFiles, AreOfOneAccountOnly) {
  accepts();
  next();
  write("new.GEHEIM");
  EXPECT_FALSE(source.has_another({"acme", 1002}));
  EXPECT_FALSE(source.changed({"acme", 1002}));
}

TEST_F(RotatedFiles, AFileThatIsGoneForAMomentIsNoChangeAndNoFailure) {
  accepts();
  next();
  std::filesystem::remove(file);
  EXPECT_FALSE(source.changed(account));
  accepts();
  EXPECT_TRUE(next()->fallback);
  EXPECT_EQ(shown(), "old.GEHEIM");
}

TEST_F(HttpTokenSourceTest, TheEndpointSaysHowLongToWait) {
  desk->answers.emplace_back(http::Response{429, {{"Retry-After", "33"}}, ""});
  EXPECT_EQ(fetch().error().retry_after(), 33s);
}

TEST_F(HttpTokenSourceTest, B21_SecretsDoNotFollowARedirect) {
  for (const int status : {301, 302, 303, 307, 308}) {
    desk->answers.emplace_back(http::Response{status, {{"Location", "http://169.254.169.254/latest/meta-data"}}, ""});
    const auto moved = fetch();
    ASSERT_FALSE(moved);
    EXPECT_EQ(moved.error().kind(), ErrorKind::server);
    EXPECT_EQ(moved.error().http_status(), status);
  }
  EXPECT_THAT(desk->origins, ::testing::Each("https://auth.example:9443"));
  EXPECT_EQ(desk->requests.size(), 5u);
}

}  // namespace
}  // namespace stsync::tokens
