#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>
#include <unistd.h>

#include "bench.hpp"
#include "codec/gzip.hpp"
#include "codec/page.hpp"
#include "config/config.hpp"
#include "core/text.hpp"
#include "http/message.hpp"
#include "servicetitan/catalogue.hpp"
#include "wire.hpp"

namespace stsync::bench {
namespace {

/// An idempotent producer with the worker's settings for throughput.
class Producer {
 public:
  Producer(const std::string& servers, const std::string& topic) {
    auto* conf = rd_kafka_conf_new();
    std::array<char, 512> why{};
    const std::initializer_list<std::pair<const char*, const char*>> settings{{"bootstrap.servers", servers.c_str()},
                                                                              {"enable.idempotence", "true"},
                                                                              {"linger.ms", "5"},
                                                                              {"compression.codec", "lz4"},
                                                                              {"batch.size", "1000000"},
                                                                              {"partitioner", "murmur2_random"},
                                                                              {"socket.nagle.disable", "true"},
                                                                              {"queue.buffering.max.kbytes", "32768"}};
    for (const auto& [name, value] : settings)
      if (rd_kafka_conf_set(conf, name, value, why.data(), why.size()) != RD_KAFKA_CONF_OK) throw std::runtime_error(why.data());
    client_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why.data(), why.size());
    if (client_ == nullptr) throw std::runtime_error(why.data());
    topic_ = rd_kafka_topic_new(client_, topic.c_str(), nullptr);
    const rd_kafka_metadata_t* metadata = nullptr;
    if (rd_kafka_metadata(client_, 0, topic_, &metadata, 10'000) != RD_KAFKA_RESP_ERR_NO_ERROR)
      throw std::runtime_error("no broker");
    rd_kafka_metadata_destroy(metadata);
  }
  ~Producer() {
    rd_kafka_topic_destroy(topic_);
    rd_kafka_destroy(client_);
  }
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  void send(std::string_view key, std::string_view value, std::string_view source, std::string_view job) {
    for (;;) {
      auto* headers = rd_kafka_headers_new(2);
      rd_kafka_header_add(headers, "st-source", 9, source.data(), static_cast<ssize_t>(source.size()));
      rd_kafka_header_add(headers, "st-job", 6, job.data(), static_cast<ssize_t>(job.size()));
      std::array<rd_kafka_vu_t, 5> args{};
      args[0].vtype = RD_KAFKA_VTYPE_RKT;
      args[0].u.rkt = topic_;
      args[1].vtype = RD_KAFKA_VTYPE_KEY;
      args[1].u.mem = {const_cast<char*>(key.data()), key.size()};
      args[2].vtype = RD_KAFKA_VTYPE_VALUE;
      args[2].u.mem = {const_cast<char*>(value.data()), value.size()};
      args[3].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
      args[3].u.i = RD_KAFKA_MSG_F_COPY;
      args[4].vtype = RD_KAFKA_VTYPE_HEADERS;
      args[4].u.headers = headers;
      auto* error = rd_kafka_produceva(client_, args.data(), args.size());
      if (error == nullptr) return;
      const auto code = rd_kafka_error_code(error);
      rd_kafka_error_destroy(error);
      rd_kafka_headers_destroy(headers);
      if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) throw std::runtime_error(rd_kafka_err2str(code));
      rd_kafka_poll(client_, 10);
    }
  }
  void flush() {
    if (rd_kafka_flush(client_, 60'000) != RD_KAFKA_RESP_ERR_NO_ERROR) throw std::runtime_error("not everything was delivered");
  }

 private:
  rd_kafka_t* client_ = nullptr;
  rd_kafka_topic_t* topic_ = nullptr;
};

/// The body of a 200, inflated.
std::string content(Wire::Answer answer, const std::string& target) {
  if (answer.status != 200) throw std::runtime_error(target + ": " + answer.body);
  return answer.gzip ? codec::gunzip(answer.body, 1u << 30).value() : std::move(answer.body);
}

struct Access {
  const config::App& app;
  const config::Tenant& tenant;
  const config::Environment& environment;
};

std::string fetch_token(const Access& a) {
  const auto url = http::parse_url(a.environment.token_url).value();
  Wire wire(url.origin, a.environment.ca_file);
  const auto form = fmt::format("grant_type=client_credentials&client_id={}&client_secret={}",
                                http::percent_encode(a.tenant.client_id.read().value().reveal()),
                                http::percent_encode(a.tenant.client_secret.read().value().reveal()));
  const auto answer =
      content(wire.exchange("POST", url.target, {{"Content-Type", "application/x-www-form-urlencoded"}}, form), url.target);
  return codec::json_text(codec::json_members(answer).value().at("access_token")).value();
}

void read_feed(const Access& a, const servicetitan::Resource& resource, Producer& producer, Sample& sample) {
  const auto api = http::parse_url(a.environment.api_url).value();
  const http::Headers headers{{"Authorization", "Bearer " + fetch_token(a)},
                              {"ST-App-Key", a.app.app_key.read().value().reveal()},
                              {"Accept-Encoding", "gzip"}};
  auto path = resource.endpoint(servicetitan::Role::export_feed)->path;
  path.replace(path.find("{tenant}"), 8, std::to_string(a.tenant.id));
  const auto source = fmt::format("{}/{}/{}/{}", a.app.name, a.tenant.id, a.environment.name, resource.name);
  Wire wire(api.origin, a.environment.ca_file);
  std::string token;
  std::uint64_t seq = 0;
  for (bool more = true; more;) {
    const auto body = content(wire.exchange("GET", path + "?from=" + http::percent_encode(token), headers, {}), path);
    const auto page = codec::cut_page(body, {}).value();
    for (const auto& record : page.records) {
      producer.send(fmt::format("{}:{}", a.tenant.id, record.key.in(body)), record.bytes.in(body), source,
                    fmt::format("01M68FZ4XKBENCHFLOOR{:07}:{}", a.tenant.id, seq++));
      sample.bytes += record.bytes.length;
    }
    token = codec::json_text(page.continue_from.in(body)).value_or("");
    more = page.has_more.in(body) == "true";
  }
  sample.records += seq;
}

}  // namespace

int run_floor(const FloorOptions& options) {
  const auto loaded = config::load(options.config, {}, {});
  if (!loaded.errors.empty()) throw std::runtime_error(options.config + " is no usable configuration");
  const auto& config = loaded.config;
  const auto catalogue = servicetitan::Catalogue::load({}, {}).value();
  const auto* resource = catalogue.find(options.resource);
  if (resource == nullptr) throw std::runtime_error("no resource " + options.resource);
  Producer producer(config.kafka.bootstrap_servers, "st." + resource->name);
  Sample sample;
  const auto before = cost_of(::getpid());
  const auto start = std::chrono::steady_clock::now();
  for (const auto& app : config.apps)
    for (const auto& tenant : app.tenants)
      read_feed({app, tenant, config.environments.at(tenant.environment)}, *resource, producer, sample);
  producer.flush();
  sample.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  sample.cost = cost_of(::getpid());
  fmt::print(R"({{"records":{},"bytes":{},"wall_seconds":{},"cpu_seconds":{},"peak_rss":{}}})"
             "\n",
             sample.records, sample.bytes, sample.wall_seconds, sample.cost.cpu_seconds - before.cpu_seconds, sample.cost.peak_rss);
  return 0;
}

}  // namespace stsync::bench
