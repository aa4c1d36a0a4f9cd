#include <map>
#include <numeric>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>

#include "bench.hpp"
#include "commands.hpp"
#include "kafka/client.hpp"
#include "stage/stage.hpp"

namespace stsync::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::int64_t kFirst = 1001;
constexpr int kPartitions = 3;
constexpr const char* kNeighbours = "jpm.job-types";

std::int32_t place_of(std::int64_t tenant) { return kafka::partition_for(fmt::format("acme:{}", tenant), kPartitions); }

/// On the partition of the first one.
std::int64_t neighbour_of(int tenants) {
  auto tenant = kFirst + tenants;
  while (place_of(tenant) != place_of(kFirst)) ++tenant;
  return tenant;
}

/// No two of them are alike: each would be a job of its own.
std::string action_of(const FloodOptions& options, std::uint64_t number) {
  if (options.ids == 0)
    return fmt::format(
        R"("sync":{{"resource":"inventory.vendors","mode":"window","from":"2001-01-01T00:00:00.{:03}Z","to":"{}-01-01T00:00:00Z"}})",
        number % 1000, 2002 + number / 1000);
  std::string ids;
  for (std::size_t i = 0; i < options.ids; ++i)
    ids += fmt::format("{}{}", i == 0 ? "" : ",", 100'000'000 + number * options.ids + i);
  return fmt::format(R"("sync":{{"resource":"jpm.jobs","mode":"ids","ids":[{}]}})", ids);
}

/// What became of the commands, as the worker counts them: "accepted 1000".
std::string outcomes_of(const test::Process& worker) {
  std::string out;
  const auto metrics = test::metrics_of(worker);
  const std::string family = "\nstsync_commands_total{outcome=\"";
  for (auto from = metrics.find(family); from != std::string::npos; from = metrics.find(family, from + 1)) {
    const auto name = from + family.size(), end = metrics.find('\n', name), quote = metrics.find('"', name);
    const auto value = metrics.substr(quote + 3, end - quote - 3);
    if (value != "0") out += fmt::format(" {} {}", metrics.substr(name, quote - name), value);
  }
  return out;
}

void slow_down(const test::Stage& stage, int milliseconds) {
  if (milliseconds == 0) return;
  for (const auto api : {test::KafkaApi::produce, test::KafkaApi::end_txn})
    stage.kafka_proxy().add({.api = api,
                             .fault = test::KafkaFault::delay_answer,
                             .times = test::kAlways,
                             .delay = std::chrono::milliseconds(milliseconds)});
}

}  // namespace

int run_flood(const FloodOptions& options) {
  const auto neighbour = neighbour_of(options.tenants);
  test::StageOptions stage_options{.records = 2000,
                                   .export_page = 500,
                                   .record_bytes = options.page / 500,
                                   .partitions = kPartitions,
                                   .sets = {"worker.max_memory=" + options.max_memory},
                                   .kafka_proxy = options.slow > 0};
  stage_options.tenants.resize(static_cast<std::size_t>(options.tenants));
  std::iota(stage_options.tenants.begin(), stage_options.tenants.end(), kFirst);
  stage_options.tenants.push_back(neighbour);
  const test::Stage stage(stage_options);
  const auto worker = stage.start_worker();
  const auto idle = cost_of(worker->pid());
  slow_down(stage, options.slow);
  const auto seconds_since = [](Clock::time_point t) { return std::chrono::duration<double>(Clock::now() - t).count(); };

  const auto start = Clock::now();
  {
    CommandWriter commands(stage.cluster(), "st.commands");
    for (std::int64_t t = kFirst; options.pages && t < kFirst + options.tenants; ++t)
      commands.write(t, "pages", R"("sync":{"resource":"jpm.jobs","mode":"full"})");
    for (std::uint64_t i = 0; i < options.commands; ++i)
      commands.write(kFirst + static_cast<std::int64_t>(i) % options.tenants, fmt::format("flood-{}", i), action_of(options, i));
    commands.flush();
  }
  const auto written = seconds_since(start);
  const auto sent = Clock::now();
  const auto behind =
      stage.stsync({"sync", "--tenant", std::to_string(neighbour), "--resource", kNeighbours, "--mode", "full", "--wait"}, 3600s);
  if (behind.code != 0) throw std::runtime_error("the neighbour's job: " + behind.err);
  const auto waited = seconds_since(sent), read = seconds_since(start);
  const auto one_more = Clock::now();
  if (stage.stsync({"sync", "--tenant", std::to_string(neighbour), "--resource", kNeighbours, "--mode", "full", "--wait"}, 600s)
          .code != 0)
    throw std::runtime_error("the neighbour's second job failed");
  const auto beside = seconds_since(one_more);
  std::this_thread::sleep_for(std::chrono::seconds(options.seconds));
  const auto cost = cost_of(worker->pid());
  const auto outcomes = outcomes_of(*worker);
  constexpr double kMiB = 1 << 20;
  fmt::print(
      "{} commands of {} tenants, written in {:.1f} s:{}\nread after {:.1f} s, {:.1f} s of CPU; a command of a tenant behind them "
      "was "
      "done after {:.1f} s, the next one after {:.2f} s\nthe worker: {:.0f} MiB before, {:.0f} MiB at most, {:.0f} MiB at the "
      "end\n",
      options.commands, options.tenants, written, outcomes, read, cost.cpu_seconds - idle.cpu_seconds, waited, beside,
      static_cast<double>(idle.rss) / kMiB, static_cast<double>(cost.peak_rss) / kMiB, static_cast<double>(cost.rss) / kMiB);
  write_file(
      options.json,
      fmt::format("{{\"bench\":\"flood\",\"commands\":{},\"tenants\":{},\"ids\":{},\"read\":{:.1f},\"behind\":{:.1f},\"beside\":"
                  "{:.2f},\"cpu\":{:.1f},\"rss_idle\":{},\"rss_peak\":{},\"rss_end\":{}}}\n",
                  options.commands, options.tenants, options.ids, read, waited, beside, cost.cpu_seconds - idle.cpu_seconds,
                  idle.rss, cost.peak_rss, cost.rss));
  return 0;
}

}  // namespace stsync::bench
