// The command line: every command, option and help text, and nothing else.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>
#include <system_error>

#include <boost/system/system_error.hpp>

#include "app/commands.hpp"

namespace stsync::app {
namespace {

void add_config(CLI::App& cmd, ConfigOptions& o) {
  cmd.add_option("--config,-c", o.file, "Configuration file")->envname("STSYNC_CONFIG")->capture_default_str();
  cmd.add_option("--set", o.sets, "Override one value, as in --set kafka.group=test (repeatable)")->take_all();
}

struct Options {
  ConfigOptions worker, webhook, check, print;
  SyncOptions sync;
  ControlOptions control;
  StreamsOptions streams;
  SchedulesOptions schedules;
  DlqOptions dlq;
  SimOptions sim;
  DemoOptions demo;
  TopicsOptions topics;
  CatalogOptions catalog;
};

void add_worker(CLI::App& app, Options& o, int& exit) {
  auto* cmd = app.add_subcommand("worker", "Take commands from Kafka, read ServiceTitan, publish the records");
  add_config(*cmd, o.worker);
  cmd->callback([&] { exit = run_worker(o.worker); });
}

void add_webhook(CLI::App& app, Options& o, int& exit) {
  auto* cmd =
      app.add_subcommand("webhook",
                         "Take ServiceTitan's webhooks (POST /webhooks/<app>), publish them and ask for what they name to be\n"
                         "synced. Apps with webhook_secret_files are served; docs/webhooks.md tells how to set it up");
  add_config(*cmd, o.webhook);
  cmd->callback([&] { exit = run_webhook(o.webhook); });
}

void add_sync(CLI::App& app, Options& o, int& exit) {
  auto* cmd = app.add_subcommand("sync", "Ask for resources of a tenant to be synced");
  add_config(*cmd, o.sync.config);
  cmd->add_option("--resource,-r", o.sync.resources, "Resource, or a pattern such as 'jpm.*' (repeatable, or with commas)")
      ->delimiter(',')
      ->take_all();
  cmd->add_option("--app", o.sync.app, "App; may be left out when there is one");
  cmd->add_option("--tenant", o.sync.tenant, "Tenant; may be left out when there is one");
  cmd->add_option("--mode", o.sync.mode, "incremental, full, window or ids")
      ->check(CLI::IsMember({"incremental", "full", "window", "ids"}))
      ->capture_default_str();
  cmd->add_option("--priority", o.sync.priority, "interactive, normal or backfill")
      ->check(CLI::IsMember({"interactive", "normal", "backfill"}))
      ->capture_default_str();
  cmd->add_option("--from", o.sync.from, "Start of a window, inclusive: 2026-01-02 or 2026-01-02T03:04:05Z");
  cmd->add_option("--to", o.sync.to, "End of a window, exclusive");
  cmd->add_option("--start-within", o.sync.start_within, "Fails as expired where it has not begun by then: 10m");
  cmd->add_option("--end-within", o.sync.end_within, "Fails as expired where it has not ended by then: 2h");
  cmd->add_option("--ids", o.sync.ids, "Single rows, of one resource (mode ids): 12,34")->delimiter(',')->take_all();
  cmd->add_option("--report", o.sync.report,
                  "Rows of a report instead of a resource: CATEGORY/ID, as reporting.category-reports has them");
  cmd->add_option("--param", o.sync.parameters,
                  "Parameter of the report (repeatable): From=2026-01-01; JSON is sent as it is, a name given twice as an array")
      ->take_all();
  cmd->add_option("--id", o.sync.id, "Id of the command and its job (one resource only); made up when left out");
  cmd->add_flag("--wait,-w", o.sync.wait, "Follow the jobs to their end and exit by their outcome");
  cmd->callback([&] { exit = run_sync(o.sync); });
}

void add_control(CLI::App& app, Options& o, int& exit, const char* name, const char* help) {
  auto* cmd = app.add_subcommand(name, help);
  add_config(*cmd, o.control.config);
  cmd->add_option("--app", o.control.app, "App; may be left out when there is one");
  cmd->add_option("--tenant", o.control.tenant, "Tenant; may be left out when there is one");
  cmd->add_option("--job", o.control.job, "One job; left out: all of the tenant");
  cmd->add_option("--resource,-r", o.control.resource, "All jobs of one resource");
  cmd->add_flag("--wait,-w", o.control.wait, "Wait for the answer");
  cmd->callback([&o, &exit, name] {
    o.control.action = name;
    exit = run_control(o.control);
  });
}

void add_streams(CLI::App& app, Options& o, int& exit) {
  auto* cmd = app.add_subcommand("streams", "The cursors of tenants and resources: look at them, set them, forget them");
  cmd->require_subcommand(1);
  auto& s = o.streams;
  const auto add = [&](const char* name, const char* help) {
    auto* sub = cmd->add_subcommand(name, help);
    add_config(*sub, s.config);
    sub->add_option("--app", s.app, "App; may be left out when there is one");
    sub->add_option("--tenant", s.tenant, "Tenant; may be left out when there is one");
    sub->callback([&s, &exit, name] {
      s.action = name;
      exit = run_streams(s);
    });
    return sub;
  };
  auto* list = add("list", "All streams, of every tenant unless one is named");
  auto* show = add("show", "One resource's");
  for (auto* sub : {list, show})
    sub->add_option("--output", s.output, "table or json")->check(CLI::IsMember({"table", "json"}))->capture_default_str();
  show->add_option("resource", s.resource, "Its name")->required();
  auto* set = add("set", "Go on from there: a continuation token of the export feed, or a time (UTC) for a list");
  set->add_option("resource", s.resource, "Its name")->required();
  set->add_option("cursor", s.value, "The token or time")->required();
  auto* reset = add("reset", "Forget the cursor: the next incremental is a full");
  auto* resource = reset->add_option("resource", s.resource, "Its name");
  auto* all = reset->add_flag("--all", s.all, "Every stream that the tenant has, after its data was replaced");
  resource->excludes(all);
  for (auto* sub : {set, reset}) sub->add_flag("--wait,-w", s.wait, "Wait for the answers");
}

void add_schedules(CLI::App& app, Options& o, int& exit) {
  auto* cmd = app.add_subcommand("schedules", "Syncs that begin by themselves: when the next one is due, how the last one ended");
  cmd->require_subcommand(1);
  auto* list = cmd->add_subcommand("list", "All that the configuration has, with next, last, result and lag");
  auto& s = o.schedules;
  add_config(*list, s.config);
  list->add_option("--app", s.app, "Only of this app");
  list->add_option("--tenant", s.tenant, "Only of this tenant");
  list->add_option("--resource,-r", s.resource, "Only of this resource");
  list->add_option("--output", s.output, "table or json")->check(CLI::IsMember({"table", "json"}))->capture_default_str();
  list->callback([&s, &exit] { exit = run_schedules(s); });
}

void add_dlq(CLI::App& app, Options& o, int& exit) {
  auto* cmd = app.add_subcommand("dlq", "The dead letters: commands that were rejected, records that no topic takes");
  cmd->require_subcommand(1);
  auto& d = o.dlq;
  const auto add = [&](const char* name, const char* help) {
    auto* sub = cmd->add_subcommand(name, help);
    add_config(*sub, d.config);
    sub->callback([&d, &exit, name] {
      d.action = name;
      exit = run_dlq(d);
    });
    return sub;
  };
  auto* list = add("list", "What they were and why they could not be used, the oldest first");
  auto* show = add("show", "The cause (stderr) and the bytes (stdout) of some");
  auto* replay = add("replay", "Try again: a rejected command is sent under another id, a record is read by its id");
  list->add_option("--output", d.output, "table or json")->check(CLI::IsMember({"table", "json"}))->capture_default_str();
  show->add_option("letters", d.letters, "Their names in the list, PARTITION:OFFSET")->required();
  replay->add_option("letters", d.letters, "Their names in the list, PARTITION:OFFSET; left out: all with the code");
  for (auto* sub : {list, replay}) {
    sub->add_option("--code", d.code, "Only those with this code, as queue_full or too_large");
    sub->add_option("--last", d.last, "At most so many, the latest ones")->check(CLI::Range(1, 100'000))->capture_default_str();
  }
  replay->add_flag("--wait,-w", d.wait, "Follow the jobs to their end and exit by their outcome");
}

void add_sim_webhooks(CLI::App& cmd, SimOptions& o) {
  auto* url = cmd.add_option(
      "--webhook-url", o.webhook_url,
      "Tell this receiver of changed rows: https://HOST:PORT, with or without a path, in which {app} stands for the app");
  const auto add_webhook = [&](const char* name, std::string& value, const char* help) {
    return cmd.add_option(name, value, help)->needs(url);
  };
  add_webhook("--webhook-secret-file", o.webhook_secret_file, "File with the secret that signs what is told");
  add_webhook("--webhook-ca", o.webhook_ca, "CA (PEM) of the receiver instead of the system's");
  add_webhook("--webhook-header", o.webhook_header, "Header of the signature")->capture_default_str();
  add_webhook("--webhook-encoding", o.webhook_encoding, "How the signature is written: hex or base64")->capture_default_str();
}

void add_sim(CLI::App& app, Options& o, int& exit) {
  auto* cmd = app.add_subcommand("sim", "Run the ServiceTitan simulator: token endpoint, API, quotas, seeded data");
  cmd->add_option("--listen", o.sim.listen, "Address and port; port 0 takes a free one")->capture_default_str();
  cmd->add_option("--tenants", o.sim.tenants, "Tenant ids, separated by commas")->delimiter(',')->capture_default_str();
  cmd->add_option("--records", o.sim.records, "Rows per tenant and resource")->capture_default_str();
  cmd->add_option("--seed", o.sim.seed, "The same seed gives the same data")->capture_default_str();
  cmd->add_option("--rate", o.sim.rate, "Calls a second allowed per app and tenant; 0: no limit")->capture_default_str();
  cmd->add_option("--rate-of", o.sim.rate_of, "What the rate is for: each tenant, or the app with all of them")
      ->capture_default_str()
      ->check(CLI::IsMember({"tenant", "app"}));
  cmd->add_option("--export-page", o.sim.export_page, "Rows of a page of an export feed")->capture_default_str();
  cmd->add_option("--record-bytes", o.sim.record_bytes, "About the size of a record, where its fields allow it")
      ->capture_default_str();
  cmd->add_option("--time-scale", o.sim.time_scale,
                  "The 15 minutes of the feeds, the minute of the reports and the waits of webhooks pass so many times faster")
      ->capture_default_str();
  cmd->add_option("--churn", o.sim.churn, "Rows that change, vanish or appear in a second, per tenant")->capture_default_str();
  cmd->add_option("--faults", o.sim.faults_file, "File with faults for the start, as POST /__sim/faults takes them");
  cmd->add_option("--without", o.sim.without, "Scopes (\"tn.prl.\") or APIs (\"payroll\") that no tenant has, separated by commas")
      ->delimiter(',');
  add_sim_webhooks(*cmd, o.sim);
  cmd->add_flag("--plain", o.sim.plain, "HTTP, for clients that cannot be given a CA");
  cmd->add_flag("!--no-gzip", o.sim.gzip, "Never compress an answer");
  cmd->add_option("--tls-cert", o.sim.tls_cert, "Certificate chain (PEM) instead of one made at start");
  cmd->add_option("--tls-key", o.sim.tls_key, "Its key (PEM)");
  cmd->add_option("--config", o.sim.config_out,
                  "Also write a configuration that a worker and the webhook ingress can use as it is");
  cmd->add_option("--bootstrap-servers", o.sim.bootstrap_servers, "Kafka servers to write into that configuration")
      ->capture_default_str();
  cmd->callback([&] { exit = run_sim(o.sim); });
}

void add_demo(CLI::App& app, Options& o, int& exit) {
  auto* cmd = app.add_subcommand(
      "demo",
      "The whole system in one terminal: embedded broker, simulator, worker, one tenant, every record checked.\n"
      "The broker is librdkafka's mock: it proves the wiring, not exactly-once delivery (no fencing, no isolation, 5 MiB a\n"
      "partition, so records are read back while they are written). The tests prove that on a real Kafka.");
  cmd->add_option("--records", o.demo.records, "Rows of the tenant over all resources")->capture_default_str();
  cmd->add_option("--seed", o.demo.seed, "The same seed gives the same data")->capture_default_str();
  cmd->add_option("--output", o.demo.output, "table or json")->check(CLI::IsMember({"table", "json"}))->capture_default_str();
  cmd->callback([&] { exit = run_demo(o.demo); });
}

void add_topics(CLI::App& app, Options& o, int& exit) {
  auto* cmd = app.add_subcommand("topics", "The topics that stsync needs");
  cmd->require_subcommand(1);
  const auto add = [&](const char* name, const char* help) {
    auto* sub = cmd->add_subcommand(name, help);
    add_config(*sub, o.topics.config);
    sub->callback([&o, &exit, name] {
      o.topics.action = name;
      exit = run_topics(o.topics);
    });
    return sub;
  };
  add("plan", "Print what create would do");
  add("create", "Create what is missing");
  add("check", "Say what is missing or wrong; exit 78 when something is");
  add("migrate",
      "Let the commands and the journal grow to kafka.partitions, with jobs and cursors moved along. Stop all workers first;\n"
      "one that was interrupted goes on when it is run again")
      ->add_flag("--dry-run", o.topics.dry_run, "Only print what it would do; workers may run");
}

void add_overrides(CLI::App& cmd, ConfigOptions& o) {
  auto* file = cmd.add_option("--config", o.file, "Configuration whose overrides are told; without it what is built in");
  cmd.add_option("--set", o.sets, "Override a key: a.b=value")->needs(file);
}

void add_catalog(CLI::App& app, Options& o, int& exit) {
  auto* cmd = app.add_subcommand("catalog", "The resources that can be synced");
  cmd->require_subcommand(1);
  auto* list = cmd->add_subcommand("list", "All of them");
  list->add_option("--output", o.catalog.output, "table or json")->check(CLI::IsMember({"table", "json"}))->capture_default_str();
  add_overrides(*list, o.catalog.config);
  list->callback([&] {
    o.catalog.action = "list";
    exit = run_catalog(o.catalog);
  });
  auto* show = cmd->add_subcommand("show", "How one is read");
  show->add_option("resource", o.catalog.name, "Its name")->required();
  show->add_option("--output", o.catalog.output, "table or json")->check(CLI::IsMember({"table", "json"}))->capture_default_str();
  add_overrides(*show, o.catalog.config);
  show->callback([&] {
    o.catalog.action = "show";
    exit = run_catalog(o.catalog);
  });
}

int run(int argc, char** argv) {
  CLI::App app("stsync reads ServiceTitan and publishes every record to Kafka, exactly once and byte for byte.", "stsync");
  app.set_version_flag("--version", "stsync " STSYNC_VERSION);
  app.require_subcommand(1);
  app.fallthrough(false);
  Options o;
  int exit = Exit::ok;
  add_worker(app, o, exit);
  add_webhook(app, o, exit);
  add_sync(app, o, exit);
  add_control(app, o, exit, "cancel", "Cancel jobs");
  add_control(app, o, exit, "pause", "Pause jobs");
  add_control(app, o, exit, "resume", "Resume paused jobs");
  add_streams(app, o, exit);
  add_schedules(app, o, exit);
  add_dlq(app, o, exit);
  add_sim(app, o, exit);
  add_demo(app, o, exit);
  add_topics(app, o, exit);
  add_catalog(app, o, exit);
  auto* check = app.add_subcommand("check", "Say everything that is wrong with a configuration");
  add_config(*check, o.check);
  check->callback([&] { exit = run_check(o.check); });
  auto* print = app.add_subcommand("config", "Print a configuration with all defaults and overrides; secrets as ***");
  add_config(*print, o.print);
  print->callback([&] { exit = run_config_print(o.print); });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const auto code = app.exit(e);
    return code == 0 ? Exit::ok : Exit::usage;
  }
  return exit;
}

/// No more threads, or files: not ours to mend, and it may pass.
int starved(const std::exception& e) {
  std::fprintf(stderr, "stsync: the system does not give what is needed to run: %s\n", e.what());
  return Exit::unavailable;
}

}  // namespace
}  // namespace stsync::app

int main(int argc, char** argv) {
  try {
    return stsync::app::run(argc, argv);
  } catch (const std::system_error& e) {
    return stsync::app::starved(e);
  } catch (const boost::system::system_error& e) {
    return stsync::app::starved(e);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "stsync: bug: %s\n", e.what());
    return stsync::app::Exit::internal;
  }
}
