#pragma once
#include <cstdint>
#include <fstream>
#include <string>

#include <fmt/format.h>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "core/text.hpp"
#include "http/client.hpp"
#include "stage/stage.hpp"

namespace stsync::test {

/// An event of the vendor's that names a job of the stage's tenant.
inline std::string event_of_job(const std::string& job, const std::string& id) {
  return fmt::format(R"({{"specversion":"1.0","id":"d-{}","type":"tn.jpm.job-updated","time":"2026-01-02T03:04:05Z",)"
                     R"("source":"https://webhooks.servicetitan.io","userassignedid":"{}","datacontenttype":"application/json",)"
                     R"("data":{{"job":{{"id":{}}},"tenantId":1001,"tenantName":"A Company"}}}})",
                     id, id, job);
}

/// An ingress on the stage's Kafka, and a sender of events, of which each has a connection to itself. Any thread sends.
class Hook {
 public:
  explicit Hook(const Stage& stage, bool tls = true)
      : ingress(stage.start_webhook({"telemetry.log_level=debug"}, tls)), secret_(stage.webhook_secret()) {}

  Process& process() { return *ingress.process; }
  const core::Secret& secret() const { return secret_; }
  std::uint16_t port() const { return http::parse_url(ingress.url).value().origin.port; }

  /// The status of the answer, 0 without one.
  int post(const std::string& body, const std::string& signature) const {
    boost::asio::io_context loop(1);
    const auto clock = core::make_system_clock(loop.get_executor());
    int status = 0;
    auto exchange = [&]() -> boost::asio::awaitable<void> {
      auto client = http::make_client(loop.get_executor(), *clock, {.ca_file = ingress.ca_file}).value();
      {
        auto connection = co_await client->connect(http::parse_url(ingress.url).value().origin, true, {});
        if (connection) {
          http::Request request;
          request.method = "POST";
          request.target = "/webhooks/acme";
          request.headers = {{"x-servicetitan-signature", signature}, {"content-type", "application/json"}};
          request.body = body;
          auto response = co_await (*connection)->exchange(std::move(request), {}, {});
          if (response) status = response->status;
        }
      }
      co_await client->close();
    };
    boost::asio::co_spawn(loop, exchange(), [](const std::exception_ptr&) {});
    loop.run();
    return status;
  }
  int post(const std::string& body) const { return post(body, core::hmac_sha256_hex(secret_, body)); }

  /// As a sender does who tries again: the last status. A broker with new topics may take none for seconds.
  int post_again_and_again(const std::string& body) const {
    int status = 0;
    for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(120);
         status != 200 && std::chrono::steady_clock::now() < end;)
      status = post(body);
    return status;
  }

  /// KiB, the most that it ever had.
  long peak_memory() const {
    std::ifstream in(fmt::format("/proc/{}/status", ingress.process->pid()));
    for (std::string line; std::getline(in, line);)
      if (line.starts_with("VmHWM:")) return std::strtol(line.c_str() + 6, nullptr, 10);
    return 0;
  }

  Stage::Ingress ingress;

 private:
  core::Secret secret_;
};

}  // namespace stsync::test
