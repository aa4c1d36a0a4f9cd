#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/problem.hpp"
#include "config/secret_ref.hpp"
#include "core/clock.hpp"

namespace stsync::config {

struct Sasl {
  std::string mechanism;  ///< PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
  std::string username;
  SecretRef password;  ///< password_file
};

struct KafkaTls {
  std::string ca_file, certificate_file, key_file;
};

struct Topics {
  std::string commands = "st.commands", journal = "st.journal", status = "st.status", usage = "st.usage", webhooks = "st.webhooks",
              dlq = "st.dlq";
  std::string records = "st.{api}.{resource}";  ///< placeholders {api} {resource} {environment}
};

struct Kafka {
  std::string bootstrap_servers = "localhost:9092";
  std::string security_protocol = "plaintext";  ///< plaintext, ssl, sasl_plaintext, sasl_ssl
  std::optional<Sasl> sasl;
  KafkaTls tls;
  std::string group = "stsync";
  std::string instance_id = "auto";
  Topics topics;
  int partitions = 12;
  int record_partitions = 3;
  int replication_factor = -1;  ///< of topics that stsync creates; -1: the broker's default
  core::Duration session_timeout = std::chrono::seconds(45);
  std::map<std::string, std::string> properties;  ///< raw librdkafka properties, checked against a deny list
};

struct Environment {
  std::string name, api_url, token_url, ca_file;
};

struct AppLimits {
  double requests_per_second = 60;
  std::string scope = "tenant";  ///< tenant or app
  int reports_per_minute = 1;
};

/// Syncs that start by themselves.
struct Schedule {
  std::vector<std::string> resources;   ///< names or patterns with "*"
  std::optional<core::Duration> every;  ///< either this
  std::string cron;                     ///< or this: five fields, in `time_zone`
  std::string time_zone = "UTC";
  std::optional<core::Duration> jitter;  ///< runs begin up to so much later, each stream at its own time
  std::string mode = "incremental";      ///< incremental | full
  std::string priority = "normal";       ///< normal | backfill | interactive
  Where place{};                         ///< of `resources`, for problems that the catalogue shows
};

struct Tenant {
  std::int64_t id = 0;
  std::string environment = "production";
  SecretRef client_id, client_secret;  ///< client_id_file or client_id, …
  int weight = 1;                      ///< share of an app-wide limit, relative to the app's other tenants
  std::vector<Schedule> schedules;
};

struct App {
  std::string name;
  SecretRef app_key;                              ///< app_key_file or app_key
  std::vector<std::string> webhook_secret_files;  ///< any of them may have signed
  bool shared_credentials = false;                ///< an Enterprise Hub network: tenants may share one client pair
  AppLimits limits;
  std::vector<Tenant> tenants;
};

struct Worker {
  std::uint64_t max_memory = 512ull << 20;
  std::uint64_t page_buffer = 16ull << 20;
  std::uint64_t max_body = 2ull << 30;
  std::string spool_dir = "/tmp";
  core::Duration settle = std::chrono::minutes(5);
  core::Duration dedupe_keep = std::chrono::hours(24);
  core::Duration drain_timeout = std::chrono::seconds(30);
  core::Duration give_up_after = std::chrono::hours(24);
  std::int64_t max_dead_letters = 1000;  ///< of a job in an hour
  std::string lost_cursor = "restart";   ///< restart | from-watermark | fail
};

struct WebhookTls {
  std::string certificate_file, key_file;
};

struct WebhookSignature {
  std::string header = "x-servicetitan-signature";  ///< the vendor's documents do not agree on it
  std::string algorithm = "hmac-sha256";            ///< hmac-sha256 | hmac-sha512 | hmac-sha1
  std::string encoding = "hex";                     ///< hex | base64
  std::string prefix;                               ///< what stands before it, as in "sha256="
};

struct Webhook {
  std::string listen = "0.0.0.0:8444";
  std::optional<WebhookTls> tls;
  WebhookSignature signature;
  std::uint64_t max_body = 256ull << 10;
  std::uint64_t max_memory = 64ull << 20;  ///< of bodies that are being read, and as much of events on their way to Kafka
  int max_in_flight = 512;                 ///< events being published
  int max_connections = 1024;
  int max_connections_per_peer = 64;
  std::vector<std::string> trusted_proxies;  ///< addresses and networks whose X-Forwarded-For counts
};

struct Telemetry {
  std::string listen = "0.0.0.0:9464";
  bool tenant_label = true;         ///< tenant_label: on | off
  std::string log_format = "json";  ///< json | text
  std::string log_level = "info";   ///< debug | info | warn | error
};

struct Config {
  Kafka kafka;
  std::map<std::string, Environment> environments;  ///< with the vendor's production and integration
  std::vector<App> apps;
  std::vector<std::string> tenants_from;  ///< patterns of files with further tenants
  std::string limits_store = "local";     ///< local or redis://…
  SecretRef limits_password;              ///< of the store
  int expected_workers = 1;
  std::string catalogue_overrides;  ///< a file; empty: none
  SecretRef catalogue_hash_key;     ///< of hash_fields; not set: plain hashes
  Worker worker;
  Webhook webhook;
  bool cloudevents = false;
  Telemetry telemetry;

  bool shares_limits() const noexcept { return limits_store != "local"; }
  const App* find_app(const std::string& name) const noexcept;
  const Tenant* find_tenant(const std::string& app, std::int64_t tenant) const noexcept;
};

struct Loaded {
  Config config;
  std::vector<Problem> errors;  ///< the config must not be used when there are any
  std::vector<Problem> warnings;
  std::vector<std::string> files;  ///< every file that was read: what to watch for a reload (secrets are read at each use)
};

/// Reads the file and `tenants_from`, applies STSYNC_… variables from `environment` ("NAME=value"), then `sets` ("a.b=c"), checks
/// everything and reports all problems at once, in the order of the files. Relative paths are relative to the file that holds
/// them. A variable needs a "__" between levels (STSYNC_KAFKA__GROUP); others are none of ours. Blocks on the file system.
Loaded load(const std::string& path, const std::vector<std::string>& sets, const std::vector<std::string>& environment);
/// The configuration as YAML, defaults included, secrets as "***". It loads again where it holds no inline secret.
std::string print(const Config& config);

/// JSON Schema (draft 07) of a configuration file.
std::string json_schema();
/// The reference page of a configuration file, Markdown.
std::string reference_markdown();

}  // namespace stsync::config
