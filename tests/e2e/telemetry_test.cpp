// What a real Prometheus sees of a real worker and ingress, and whether the dashboards' queries find it.
#include <csignal>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "codec/page.hpp"
#include "http/message.hpp"
#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

/// A port nobody listens on. Prometheus takes none by itself.
std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ::bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(fd);
  return ntohs(address.sin_port);
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

/// Every expression of a dashboard with its variables filled in.
std::vector<std::string> dashboard_queries(const std::string& name) {
  std::ifstream in(STSYNC_SOURCE "/helm/stsync/files/dashboards/" + name);
  const std::string text(std::istreambuf_iterator<char>(in), {});
  std::vector<std::string> out;
  const std::string mark = "\"expr\": ";
  for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at)) {
    at += mark.size();
    auto end = at + 1;
    while (text[end] != '"') end += text[end] == '\\' ? 2 : 1;
    auto query = codec::json_text(text.substr(at, end + 1 - at)).value();
    query = replaced(query, "$app", ".*");
    query = replaced(query, "$__rate_interval", "10s");
    out.push_back(replaced(query, "$__range", "5m"));
  }
  return out;
}

/// A Prometheus that asks these processes every second.
class Prometheus {
 public:
  Prometheus(const Stage& stage, const std::vector<const Process*>& targets) : port_(free_port()) {
    std::string addresses;
    for (const auto* target : targets)
      addresses +=
          fmt::format("{}'{}'", addresses.empty() ? "" : ", ", telemetry_url(*target).substr(std::string("http://").size()));
    const auto file = (stage.folder() / "prometheus.yml").string();
    std::ofstream(file) << fmt::format(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: stsync\n    static_configs: [{{targets: [{}]}}]\n",
        addresses);
    process_ = std::make_unique<Process>(std::vector<std::string>{"prometheus", "--config.file=" + file,
                                                                  "--storage.tsdb.path=" + (stage.folder() / "tsdb").string(),
                                                                  fmt::format("--web.listen-address=127.0.0.1:{}", port_)});
    if (!process_->wait_for_text("ready to receive web requests", 30s)) throw std::runtime_error(process_->err());
  }

  /// Waits until each query has found something.
  void expect_data(std::vector<std::string> open) {
    std::string last;
    for (const auto end = std::chrono::steady_clock::now() + 120s; !open.empty() && std::chrono::steady_clock::now() < end;) {
      std::erase_if(open, [&](const std::string& query) {
        last = fetch(fmt::format("http://127.0.0.1:{}/api/v1/query?query={}", port_, http::percent_encode(query)));
        return last.find("\"result\":[{") != std::string::npos;
      });
      ASSERT_FALSE(process_->wait(200ms)) << process_->err();  // also the pause between two looks
    }
    EXPECT_TRUE(open.empty()) << open.size() << " queries find nothing, first: " << open.front() << "\n" << last;
  }

 private:
  std::uint16_t port_;
  std::unique_ptr<Process> process_;
};

TEST(Dashboard, EveryQueryFindsDataInAPrometheusThatScrapesTheWorker) {
  Stage stage({.records = 1500, .rate = 20, .export_page = 100});
  const auto worker = stage.start_worker();
  const auto url = telemetry_url(*worker);
  EXPECT_EQ(fetch(url + "/livez"), "ok\n");
  EXPECT_EQ(fetch(url + "/readyz"), "ok\n");
  Prometheus prometheus(stage, {worker.get()});
  Process follower(stage.command({"sync", "--resource", kBulk, "--mode", "full", "--wait"}));
  ASSERT_TRUE(follower.wait_for_text("progress", 60s, 16)) << follower.err();
  const auto queries = dashboard_queries("api-usage.json");
  ASSERT_GE(queries.size(), 20u);
  prometheus.expect_data(queries);
  const auto metrics = fetch(url + "/metrics");
  EXPECT_THAT(metrics, HasSubstr("stsync_jobs{state=\"running\"}"));
  EXPECT_THAT(metrics, HasSubstr("stsync_ready 1\n"));
  EXPECT_EQ(metrics.find("cs1."), std::string::npos);
}

TEST(Dashboard, EveryQueryOfFreshnessFindsDataInAPrometheusThatScrapesWorkerAndIngress) {
  Stage stage({.records = 100, .sets = {"apps.0.tenants.0.schedules=[{resources: [jpm.jobs], every: 1d}]"}});
  const auto worker = stage.start_worker();
  // At once: ages are measured ten seconds after the start, and every minute from then on.
  const auto synced = stage.stsync({"sync", "--resource", "jpm.jobs", "--mode", "full", "--wait"});
  ASSERT_EQ(synced.code, 0) << synced.err;
  const auto ingress = stage.start_webhook();
  Prometheus prometheus(stage, {worker.get(), ingress.process.get()});
  EXPECT_THROW(fetch(ingress.url + "/nothing", ingress.ca_file), std::runtime_error);
  stage.send_webhooks_to(ingress);
  stage.control("/__sim/churn", R"({"per_second":5,"resource":"jpm.jobs","only_changes":true})");
  const auto queries = dashboard_queries("freshness.json");
  ASSERT_GE(queries.size(), 17u);
  prometheus.expect_data(queries);
}

}  // namespace
}  // namespace stsync::test
