#include "stage/stage.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <stdexcept>

#include <fmt/format.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "codec/page.hpp"
#include "core/text.hpp"
#include "http/client.hpp"
#include "kafka/reader.hpp"

namespace stsync::test {

using namespace std::chrono_literals;

namespace {

std::string shell(const std::vector<std::string>& command, std::chrono::milliseconds timeout) {
  auto f = run(command, timeout);
  if (f.code != 0) throw std::runtime_error(fmt::format("{} failed: {} {}", command[0], f.out, f.err));
  return f.out;
}

std::string without_newline(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::string first_line(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

std::string text_of(const std::map<std::string, std::string_view>& members, const char* name) {
  return codec::json_text(members.at(name)).value();
}

}  // namespace

std::string metrics_of(const Process& worker) { return fetch(telemetry_url(worker) + "/metrics"); }

Stage::Stage(StageOptions options) : options_(std::move(options)) {
  std::string name = (std::filesystem::temp_directory_path() / "stsync-e2e-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  folder_ = name;
  config_ = folder_ / "stsync.yaml";
  make_broker();
  std::string tenants;
  for (const auto t : options_.tenants) tenants += (tenants.empty() ? "" : ",") + std::to_string(t);
  std::vector<std::string> simulator{STSYNC_PROGRAM,
                                     "sim",
                                     "--tenants",
                                     tenants,
                                     "--records",
                                     std::to_string(options_.records),
                                     "--rate",
                                     fmt::format("{}", options_.rate),
                                     "--export-page",
                                     std::to_string(options_.export_page),
                                     "--record-bytes",
                                     std::to_string(options_.record_bytes),
                                     "--config",
                                     config_,
                                     "--bootstrap-servers",
                                     cluster_.bootstrap_servers};
  if (!options_.tls_and_gzip) simulator.insert(simulator.end(), {"--plain", "--no-gzip"});
  simulator.insert(simulator.end(), options_.sim.begin(), options_.sim.end());
  simulator_ = std::make_unique<Process>(std::move(simulator));
  if (!simulator_->wait_for_text("\"url\"", 30s)) throw std::runtime_error("the simulator does not start: " + simulator_->err());
  auto line = simulator_->out();
  line.resize(line.find('\n'));
  const auto members = codec::json_members(line);
  simulator_url_ = text_of(members.value(), "url");
  ca_file_ = text_of(members.value(), "ca_file");
  const auto created = stsync({"topics", "create"});
  if (created.code != 0) throw std::runtime_error("topics create: " + created.err);
}

void Stage::make_broker() {
  std::vector<std::string> start{STSYNC_SOURCE "/scripts/kafka", "start", folder_ / "kafka"};
  if (options_.kafka_proxy) {
    kafka_proxy_ = std::make_unique<KafkaProxy>();
    start.insert(start.begin(), {"env", "KAFKA_PROXY=" + kafka_proxy_->address()});
  }
  if (options_.kafka_auth) start.insert(start.begin(), {"env", "KAFKA_AUTH=1"});
  if (!options_.kafka_settings.empty()) {
    const auto file = folder_ / "kafka.properties";
    std::ofstream(file) << options_.kafka_settings << '\n';
    start.insert(start.begin(), {"env", "KAFKA_EXTRA=" + file.string()});
  }
  cluster_.bootstrap_servers = without_newline(shell(start, 120s));
  if (kafka_proxy_) kafka_proxy_->forward_to(first_line(folder_ / "kafka" / "bootstrap.proxied"));
}

std::vector<std::string> Stage::sasl_sets(const std::string& mechanism) const {
  const auto broker = folder_ / "kafka";
  return {"kafka.bootstrap_servers=" + first_line(broker / "bootstrap.sasl_ssl"),
          "kafka.security_protocol=sasl_ssl",
          "kafka.sasl.mechanism=" + mechanism,
          "kafka.sasl.username=stsync",
          "kafka.sasl.password=stsync-secret",
          "kafka.tls.ca_file=" + (broker / "ca.pem").string()};
}

KafkaProxy& Stage::kafka_proxy() const {
  if (!kafka_proxy_) throw std::logic_error("a stage without a proxy");
  return *kafka_proxy_;
}

Stage::~Stage() {
  simulator_.reset();
  run({STSYNC_SOURCE "/scripts/kafka", "kill", folder_ / "kafka"});
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void Stage::stop_broker() const { run({STSYNC_SOURCE "/scripts/kafka", "kill", folder_ / "kafka"}); }
void Stage::start_broker() const { shell({STSYNC_SOURCE "/scripts/kafka", "start", folder_ / "kafka"}, 120s); }

std::vector<std::string> Stage::command(std::vector<std::string> args, const std::vector<std::string>& sets) const {
  std::vector<std::string> out{STSYNC_PROGRAM};
  out.insert(out.end(), args.begin(), args.end());
  out.insert(out.end(), {"--config", config_});
  std::vector<std::string> all{fmt::format("kafka.partitions={}", options_.partitions), "kafka.session_timeout=6s",
                               "telemetry.listen=127.0.0.1:0", fmt::format("worker.spool_dir={}", folder_.string())};
  all.insert(all.end(), options_.sets.begin(), options_.sets.end());
  all.insert(all.end(), sets.begin(), sets.end());
  for (const auto& s : all) out.insert(out.end(), {"--set", s});
  return out;
}

Finished Stage::stsync(std::vector<std::string> args, std::chrono::milliseconds timeout) const {
  return run(command(std::move(args)), timeout);
}

std::unique_ptr<Process> Stage::start_worker(std::vector<std::string> sets, bool wait, int lanes) const {
  if (kafka_proxy_) sets.insert(sets.begin(), "kafka.bootstrap_servers=" + kafka_proxy_->address());
  auto line = command({"worker"}, sets);
  if (!options_.worker.empty()) line.front() = options_.worker;
  auto worker = std::make_unique<Process>(std::move(line));
  if (wait && !wait_ready(*worker, lanes)) throw std::runtime_error("the worker does not start: " + worker->err());
  return worker;
}

bool Stage::wait_ready(Process& worker, int lanes) const {
  return worker.wait_for_text("lane_ready", 60s, static_cast<std::size_t>(lanes < 0 ? options_.partitions : lanes));
}

std::vector<kafka::Message> Stage::read(const std::vector<std::string>& topics) const {
  std::vector<kafka::Message> out;
  for (const auto& topic : topics)
    for (int p = 0; p < 3; ++p) {
      auto ok = kafka::read_to_end(cluster_, topic, p, 60s, [&](kafka::Message m) { out.push_back(std::move(m)); });
      if (!ok) throw std::runtime_error(ok.error().message());
    }
  return out;
}

Stage::Calls Stage::calls() const {
  const auto stats = control("/__sim/stats");
  const auto members = codec::json_members(stats).value();
  Calls out;
  for (const auto& row : json_rows(std::string(members.at("tenants")))) {
    out.answered[std::stoll(row.at("tenant"))] = std::stod(row.at("ok"));
    out.refused += std::stod(row.at("refused_429"));
    out.most_in_one_second = std::max(out.most_in_one_second, std::stod(row.at("max_calls_in_one_second")));
  }
  if (const auto app = members.find("max_calls_in_one_second"); app != members.end())
    out.most_in_one_second = std::stod(std::string(app->second));
  return out;
}

double Stage::Calls::all_answered() const {
  double sum = 0;
  for (const auto& [tenant, n] : answered) sum += n;
  return sum;
}

std::unique_ptr<Process> start_redis(const std::string& socket) {
  auto redis =
      std::make_unique<Process>(std::vector<std::string>{"redis-server", "--port", "0", "--unixsocket", socket, "--save", ""});
  const auto ready = [](const std::string& line) { return line.find("ccept") != std::string::npos; };
  if (!redis->wait_for(ready, 30s))
    throw std::runtime_error("redis-server, installed by scripts/setup --test, does not start: " + redis->err() + redis->out());
  return redis;
}

std::vector<std::string> Stage::record_topics() const {
  std::vector<std::string> out;
  const auto list = run({STSYNC_PROGRAM, "catalog", "list"});
  std::size_t at = 0;
  for (auto end = list.out.find('\n'); end != std::string::npos; at = end + 1, end = list.out.find('\n', at))
    out.push_back("st." + list.out.substr(at, list.out.find(' ', at) - at));
  return out;
}

std::string fetch(const std::string& url_text, const std::string& ca_file, const std::string& post) {
  boost::asio::io_context loop(1);
  const auto clock = core::make_system_clock(loop.get_executor());
  std::string body;
  auto exchange = [&]() -> boost::asio::awaitable<void> {
    auto client = http::make_client(loop.get_executor(), *clock, {.ca_file = ca_file});
    if (!client) throw std::runtime_error(client.error().message());
    const auto url = http::parse_url(url_text).value();
    {
      auto connection = co_await (*client)->connect(url.origin, true, {});
      if (!connection) throw std::runtime_error(connection.error().message());
      http::Request request;
      request.method = post.empty() ? "GET" : "POST";
      request.target = url.target;
      request.body = post;
      auto response = co_await (*connection)->exchange(std::move(request), {.max_body = 256u << 20}, {});
      if (!response) throw std::runtime_error(response.error().message());
      if (response->status != 200) throw std::runtime_error(url_text + ": " + response->body);
      body = std::move(response->body);
    }
    co_await (*client)->close();
  };
  std::exception_ptr failed;
  boost::asio::co_spawn(loop, exchange(), [&](const std::exception_ptr& e) { failed = e; });
  loop.run();
  if (failed) std::rethrow_exception(failed);
  return body;
}

std::string telemetry_url(const Process& worker) {
  const std::string mark = "\"telemetry\":\"";
  const auto log = worker.err();
  const auto at = log.find(mark);
  if (at == std::string::npos) throw std::runtime_error("the worker has not started: " + log);
  return log.substr(at + mark.size(), log.find('"', at + mark.size()) - at - mark.size());
}

std::string Stage::control(const std::string& path, const std::string& post) const {
  return fetch(simulator_url_ + path, ca_file_, post);
}

namespace {

/// "<job>:<seq>"
std::pair<std::string, std::int64_t> split_job(const std::string& header) {
  const auto colon = header.rfind(':');
  return {header.substr(0, colon), core::parse_int(std::string_view(header).substr(colon + 1)).value_or(-1)};
}

}  // namespace

Checked check_records(const std::vector<kafka::Message>& messages) {
  Checked out;
  std::map<std::string, std::set<std::int64_t>> sequences;
  std::map<std::string, std::int64_t> last;  // by job and partition
  for (const auto& m : messages) {
    const auto* source = m.header("st-source");
    const auto* job_header = m.header("st-job");
    if (source == nullptr || job_header == nullptr || m.headers.size() != 2) {
      out.problems.push_back(fmt::format("{}-{}@{} has other headers than st-source and st-job", m.topic, m.partition, m.offset));
      continue;
    }
    const auto [job, seq] = split_job(*job_header);
    if (!sequences[job].insert(seq).second) out.problems.push_back(fmt::format("{} seq {} twice", job, seq));
    auto& before = last.try_emplace(fmt::format("{}/{}", job, m.partition), -1).first->second;
    if (seq <= before) out.problems.push_back(fmt::format("{} seq {} behind {} in partition {}", job, seq, before, m.partition));
    before = seq;
    const auto first = source->find('/');
    const auto tenant = source->substr(first + 1, source->find('/', first + 1) - first - 1);
    const auto of = tenant + " " + source->substr(source->rfind('/') + 1);
    out.tallies[of].add(m.key.value_or(""), m.value.value_or(""));
    auto& its = out.jobs[job];
    its.of = of;
    its.tally.add(m.key.value_or(""), m.value.value_or(""));
    its.last_ms = std::max(its.last_ms, m.timestamp_ms);
    ++out.records;
  }
  for (const auto& [job, seqs] : sequences)
    if (*seqs.begin() != 0 || *seqs.rbegin() != static_cast<std::int64_t>(seqs.size()) - 1)
      out.problems.push_back(fmt::format("{} has {} records from {} to {}", job, seqs.size(), *seqs.begin(), *seqs.rbegin()));
  return out;
}

std::vector<std::map<std::string, std::string>> json_rows(const std::string& array) {
  // The page cutter finds the objects of an array called data.
  const auto text = "{\"data\":" + array + "}";
  const auto page = codec::cut_page(text, {});
  if (!page) throw std::runtime_error(page.error().message());
  std::vector<std::map<std::string, std::string>> rows;
  for (const auto& record : page->records) {
    auto& row = rows.emplace_back();
    const auto members = codec::json_members(record.bytes.in(text));
    for (const auto& [name, raw] : *members) row[name] = codec::json_text(raw).value_or(std::string(raw));
  }
  return rows;
}

std::vector<std::string> compare_with_truth(const Checked& checked, const std::string& truth_json) {
  std::vector<std::string> out;
  std::size_t known = 0;
  for (const auto& row : json_rows(truth_json)) {
    const auto name = row.at("tenant") + " " + row.at("resource");
    const auto it = checked.tallies.find(name);
    const auto count = it == checked.tallies.end() ? 0 : it->second.count();
    known += it != checked.tallies.end();
    if (std::to_string(count) != row.at("count"))
      out.push_back(fmt::format("{}: {} records, the truth has {}", name, count, row.at("count")));
    else if (count > 0 && it->second.hash() != row.at("hash"))
      out.push_back(fmt::format("{}: other bytes than the simulator sent", name));
  }
  if (known != checked.tallies.size()) out.push_back("records of something the simulator does not know");
  return out;
}

}  // namespace stsync::test
