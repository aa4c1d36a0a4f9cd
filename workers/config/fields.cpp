#include "config/fields.hpp"

namespace stsync::config {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMiB = 1U << 20U;
constexpr const char* kTopic = "[A-Za-z0-9._-]{1,249}";

template <class T>
using Member = std::string T::*;

Table<Sasl> sasl_table() {
  Table<Sasl> t("How stsync signs in at Kafka.");
  t.choice("mechanism", &Sasl::mechanism, {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}, "SASL mechanism.").required();
  t.text("username", &Sasl::username, "User name.").required();
  t.secret("password", &Sasl::password, "the password");
  return t;
}

Table<KafkaTls> kafka_tls_table() {
  Table<KafkaTls> t("TLS towards Kafka.");
  t.path("ca_file", &KafkaTls::ca_file, "PEM file with the authorities to trust; without it the system's.");
  t.path("certificate_file", &KafkaTls::certificate_file, "PEM file with the client's certificate, for mutual TLS.");
  t.path("key_file", &KafkaTls::key_file, "PEM file with the client's key, for mutual TLS.");
  return t;
}

Table<Topics> topics_table() {
  Table<Topics> t("Names of the topics.");
  const auto add = [&t](const char* name, Member<Topics> member, const char* help) {
    t.text(name, member, help, "a topic name", kTopic);
  };
  add("commands", &Topics::commands, "Commands to stsync.");
  add("journal", &Topics::journal, "State of jobs and streams; compacted, as many partitions as commands.");
  add("status", &Topics::status, "What happens to each job.");
  add("usage", &Topics::usage, "Calls per app and tenant.");
  add("webhooks", &Topics::webhooks, "Webhook events as received.");
  add("dlq", &Topics::dlq, "Dead letters: commands and records that cannot be used.");
  t.text("records", &Topics::records, "Records; a name with the placeholders {api}, {resource} and {environment}.", "a topic name");
  return t;
}

Table<Kafka> kafka_table() {
  Table<Kafka> t("The Kafka cluster.");
  t.text("bootstrap_servers", &Kafka::bootstrap_servers, "First brokers to ask, HOST:PORT, separated by commas.");
  t.choice("security_protocol", &Kafka::security_protocol, {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl"},
           "How to talk to the brokers.");
  t.optional("sasl", &Kafka::sasl, sasl_table(), "Sign-in, for the sasl_ protocols.");
  t.object("tls", &Kafka::tls, kafka_tls_table(), "Certificates, for the ssl protocols.");
  t.text("group", &Kafka::group, "Consumer group, also the prefix of the transactional ids: one name for all workers.",
         "letters, digits, '.', '_', '-'", "[A-Za-z0-9._-]{1,200}");
  t.text("instance_id", &Kafka::instance_id,
         "Static membership: auto (host name and a slot number) or a name that no other worker has.",
         "letters, digits, '.', '_', '-'", "[A-Za-z0-9._-]{1,200}");
  t.object("topics", &Kafka::topics, topics_table(), "Names of the topics.");
  t.integer("partitions", &Kafka::partitions, 1, 1000,
            "Partitions of commands and journal when stsync creates them: the unit of ownership.");
  t.integer("record_partitions", &Kafka::record_partitions, 1, 1000, "Partitions of a records topic when stsync creates it.");
  t.integer("replication_factor", &Kafka::replication_factor, -1, 10, "Of topics that stsync creates; -1: the broker's default.");
  t.duration("session_timeout", &Kafka::session_timeout, 6s, 30min, "A worker that is silent for so long loses its partitions.");
  t.text_map("properties", &Kafka::properties, "Raw librdkafka properties. Those that stsync's guarantees rest on are refused.");
  return t;
}

Table<Environment> environment_table() {
  Table<Environment> t("Hosts of a ServiceTitan environment.");
  t.text("api_url", &Environment::api_url, "Base of the API, https://HOST[:PORT].", "a URL").required();
  t.text("token_url", &Environment::token_url, "Token endpoint.", "a URL").required();
  t.path("ca_file", &Environment::ca_file, "PEM file with the authorities to trust instead of the system's.");
  return t;
}

Table<Schedule> schedule_table() {
  Table<Schedule> t("Syncs that start by themselves.");
  t.texts("resources", &Schedule::resources, "Resources, or patterns with *.").required();
  t.duration("every", &Schedule::every, 1min, 24h * 366, "Time between two runs; either this or cron.");
  t.text("cron", &Schedule::cron,
         "When runs are due: minute, hour, day of the month, month, day of the week as in a crontab, or @daily and the like.",
         "five fields such as '0 2 * * *'");
  t.text("time_zone", &Schedule::time_zone, "Whose time cron means, a name such as America/Chicago.", "a time zone");
  t.duration(
      "jitter", &Schedule::jitter, 0s, 24h,
      "Each stream begins its runs so much later at most, always at the same time; not given: of every the whole time between "
      "two runs, of cron 10m.");
  t.choice("mode", &Schedule::mode, {"incremental", "full"}, "What changed since the run before, or everything.");
  t.choice("priority", &Schedule::priority, {"normal", "backfill", "interactive"}, "Whose turn it is when calls are scarce.");
  return t;
}

Table<Tenant> tenant_table() {
  Table<Tenant> t("A tenant of the app.");
  t.integer("id", &Tenant::id, 1, 9e15, "The tenant's number.").required();
  t.text("environment", &Tenant::environment, "Name of its environment: production, integration or one of yours.");
  t.secret("client_id", &Tenant::client_id, "the client id");
  t.secret("client_secret", &Tenant::client_secret, "the client secret");
  t.integer("weight", &Tenant::weight, 1, 1000, "Its share of an app-wide limit, relative to the app's other tenants.");
  t.objects("schedules", &Tenant::schedules, schedule_table(), "Syncs that start by themselves.");
  return t;
}

Table<AppLimits> app_limits_table() {
  Table<AppLimits> t("What the app may ask of the API.");
  t.number("requests_per_second", &AppLimits::requests_per_second, 0.01, 1000, "Calls a second, for each tenant or for the app.");
  t.choice("scope", &AppLimits::scope, {"tenant", "app"},
           "Whether the limit holds for each tenant (the vendor's rule) or the app as a whole.");
  t.integer("reports_per_minute", &AppLimits::reports_per_minute, 1, 60, "Runs of one report a minute and tenant.");
  return t;
}

Table<App> app_table() {
  Table<App> t("A ServiceTitan app.");
  t.text("name", &App::name, "Your name for it, part of keys, headers and metrics.", "a name such as 'acme' or 'acme-2'",
         "[a-z0-9][a-z0-9-]{0,62}")
      .required();
  t.secret("app_key", &App::app_key, "the app key");
  t.paths("webhook_secret_files", &App::webhook_secret_files, "Files with the signing secrets of webhooks; two during a rotation.");
  t.boolean("shared_credentials", &App::shared_credentials, "Tenants may share a client id and secret (Enterprise Hub networks).");
  t.object("limits", &App::limits, app_limits_table(), "What the app may ask of the API.");
  t.objects("tenants", &App::tenants, tenant_table(), "Its tenants.");
  return t;
}

Table<Worker> worker_table() {
  Table<Worker> t("Budgets of a worker.");
  t.size("max_memory", &Worker::max_memory, 64 * kMiB, 1024 * 1024 * kMiB, "Memory for pages in flight and for jobs.");
  t.size("page_buffer", &Worker::page_buffer, kMiB / 16, 1024 * kMiB, "A body larger than this goes through a file.");
  t.size("max_body", &Worker::max_body, kMiB, 4 * 1024 * kMiB, "A larger body, as sent or inflated, is an error (too_large).");
  t.path("spool_dir", &Worker::spool_dir,
         "Directory on a disk for those files: as much room for each as the body takes as sent and inflated. Full: spool_full. "
         "Notes of what crashed the worker stand there too.");
  t.duration("settle", &Worker::settle, 0s, 24h, "A window of a list ends this long before now, so that late writes are inside.");
  t.duration("dedupe_keep", &Worker::dedupe_keep, 1min, 30 * 24h, "How long the id of a finished command is remembered.");
  t.duration("drain_timeout", &Worker::drain_timeout, 1s, 10min, "Time to end orderly after SIGTERM.");
  t.duration("give_up_after", &Worker::give_up_after, 1min, 30 * 24h,
             "A job that waits so long without getting on (throttled, retrying, auth_failed) fails.");
  t.integer("max_dead_letters", &Worker::max_dead_letters, 0, 1'000'000'000,
            "A job that would write more dead letters than this within an hour fails (dead_letters).");
  t.choice("lost_cursor", &Worker::lost_cursor, {"restart", "from-watermark", "fail"},
           "A cursor that ServiceTitan no longer knows, or has not reached: a full as a new job, reading on from the latest change "
           "published (feeds), or nothing. It is told in every case.");
  return t;
}

Table<Webhook> webhook_table() {
  Table<WebhookTls> tls("Certificate of the ingress.");
  tls.path("certificate_file", &WebhookTls::certificate_file,
           "PEM file with the certificate chain; read anew when it changes, as the key.")
      .required();
  tls.path("key_file", &WebhookTls::key_file, "PEM file with the key.").required();
  Table<WebhookSignature> signature("How the vendor signs.");
  signature.text("header", &WebhookSignature::header, "Header that carries the signature.", "a header name", "[A-Za-z0-9-]{1,100}");
  signature.choice("algorithm", &WebhookSignature::algorithm, {"hmac-sha256", "hmac-sha512", "hmac-sha1"},
                   "How the signature is made of the body and the secret.");
  signature.choice("encoding", &WebhookSignature::encoding, {"hex", "base64"}, "How the signature is written.");
  signature.text("prefix", &WebhookSignature::prefix, "What stands before the signature in its header, as in sha256=.",
                 "1 to 40 letters, digits and =_:.,-", "[A-Za-z0-9=_:.,-]{1,40}");
  Table<Webhook> t("The webhook ingress.");
  t.text("listen", &Webhook::listen, "Address and port.", "ADDRESS:PORT");
  t.optional("tls", &Webhook::tls, tls, "Certificate of the ingress; without it plain HTTP, for a proxy in front.");
  t.object("signature", &Webhook::signature, signature, "How the vendor signs.");
  t.size("max_body", &Webhook::max_body, kMiB / 1024, kMiB / 2, "A larger event is refused (413).");
  t.size("max_memory", &Webhook::max_memory, kMiB, 64 * 1024 * kMiB,
         "Memory for events that are being read, and as much for those on their way to Kafka; beyond it they are refused (503).");
  t.integer("max_in_flight", &Webhook::max_in_flight, 1, 100'000,
            "Events on their way to Kafka at once; further ones are refused (503) before anything else is looked at.");
  t.integer("max_connections", &Webhook::max_connections, 1, 100'000,
            "Connections open at once; with more the one whose request takes longest to come is closed.");
  t.integer("max_connections_per_peer", &Webhook::max_connections_per_peer, 1, 100'000,
            "Of them, connections from one IPv4 address or one /64 of IPv6; behind a trusted proxy, requests under way of one.");
  t.texts("trusted_proxies", &Webhook::trusted_proxies,
          "Addresses and networks (10.0.0.0/8) of proxies whose X-Forwarded-For names the peer.");
  return t;
}

Table<Telemetry> telemetry_table() {
  Table<Telemetry> t("Metrics and logs.");
  t.text("listen", &Telemetry::listen, "Address and port of /metrics, /livez and /readyz.", "ADDRESS:PORT");
  t.boolean("tenant_label", &Telemetry::tenant_label, "Whether metrics name tenants (on or off).");
  t.choice("log_format", &Telemetry::log_format, {"json", "text"}, "One JSON object a line, or text for people.");
  t.choice("log_level", &Telemetry::log_level, {"debug", "info", "warn", "error"}, "The least important lines to write.");
  return t;
}

Table<Config> make_config_table() {
  Table<Config> limits("How workers share limits.");
  limits.text("store", &Config::limits_store,
              "local, or a Redis through which workers share limits: redis://[USER@]HOST[:PORT][/DB][?prefix=…] or unix:///PATH.");
  limits.secret("password", &Config::limits_password, "the store's password");
  limits.integer(
      "expected_workers", &Config::expected_workers, 1, 1000,
      "How many workers share an app-wide limit and the token endpoint: without a store each of them gets its part, with "
      "one this is what each keeps to while the store is away.");
  Table<Config> catalogue("Which resources there are.");
  catalogue.path("overrides", &Config::catalogue_overrides, "YAML file that changes entries of the built-in catalogue.");
  catalogue.secret("hash_key", &Config::catalogue_hash_key, "the key of hash_fields: with it they are HMAC-SHA-256");
  Table<Config> records("The form of records.");
  records.boolean("cloudevents", &Config::cloudevents, "Adds CloudEvents headers (ce_…) to each record.");

  Table<Config> t("stsync configuration");
  t.object("kafka", &Config::kafka, kafka_table(), "The Kafka cluster.");
  t.object_map("environments", &Config::environments, &Environment::name, environment_table(), "name",
               "Further ServiceTitan environments; production and integration are built in.");
  t.objects("apps", &Config::apps, app_table(), "ServiceTitan apps and their tenants.");
  t.texts("tenants_from", &Config::tenants_from,
          "Files (patterns with *) with further tenants, each a list of tenants with an `app`.");
  t.section("limits", limits, "How workers share limits.");
  t.section("catalogue", catalogue, "Which resources there are.");
  t.object("worker", &Config::worker, worker_table(), "Budgets of a worker.");
  t.object("webhook", &Config::webhook, webhook_table(), "The webhook ingress.");
  t.section("records", records, "The form of records.");
  t.object("telemetry", &Config::telemetry, telemetry_table(), "Metrics and logs.");
  return t;
}

Table<ExtraTenant> make_extra_tenant_table() {
  Table<ExtraTenant> t("A tenant in a file of its own.");
  t.text("app", &ExtraTenant::app, "Name of the app it belongs to.").required();
  return t.include(&ExtraTenant::tenant, tenant_table());
}

}  // namespace

const Table<Config>& config_table() {
  static const auto table = make_config_table();
  return table;
}

const Table<ExtraTenant>& extra_tenant_table() {
  static const auto table = make_extra_tenant_table();
  return table;
}

std::string print(const Config& config) { return to_yaml(config_table().write(config)); }
std::string json_schema() { return json_schema(config_table().shape()); }
std::string reference_markdown() { return reference_markdown(config_table().shape()); }

}  // namespace stsync::config
