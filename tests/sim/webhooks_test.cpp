// What the simulator tells a receiver of changed rows, over real connections.
#include <gmock/gmock.h>

#include "codec/page.hpp"
#include "fixture.hpp"
#include "http/certificate.hpp"
#include "http/server.hpp"

namespace stsync::sim {
namespace {

using ::testing::HasSubstr;

/// A receiver that keeps what it gets and answers what it is told.
struct Sink {
  std::vector<http::ServerRequest> got;
  std::vector<int> answers;  ///< the next ones; 200 behind them
  std::unique_ptr<http::Server> server;
  std::size_t asked = 0;

  asio::awaitable<http::ServerResponse> answer(http::ServerRequest request) {
    got.push_back(std::move(request));
    http::ServerResponse response;
    if (asked < answers.size()) response.status = answers[asked];
    ++asked;
    co_return response;
  }
};

struct Webhooks : SimTest {
  Sink sink;

  void SetUp() override { start_with(small()); }
  void start_sink(std::optional<http::ServerTls> tls = {}) {
    http::ServerOptions options;
    options.tls = std::move(tls);
    sink.server = http::start_server(loop.get_executor(), clock, std::move(options), [this](http::ServerRequest request) {
                    return sink.answer(std::move(request));
                  }).value();
  }
  std::string set(const std::string& members) {
    const auto answer = post("/__sim/webhooks", members);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.body;
  }
  void send_to_sink(const std::string& more = {}) {
    start_sink();
    set(R"({"url":")" + sink.server->url() + R"(","secret":"not a real secret")" + more + "}");
  }
  void touch(const std::string& resource, int count = 1) {
    post("/__sim/touch", R"({"resource":")" + resource + R"(","count":)" + std::to_string(count) + "}");
  }
  std::string state() { return plain_get("/__sim/webhooks").body; }
  std::string count(const char* name) { return member(state(), name); }
  bool wait_for(const std::function<bool()>& done) {
    loop.restart();
    while (!done() && loop.run_one_for(20s) > 0) {
    }
    return done();
  }
};

TEST_F(Webhooks, AChangedRowIsToldAsASignedCloudEvent) {
  send_to_sink();
  touch("jpm.jobs");
  ASSERT_TRUE(wait_for([&] { return !sink.got.empty(); }));
  const auto& request = sink.got.front();
  EXPECT_EQ(request.method + " " + request.path, "POST /webhooks/acme");
  EXPECT_EQ(*http::find_header(request.headers, "content-type"), "application/json");
  const auto* signature = http::find_header(request.headers, "x-servicetitan-signature");
  ASSERT_NE(signature, nullptr);
  EXPECT_EQ(*signature, core::hmac_sha256_hex(core::Secret("not a real secret"), request.body));
}

}  // namespace
}  // namespace stsync::sim
