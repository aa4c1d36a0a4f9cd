#pragma once
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "core/text.hpp"
#include "http/client.hpp"
#include "sim/simulator.hpp"
#include "sim/store.hpp"
#include "support/run.hpp"
#include "support/virtual_clock.hpp"

namespace stsync::sim {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// The records of the array `data` of a page, byte for byte. Knows strings and nesting only.
inline std::vector<std::string> records_of(const std::string& page) {
  std::vector<std::string> out;
  auto at = page.find("\"data\":[");
  if (at == std::string::npos) return out;
  at += 8;
  int depth = 0;
  bool string = false;
  auto begin = at;
  for (; at < page.size(); ++at) {
    const char c = page[at];
    if (string) {
      if (c == '\\') ++at;
      if (c == '"') string = false;
    } else if (c == '"') {
      string = true;
    } else if (c == '{' || c == '[') {
      if (depth++ == 0) begin = at;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return out;
      if (--depth == 0) out.push_back(page.substr(begin, at - begin + 1));
    }
  }
  return out;
}

/// The raw value of the first member of this name: `5`, `true`, `"text"`.
inline std::string member(const std::string& json, const std::string& name) {
  const auto at = json.find("\"" + name + "\":");
  if (at == std::string::npos) return {};
  const auto begin = at + name.size() + 3;
  const auto end = json[begin] == '"' ? json.find('"', begin + 1) + 1 : json.find_first_of(",}]", begin);
  return json.substr(begin, end - begin);
}
inline std::string text_member(const std::string& json, const std::string& name) {
  const auto raw = member(json, name);
  return raw.size() < 2 ? raw : raw.substr(1, raw.size() - 2);
}

/// Counts and hashes records as a reader would.
struct Tally {
  std::map<std::string, std::string> rows;  // key -> bytes, the newest
  void add(std::int64_t tenant, const std::string& record) { rows[std::to_string(tenant) + ":" + member(record, "id")] = record; }
  std::string hash() const {
    Sum128 sum;
    for (const auto& [key, bytes] : rows) sum += record_hash(key, bytes);
    return sum.hex();
  }
};

struct SimTest : ::testing::Test {
  asio::io_context loop;
  test::VirtualClock clock{loop};
  std::unique_ptr<Simulator> sim;
  std::unique_ptr<http::Client> client;
  std::map<std::int64_t, std::string> tokens;

  void start_with(Options options) {
    options.plain = true;
    auto started = sim::start(loop.get_executor(), clock, std::move(options));
    ASSERT_TRUE(started) << started.error().message();
    sim = std::move(*started);
    client = http::make_client(loop.get_executor(), clock, {}).value();
    tokens.clear();
  }
  static Options small() {
    Options options;
    options.records = 120;
    options.export_page = 50;
    options.requests_per_second = 0;
    options.record_bytes = 600;
    return options;
  }
  void TearDown() override {
    if (sim) run(sim->stop());
  }

  void run(asio::awaitable<void> task) { test::run(loop, std::move(task)); }
  static asio::awaitable<void> exchange(http::Client& client, http::Origin origin, http::Request request,
                                        core::Result<http::Response>& out) {
    auto connection = co_await client.connect(std::move(origin), false, {});
    if (!connection)
      out = core::fail(connection.error());
    else
      out = co_await (*connection)->exchange(std::move(request), {}, {});
  }
  core::Result<http::Response> send(http::Request request) {
    core::Result<http::Response> out = core::fail(core::ErrorKind::internal, "not run");
    run(exchange(*client, http::parse_url(sim->url()).value().origin, std::move(request), out));
    return out;
  }
  http::Response post(std::string target, std::string body) {
    http::Request request;
    request.method = "POST";
    request.target = std::move(target);
    request.body = std::move(body);
    return send(std::move(request)).value();
  }
  http::Response plain_get(std::string target, http::Headers headers = {}) {
    http::Request request;
    request.target = std::move(target);
    request.headers = std::move(headers);
    return send(std::move(request)).value();
  }
  static std::string form(const TenantAccess& who) {
    return "grant_type=client_credentials&client_id=" + http::percent_encode(who.client_id) +
           "&client_secret=" + http::percent_encode(who.client_secret);
  }
  http::Headers credentials(std::int64_t tenant) {
    auto& token = tokens[tenant];
    if (token.empty())
      for (const auto& who : sim->tenants())
        if (who.id == tenant) token = text_member(post("/connect/token", form(who)).body, "access_token");
    return {{"Authorization", "Bearer " + token}, {"ST-App-Key", sim->app_key()}};
  }
  http::Request api_request(std::int64_t tenant, const std::string& module, const std::string& rest) {
    http::Request request;
    request.target = "/" + module + "/v2/tenant/" + std::to_string(tenant) + "/" + rest;
    request.headers = credentials(tenant);
    return request;
  }
  http::Response get(std::int64_t tenant, const std::string& module, const std::string& rest) {
    return send(api_request(tenant, module, rest)).value();
  }
  Truth truth(std::int64_t tenant, const std::string& resource) {
    for (const auto& t : sim->truth(resource))
      if (t.tenant == tenant) return t;
    return {};
  }
  /// Follows an export feed from `from` to its end; gives the last token.
  std::string crawl(std::int64_t tenant, const std::string& module, const std::string& path, std::string from, Tally& tally) {
    for (int page = 0; page < 1000; ++page) {
      const auto response = get(tenant, module, path + (from.empty() ? "" : "?from=" + http::percent_encode(from)));
      EXPECT_EQ(response.status, 200) << response.body;
      for (const auto& record : records_of(response.body)) tally.add(tenant, record);
      from = text_member(response.body, "continueFrom");
      if (member(response.body, "hasMore") != "true") return from;
    }
    ADD_FAILURE() << "endless feed";
    return {};
  }
};

}  // namespace stsync::sim
