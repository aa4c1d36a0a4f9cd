#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>
#include <unistd.h>

#include "bench.hpp"
#include "codec/page.hpp"
#include "kafka/reader.hpp"
#include "stage/stage.hpp"
#include "webhook_load.hpp"

namespace stsync::bench {
namespace {

using namespace std::chrono_literals;

const std::vector<std::int64_t> kTenants{1001, 1002, 1003, 1004};
constexpr int kPartitions = 3;
constexpr std::uint32_t kMostOfAPeer = 64;  // connections, unless the ingress is told otherwise

/// What is on the topics of what was acknowledged.
struct Proof {
  std::uint64_t acknowledged = 0, missing = 0;        ///< events
  std::uint64_t other_bytes = 0, more_than_once = 0;  ///< messages
  std::uint64_t without_command = 0;                  ///< acknowledged events
};

using Seen = std::vector<std::vector<bool>>;

void each_message(const test::Stage& stage, const char* topic, const std::function<void(const kafka::Message&)>& each) {
  for (int p = 0; p < kPartitions; ++p)
    if (const auto ok = kafka::read_to_end(stage.cluster(), topic, p, 120s, each); !ok)
      throw std::runtime_error(ok.error().message());
}

/// The place of an event; nullptr for what is none of the load.
std::vector<bool>::reference place(Seen& seen, const std::string& id) {
  const auto which = EventMaker::which(id);
  if (!which || which->first >= seen.size() || which->second >= seen[which->first].size())
    throw std::runtime_error("an event that nobody sent: " + id);
  return seen[which->first][which->second];
}

std::uint64_t count_missing(const Load& load, const Seen& seen) {
  std::uint64_t out = 0;
  for (std::size_t c = 0; c < seen.size(); ++c)
    for (std::size_t n = 0; n < seen[c].size(); ++n) out += load.acknowledged[c][n] && !seen[c][n] ? 1 : 0;
  return out;
}

Proof prove(const test::Stage& stage, const EventMaker& events, const Load& load) {
  Proof out;
  Seen stored, ordered;
  for (const auto& connection : load.acknowledged) {
    out.acknowledged += static_cast<std::uint64_t>(std::count(connection.begin(), connection.end(), true));
    stored.emplace_back(connection.size());
  }
  ordered = stored;
  each_message(stage, "st.webhooks", [&](const kafka::Message& m) {
    const auto id = codec::json_text(codec::json_field(m.value.value_or(""), "userassignedid")).value_or("");
    auto seen = place(stored, id);
    out.more_than_once += seen ? 1 : 0;
    seen = true;
    out.other_bytes += m.value == events.body(*EventMaker::which(id)) ? 0 : 1;
  });
  each_message(stage, "st.commands", [&](const kafka::Message& m) {
    if (const auto* id = m.header("st-event"); id != nullptr) place(ordered, *id) = true;
  });
  out.missing = count_missing(load, stored);
  out.without_command = count_missing(load, ordered);
  return out;
}

struct Use {
  Cost ingress, generator, broker;
};
Use use_of(const test::Stage& stage, const test::Process& ingress) {
  int broker = 0;
  std::ifstream(stage.folder() / "kafka" / "pid") >> broker;
  return {cost_of(ingress.pid()), cost_of(::getpid()), cost_of(broker)};
}

struct Run {
  bool tls = true;
  Load load;
  Proof proof;
  double ingress = 0, generator = 0, broker = 0;  ///< CPU seconds
  std::uint64_t peak_rss = 0;                     ///< of the ingress, bytes
  double per_second() const { return static_cast<double>(load.milliseconds.size()) / load.wall_seconds; }
  bool lossless() const { return proof.missing + proof.other_bytes + proof.without_command == 0; }
};

Run measure(const WebhookOptions& options, bool tls) {
  const test::Stage stage({.tenants = kTenants, .records = 10, .partitions = kPartitions});
  std::vector<std::string> sets;
  if (options.connections > kMostOfAPeer) sets.push_back(fmt::format("webhook.max_connections_per_peer={}", options.connections));
  const auto ingress = stage.start_webhook(sets, tls);
  const EventMaker events(kTenants, options.bytes);
  Run run;
  run.tls = tls;
  const auto before = use_of(stage, *ingress.process);
  run.load = send_events(events, {.url = ingress.url,
                                  .ca_file = ingress.ca_file,
                                  .secret = stage.webhook_secret(),
                                  .connections = options.connections,
                                  .seconds = options.seconds,
                                  .rate = options.rate});
  const auto after = use_of(stage, *ingress.process);
  run.ingress = after.ingress.cpu_seconds - before.ingress.cpu_seconds;
  run.generator = after.generator.cpu_seconds - before.generator.cpu_seconds;
  run.broker = after.broker.cpu_seconds - before.broker.cpu_seconds;
  run.peak_rss = after.ingress.peak_rss;
  ingress.process->signal(SIGTERM);
  if (ingress.process->wait(60s) != 0) throw std::runtime_error("the ingress does not end well: " + ingress.process->err());
  run.proof = prove(stage, events, run.load);
  return run;
}

std::string refusals(const Load& load) {
  std::string out;
  for (const auto& [status, times] : load.refused) out += fmt::format(", {} answered {}", times, status);
  if (load.broken > 0) out += fmt::format(", {} connections broken ({})", load.broken, load.problem);
  return out.empty() ? ", none refused" : out;
}

void print(const Run& run, const WebhookOptions& options) {
  const auto& ms = run.load.milliseconds;
  const auto& proof = run.proof;
  fmt::print("{}, {} connections, {:.1f} s: {:.0f} events/s acknowledged ({} of {:.0f} KB each{})\n", run.tls ? "TLS" : "plain",
             options.connections, run.load.wall_seconds, run.per_second(), ms.size(), static_cast<double>(options.bytes) / 1000,
             refusals(run.load));
  fmt::print("  acknowledged after {:.1f} ms (median), {:.1f} ms (p95), {:.1f} ms (p99), {:.1f} ms (most)\n", percentile(ms, 0.5),
             percentile(ms, 0.95), percentile(ms, 0.99), percentile(ms, 1));
  fmt::print("  CPU {:.1f} s ingress, {:.1f} s generator, {:.1f} s broker; the ingress had {:.0f} MiB at most\n", run.ingress,
             run.generator, run.broker, static_cast<double>(run.peak_rss) / (1 << 20));
  fmt::print("  of {} acknowledged: {} missing, {} without a command, {} with other bytes, {} more than once\n", proof.acknowledged,
             proof.missing, proof.without_command, proof.other_bytes, proof.more_than_once);
  std::fflush(stdout);
}

std::string json_of(const Run& run) {
  const auto& ms = run.load.milliseconds;
  std::uint64_t refused = 0;
  for (const auto& [status, times] : run.load.refused) refused += times;
  return fmt::format(
      R"({{"transport":"{}","wall_seconds":{:.3f},"acknowledged":{},"events_per_second":{:.0f},"refused":{},"broken":{},)"
      R"("p50_ms":{:.2f},"p95_ms":{:.2f},"p99_ms":{:.2f},"max_ms":{:.2f},"cpu_ingress":{:.2f},"cpu_generator":{:.2f},)"
      R"("cpu_broker":{:.2f},"peak_rss":{},"missing":{},"without_command":{},"other_bytes":{},"more_than_once":{}}})",
      run.tls ? "tls" : "plain", run.load.wall_seconds, ms.size(), run.per_second(), refused, run.load.broken, percentile(ms, 0.5),
      percentile(ms, 0.95), percentile(ms, 0.99), percentile(ms, 1), run.ingress, run.generator, run.broker, run.peak_rss,
      run.proof.missing, run.proof.without_command, run.proof.other_bytes, run.proof.more_than_once);
}

}  // namespace

int run_webhook(const WebhookOptions& options) {
  std::string json;
  bool lossless = true;
  for (const bool tls : {true, false}) {
    if (tls ? options.plain && !options.tls : options.tls && !options.plain) continue;
    const auto run = measure(options, tls);
    print(run, options);
    json += (json.empty() ? "" : ",\n ") + json_of(run);
    lossless = lossless && run.lossless();
  }
  write_file(options.json, fmt::format("{{\"bench\":\"webhook\",\"connections\":{},\"bytes\":{},\"rate\":{},\"runs\":[\n {}\n]}}\n",
                                       options.connections, options.bytes, options.rate, json));
  return lossless ? 0 : 1;
}

}  // namespace stsync::bench
