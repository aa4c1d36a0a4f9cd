#include <cstdio>
#include <exception>
#include <list>

#include <CLI/CLI.hpp>

#include "bench.hpp"

namespace stsync::bench {
namespace {

int run(int argc, char** argv) {
  CLI::App app("Measures stsync as a whole process against a real Kafka and the simulator", "scripts/bench");
  app.require_subcommand(1);
  int exit = 0;

  PipelineOptions pipeline;
  auto* cmd = app.add_subcommand("pipeline", "CPU, memory and throughput per record, and their ratio to the least it could cost");
  cmd->add_option("--records", pipeline.records, "Records of a run, about 1 KB each")
      ->capture_default_str()
      ->check(CLI::Range(3, 100'000'000));
  cmd->add_option("--page", pipeline.page, "Records of a page")->capture_default_str()->check(CLI::Range(1, 5000));
  cmd->add_option("--runs", pipeline.runs, "Runs of each kind")->capture_default_str()->check(CLI::Range(1, 100));
  cmd->add_option("--json", pipeline.json, "Also write every figure into this file");
  cmd->callback([&] { exit = run_pipeline(pipeline, argv[0]); });

  std::list<TimedOptions> timed;
  const auto add_timed = [&](const char* name, const char* help, const char* seconds_help, int least,
                             int (*measure)(const TimedOptions&)) {
    auto& o = timed.emplace_back();
    cmd = app.add_subcommand(name, help);
    cmd->add_option("--seconds", o.seconds, seconds_help)->capture_default_str()->check(CLI::Range(least, 86'400));
    cmd->add_option("--json", o.json, "Also write every figure into this file");
    cmd->callback([&exit, &o, measure] { exit = measure(o); });
  };
  add_timed("quota", "How much of 60 calls a second is used under saturated demand, and how often the server refuses",
            "How long to count", 1, run_quota);
  add_timed("fairness", "How fifty tenants share one quota, and what the small ones notice of a large one",
            "How long to count, three times", 10, run_fairness);
  add_timed("control", "How soon a pause, resume or cancel has its effect with two hundred running jobs",
            "How long to pause and resume, ten jobs a second", 1, run_control);
  add_timed("shared", "How three workers keep one limit that is in Redis, also while that is away",
            "How long to count, with Redis and around its absence", 15, run_shared);

  TenantsOptions tenants;
  cmd = app.add_subcommand("tenants", "What idle tenants cost a worker in memory and CPU");
  cmd->add_option("--tenants", tenants.tenants, "How many")->capture_default_str()->check(CLI::Range(2, 100'000));
  cmd->add_option("--seconds", tenants.seconds, "How long to look at the CPU, twice")
      ->capture_default_str()
      ->check(CLI::Range(5, 3600));
  cmd->add_flag("--used", tenants.used, "Each has made a call before (five tenants a second)");
  cmd->add_flag("--store", tenants.store, "Limits are kept in a Redis");
  cmd->add_option("--json", tenants.json, "Also write every figure into this file");
  cmd->callback([&] { exit = run_tenants(tenants); });

  FloodOptions flood;
  cmd = app.add_subcommand("flood",
                           "More commands of few tenants than anybody could work off: speed, memory, and what others notice");
  cmd->add_option("--commands", flood.commands, "How many")->capture_default_str();
  cmd->add_option("--tenants", flood.tenants, "Whose they are")->capture_default_str()->check(CLI::Range(1, 1000));
  cmd->add_option("--ids", flood.ids, "Ids of each command; without: windows of a list")->check(CLI::Range(0, 5000));
  cmd->add_option("--max-memory", flood.max_memory, "worker.max_memory")->capture_default_str();
  cmd->add_option("--slow", flood.slow, "Milliseconds by which Kafka answers later")->check(CLI::Range(0, 60'000));
  cmd->add_flag("--pages", flood.pages, "Beside them each tenant reads a feed");
  cmd->add_option("--page", flood.page, "Bytes of its pages")->capture_default_str();
  cmd->add_option("--seconds", flood.seconds, "How long to go on looking at the memory")->check(CLI::Range(0, 3600));
  cmd->add_option("--json", flood.json, "Also write every figure into this file");
  cmd->callback([&] { exit = run_flood(flood); });

  WebhookOptions webhook;
  cmd = app.add_subcommand("webhook", "How many webhook events the ingress acknowledges, how soon, and whether none is lost");
  cmd->add_option("--seconds", webhook.seconds, "How long to send")->capture_default_str()->check(CLI::Range(1, 86'400));
  cmd->add_option("--connections", webhook.connections, "Connections that are kept alive")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  cmd->add_option("--bytes", webhook.bytes, "About the size of an event")->capture_default_str()->check(CLI::Range(1000, 200'000));
  cmd->add_option("--rate", webhook.rate, "Events a second; without: each as soon as the one before is answered")
      ->check(CLI::Range(1.0, 1e6));
  cmd->add_flag("--tls", webhook.tls, "Over TLS only");
  cmd->add_flag("--plain", webhook.plain, "Over plain HTTP only");
  cmd->add_option("--json", webhook.json, "Also write every figure into this file");
  cmd->callback([&] { exit = run_webhook(webhook); });

  FloorOptions floor;
  cmd = app.add_subcommand("floor", "The least the pipeline could cost, as a process of its own")->group("");
  cmd->add_option("--config", floor.config)->required();
  cmd->add_option("--resource", floor.resource)->required();
  cmd->callback([&] { exit = run_floor(floor); });

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 64;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench: %s\n", e.what());
    return 1;
  }
  return exit;
}

}  // namespace
}  // namespace stsync::bench

int main(int argc, char** argv) { return stsync::bench::run(argc, argv); }
