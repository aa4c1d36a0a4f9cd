#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace stsync::app {

/// Exit codes of the program (design 1); sysexits where they fit.
enum Exit {
  ok = 0,
  job_failed = 1,
  usage = 2,
  not_found = 3,
  bad_data = 65,
  unavailable = 69,
  internal = 70,
  not_permitted = 77,
  bad_config = 78,
  interrupted = 130,
};

struct ConfigOptions {
  std::string file = "stsync.yaml";
  std::vector<std::string> sets;  ///< a.b=c
};

struct SyncOptions {
  ConfigOptions config;
  std::string app;          ///< empty: the only one
  std::int64_t tenant = 0;  ///< 0: the only one
  std::vector<std::string> ids;
  std::vector<std::string> resources;
  std::string mode = "incremental";
  std::string priority = "normal";
  std::string from, to;
  std::string start_within, end_within;  ///< durations
  std::string report;                    ///< CATEGORY/ID
  std::vector<std::string> parameters;   ///< NAME=VALUE
  std::string id;
  bool wait = false;
};

struct ControlOptions {
  ConfigOptions config;
  std::string action;  ///< cancel, pause, resume
  std::string app;
  std::int64_t tenant = 0;
  std::string job, resource;
  bool wait = false;
};

struct StreamsOptions {
  ConfigOptions config;
  std::string action;  ///< list, show, set, reset
  std::string app;
  std::int64_t tenant = 0;
  std::string resource, value;
  bool all = false, wait = false;
  std::string output = "table";
};

struct SchedulesOptions {
  ConfigOptions config;
  std::string app;
  std::int64_t tenant = 0;
  std::string resource;
  std::string output = "table";
};

struct DlqOptions {
  ConfigOptions config;
  std::string action;                ///< list, show, replay
  std::vector<std::string> letters;  ///< PARTITION:OFFSET
  std::string code;
  std::size_t last = 100;
  bool wait = false;
  std::string output = "table";
};

struct SimOptions {
  std::string listen = "127.0.0.1:0";
  std::vector<std::int64_t> tenants{1001};
  std::size_t records = 1000;
  std::uint64_t seed = 1;
  double rate = 60;
  std::string rate_of = "tenant";
  bool plain = false;
  bool gzip = true;
  std::string tls_cert, tls_key, config_out;
  std::string bootstrap_servers = "localhost:9092";
  std::size_t export_page = 500;
  std::size_t record_bytes = 1000;
  double time_scale = 1;
  double churn = 0;
  std::string faults_file;
  std::vector<std::string> without;
  std::string webhook_url, webhook_secret_file, webhook_ca, webhook_header = "x-servicetitan-signature", webhook_encoding = "hex";
};

struct DemoOptions {
  std::size_t records = 100'000;
  std::uint64_t seed = 1;
  std::string output = "table";
};

struct TopicsOptions {
  ConfigOptions config;
  std::string action;  ///< plan, create, check, migrate
  bool dry_run = false;
};

struct CatalogOptions {
  ConfigOptions config{"", {}};  ///< no file: the catalogue as it is built in
  std::string action;            ///< list, show
  std::string name;
  std::string output = "table";
};

// Each returns the exit code. Human text goes to stderr, data to stdout.
int run_worker(const ConfigOptions& options);
int run_webhook(const ConfigOptions& options);
int run_sync(const SyncOptions& options);
int run_control(const ControlOptions& options);
int run_streams(const StreamsOptions& options);
int run_schedules(const SchedulesOptions& options);
int run_dlq(const DlqOptions& options);
int run_sim(const SimOptions& options);
int run_demo(const DemoOptions& options);
int run_topics(const TopicsOptions& options);
int run_check(const ConfigOptions& options);
int run_config_print(const ConfigOptions& options);
int run_catalog(const CatalogOptions& options);

}  // namespace stsync::app
