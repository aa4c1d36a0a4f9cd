#include <algorithm>
#include <csignal>
#include <cstdio>
#include <stdexcept>

#include <fmt/format.h>

#include "bench.hpp"
#include "codec/page.hpp"
#include "stage/stage.hpp"

namespace stsync::bench {
namespace {

using namespace std::chrono_literals;

const std::string kResource = "jpm.jobs";
const std::vector<std::int64_t> kTenants{1001, 1002, 1003};
constexpr auto kLongest = std::chrono::minutes(60);

/// From the first job's start to the end of the last one, as the status topic tells.
double seconds_of_work(const test::Stage& stage) {
  std::int64_t first = INT64_MAX, last = 0;
  std::size_t completed = 0;
  for (const auto& m : stage.read({"st.status"})) {
    const auto members = codec::json_members(*m.value).value();
    const auto type = codec::json_text(members.at("type")).value_or("");
    if (type == "started") first = std::min(first, m.timestamp_ms);
    if (type != "completed") continue;
    ++completed;
    last = std::max(last, m.timestamp_ms);
  }
  if (completed != kTenants.size()) throw std::runtime_error(fmt::format("{} of {} jobs completed", completed, kTenants.size()));
  return static_cast<double>(last - first) / 1000;
}

/// The worker, from ready to done.
Sample measure_worker(const test::Stage& stage) {
  const auto worker = stage.start_worker({"kafka.session_timeout=45s"});
  const auto before = cost_of(worker->pid());
  std::vector<std::unique_ptr<test::Process>> followers;
  for (const auto tenant : kTenants)
    followers.push_back(std::make_unique<test::Process>(
        stage.command({"sync", "--tenant", std::to_string(tenant), "--resource", kResource, "--mode", "full", "--wait"})));
  for (const auto& f : followers)
    if (f->wait(kLongest) != 0) throw std::runtime_error("a job failed: " + f->err());
  Sample sample;
  sample.cost = cost_of(worker->pid());
  sample.cost.cpu_seconds -= before.cpu_seconds;
  worker->signal(SIGTERM);
  if (worker->wait(60s) != 0) throw std::runtime_error("the worker does not end well: " + worker->err());
  sample.wall_seconds = seconds_of_work(stage);
  for (const auto& m : stage.read({"st." + kResource})) {
    ++sample.records;
    sample.bytes += m.value->size();
  }
  return sample;
}

Sample measure_floor(const test::Stage& stage, const std::string& self) {
  const auto done = test::run({self, "floor", "--config", stage.config_file(), "--resource", kResource}, kLongest);
  if (done.code != 0) throw std::runtime_error("the floor failed: " + done.err);
  const auto members = codec::json_members(done.out).value();
  const auto number = [&](const char* name) { return std::stod(std::string(members.at(name))); };
  Sample sample;
  sample.records = static_cast<std::uint64_t>(number("records"));
  sample.bytes = static_cast<std::uint64_t>(number("bytes"));
  sample.wall_seconds = number("wall_seconds");
  sample.cost = {number("cpu_seconds"), static_cast<std::uint64_t>(number("peak_rss"))};
  return sample;
}

struct Pair {
  Sample worker, floor;
  double ratio() const { return worker.cpu_per_million() / floor.cpu_per_million(); }
};

/// Each on a stage of its own, so that neither finds what the other warmed up.
Pair measure(const PipelineOptions& options, bool tls_and_gzip, const std::string& self) {
  const test::StageOptions play{.tenants = kTenants,
                                .records = options.records / kTenants.size(),
                                .rate = 0,
                                .export_page = options.page,
                                .tls_and_gzip = tls_and_gzip,
                                .sets = {"apps.0.limits.requests_per_second=1000"}};
  Pair pair;
  pair.worker = measure_worker(test::Stage(play));
  pair.floor = measure_floor(test::Stage(play), self);
  if (pair.worker.records != pair.floor.records || pair.worker.bytes != pair.floor.bytes)
    throw std::runtime_error("worker and floor moved different records");
  return pair;
}

std::string json_of(const Sample& s) {
  return fmt::format(
      R"({{"records":{},"bytes":{},"wall_seconds":{:.3f},"records_per_second":{:.0f},"cpu_seconds":{:.2f},"cpu_seconds_per_million":{:.3f},"peak_rss":{}}})",
      s.records, s.bytes, s.wall_seconds, s.records_per_second(), s.cost.cpu_seconds, s.cpu_per_million(), s.cost.peak_rss);
}

void print(const char* who, const Sample& s) {
  fmt::print("  {:<7}{:>10.0f} records/s {:>8.2f} CPU s per million records {:>8.0f} MiB peak\n", who, s.records_per_second(),
             s.cpu_per_million(), static_cast<double>(s.cost.peak_rss) / (1 << 20));
  std::fflush(stdout);
}

}  // namespace

int run_pipeline(const PipelineOptions& options, const std::string& self) {
  std::string json;
  for (const bool tls_and_gzip : {false, true}) {
    const auto* transport = tls_and_gzip ? "tls+gzip" : "plain";
    std::vector<double> ratios;
    for (int run = 1; run <= options.runs; ++run) {
      const auto pair = measure(options, tls_and_gzip, self);
      const auto& w = pair.worker;
      fmt::print("{}, run {} of {}: {} records, {:.0f} bytes each\n", transport, run, options.runs, w.records,
                 static_cast<double>(w.bytes) / static_cast<double>(w.records));
      print("worker", pair.worker);
      print("floor", pair.floor);
      fmt::print("  ratio  {:.2f}\n", pair.ratio());
      ratios.push_back(pair.ratio());
      json += fmt::format(R"({}{{"transport":"{}","worker":{},"floor":{},"ratio":{:.3f}}})", json.empty() ? "" : ",\n ", transport,
                          json_of(pair.worker), json_of(pair.floor), pair.ratio());
    }
    fmt::print("{}: the worker costs {:.2f} times the floor's CPU (median of {}; {:.2f} to {:.2f})\n\n", transport, median(ratios),
               options.runs, *std::min_element(ratios.begin(), ratios.end()), *std::max_element(ratios.begin(), ratios.end()));
  }
  write_file(options.json, fmt::format("{{\"bench\":\"pipeline\",\"page\":{},\"runs\":[\n {}\n]}}\n", options.page, json));
  return 0;
}

}  // namespace stsync::bench
