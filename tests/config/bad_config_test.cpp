#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox.hpp"

namespace stsync::config {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class BadConfig : public Sandbox {
 protected:
  static std::string app(const std::string& rest) { return "apps:\n  - name: acme\n    app_key_file: key\n" + rest; }
  static std::string tenants(const std::string& rest) { return app("    tenants:\n" + rest); }
  static std::string tenant(const std::string& id, const std::string& n, const std::string& rest = "") {
    return "      - {id: " + id + ", client_id_file: id" + n + ", client_secret_file: secret" + n + rest + "}\n";
  }
};

TEST_F(BadConfig, EachProblemNamesPlaceFindingAndExpectation) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"kafak: {}\n", "stsync.yaml:1:1: unknown key 'kafak', did you mean 'kafka'?"},
      {"kafka:\n  bootstrap_server: x\n",
       "stsync.yaml:2:3: unknown key 'bootstrap_server' in kafka, did you mean 'bootstrap_servers'?"},
      {"kafka: 5\n", "stsync.yaml:1:8: kafka: found '5', expected a mapping"},
      {"[a]\n", "stsync.yaml:1:1: the file: found a list, expected a mapping"},
      {"text\n", "stsync.yaml:1:1: the file: found 'text', expected a mapping"},
      {"kafka: {partitions: many}\n", "stsync.yaml:1:21: kafka.partitions: found 'many', expected a whole number from 1 to 1000"},
      {"kafka: {partitions: 0}\n", "found '0', expected a whole number from 1 to 1000"},
      {"kafka: {partitions: \"3\"}\n", "kafka.partitions: found '3'"},
      {"kafka: {partitions: 99999999999999999999}\n", "kafka.partitions"},
      {"kafka: {replication_factor: 0}\n", "expected -1 or at least 1"},
      {"kafka: {group: \"a b\"}\n", "kafka.group: found 'a b', expected letters, digits"},
      {"kafka: {security_protocol: sasl_sll}\n", "(did you mean 'sasl_ssl'?)"},
      {"kafka: {security_protocol: sasl_ssl}\n", "kafka.sasl is missing"},
      {"kafka: {sasl: {mechanism: PLAIN, username: u, password: p}}\n", "expected sasl_plaintext or sasl_ssl"},
      {"kafka: {security_protocol: sasl_ssl, sasl: {mechanism: PLAIN, username: u}}\n", "password_file is missing"},
      {"kafka: {security_protocol: sasl_ssl, sasl: {username: u, password: p}}\n", "'mechanism' is missing in kafka.sasl"},
      {"kafka: {bootstrap_servers: \"a:9092,b:99999\"}\n", "found 'b:99999', expected HOST:PORT"},
      {"kafka: {bootstrap_servers: \"http://a\"}\n", "expected HOST:PORT"},
      {"kafka: {topics: {status: st.commands}}\n", "kafka.topics.status: found 'st.commands', which is also kafka.topics.commands"},
      {"kafka: {topics: {records: \"st.{app}\"}}\n", "kafka.topics.records: found 'st.{app}'"},
      {"kafka: {topics: {records: st.status}}\n", "which is also kafka.topics.status"},
      {"kafka: {properties: {acks: 1}}\n", "stsync.yaml:1:22: kafka.properties: 'acks' is set by stsync"},
      {"kafka: {properties: {transactional.id: x}}\n",
       "'transactional.id' is set by stsync, its guarantees rest on it; use kafka.group"},
      {"kafka: {properties: {debug: [a]}}\n", "kafka.properties.debug: found a list, expected a text"},
      {"kafka: {tls: {ca_file: nothing.pem}}\n", "kafka.tls.ca_file: cannot read nothing.pem: No such file or directory"},
      {"kafka: {tls: {key_file: key}}\n", "expected both or none"},
      {"kafka: {session_timeout: 10}\n", "found '10', expected a duration (100ms, 30s, 15m, 24h, 7d) from 6s to 30m"},
      {"kafka: {session_timeout: 1s}\n", "from 6s to 30m"},
      {"kafka: {session_timeout: 99999999999d}\n", "from 6s to 30m"},
      {"worker: {max_memory: 512MB}\n", "worker.max_memory: found '512MB', expected a size"},
      {"worker: {max_memory: 64MiB, page_buffer: 32MiB}\n", "expected at most a quarter of worker.max_memory (64MiB)"},
      {"worker: {max_body: 8GiB}\n", "from 1MiB to 4GiB"},
      {"worker: {max_body: 8MiB}\n", "expected at least worker.page_buffer (16MiB)"},
      {"worker: {spool_dir: key}\n", "expected a directory that can be written to"},
      {"limits: {store: 'redis://:hunter2@cache'}\n", "limits.store: found 'redis://***@cache'"},
      {"limits: {store: 'rediss://cache'}\n", "limits.store: TLS to Redis is not supported"},
      {"limits: {store: 'redis://cache', password_file: /nowhere}\n", "limits.password_file: cannot read"},
      {"limits: {store: memcached}\n", "limits.store: found 'memcached', expected local, redis://HOST[:PORT] or unix:///PATH"},
      {"limits: {expected_workers: 0}\n", "limits.expected_workers"},
      {"catalogue: {overrides: none.yaml}\n", "catalogue.overrides: cannot read none.yaml"},
      {"catalogue: {hash_key_file: none}\n", "stsync.yaml:1:28: catalogue.hash_key_file: cannot read none"},
      {"catalogue: {hash_key_file: key, hash_key: hidden}\n", "found hash_key and hash_key_file, expected one of them"},
      {"telemetry: {listen: 9464}\n", "telemetry.listen: found '9464', expected ADDRESS:PORT"},
      {"telemetry: {tenant_label: maybe}\n", "found 'maybe', expected true or false"},
      {"telemetry: {log_format: xml}\n", "expected one of json, text"},
      {"records: {cloudevents: \"true\"}\n", "expected true or false"},
      {"webhook: {tls: {certificate_file: key}}\n", "'key_file' is missing in webhook.tls"},
      {"webhook: {trusted_proxies: [10.0.0.0/8, 10.0.0.0/40]}\n", "webhook.trusted_proxies: found '10.0.0.0/40'"},
      {"webhook: {max_body: 512KiB, max_memory: 1MiB}\n", "at least four times webhook.max_body (512KiB)"},
      {"webhook: {signature: {algorithm: md5}}\n", "hmac-sha256"},
      {"webhook: {signature: {prefix: \"a b\"}}\n", "1 to 40 letters, digits and =_:.,-"},
      {"environments: {x: {api_url: \"http://example.com\", token_url: \"https://example.com/t\"}}\n",
       "found http, expected https"},
      {"environments: {x: {api_url: \"http://127.example.com\", token_url: \"https://a/t\"}}\n", "found http, expected https"},
      {"environments: {x: {api_url: \"https://a/v2\", token_url: \"https://a/t\"}}\n", "found the path '/v2', expected none"},
      {"environments: {x: {api_url: \"https://u:hidden@a\", token_url: \"https://a/t\"}}\n", "without user, query or fragment"},
      {"environments: {x: {api_url: \"ftp://a\", token_url: \"https://a/t\"}}\n", "expected https://HOST"},
      {"environments: {x: {token_url: \"https://a/t\"}}\n", "'api_url' is missing in environments.x"},
      {"apps: {}\n", "apps: found a mapping, expected a list"},
      {"apps: [x]\n", "apps[0]: found 'x', expected a mapping"},
      {"apps: [~]\n", "apps[0]: found nothing, expected a mapping"},
      {"apps: [{name: Acme, app_key_file: key}]\n", "apps[0].name: found 'Acme'"},
      {"apps: [{app_key_file: key}]\n", "'name' is missing in apps[0]"},
      {"apps: [{name: a}]\n", "apps[0]: 'app_key_file' is missing"},
      {"apps: [{name: a, app_key: [hidden]}]\n", "apps[0].app_key: found a list, expected a text"},
      {"apps: [{name: a, app_key: k, app_key_file: key}]\n", "found app_key and app_key_file, expected one of them"},
      {"apps: [{name: a, app_key_file: key}, {name: a, app_key: other}]\n", "a second app named 'a'"},
      {"apps: [{name: a, app_key_file: key}, {name: b, app_key_file: key}]\n", "the app key is also that of apps[0] ('a')"},
      {app("    limits: {scope: tennant}\n"), "(did you mean 'tenant'?)"},
      {app("    limits: {requests_per_second: 0}\n"), "requests_per_second: found '0'"},
      {app("    limits: {requests_per_second: nan}\n"), "requests_per_second: found 'nan'"},
      {app("    webhook_secret_files: [none]\n"), "webhook_secret_files[0]: cannot read"},
      {tenants("      - {id: 0, client_id_file: id1, client_secret_file: secret1}\n"), "tenants[0].id: found '0'"},
      {tenants("      - {client_id_file: id1, client_secret_file: secret1}\n"), "'id' is missing in apps[0].tenants[0]"},
      {tenants(tenant("1", "1", ", environment: integratoin")), "(did you mean 'integration'?)"},
      {tenants(tenant("1", "1") + tenant("1", "2")), "tenant 1 of app 'acme' is already at stsync.yaml:5:9"},
      {tenants(tenant("1", "1") + tenant("2", "1")), "the client id is also that of stsync.yaml:5:9: a pair belongs to one tenant"},
      {tenants(tenant("1", "1") + "      - {id: 2, client_id_file: id2, client_secret_file: secret1}\n"),
       "the client secret is also that of"},
      {tenants(tenant("1", "1") + tenant("2", "1", ", environment: integration")), "a pair belongs to one environment"},
      {tenants(tenant("1", "1") + tenant("2", "2", ", environment: integration")), "expected {environment} in it"},
      {tenants(tenant("1", "1", ", schedules: [{resources: [\"jpm jobs\"], every: 1h}]")), "found 'jpm jobs', expected a resource"},
      {tenants(tenant("1", "1", ", schedules: [{resources: [\"*\"], every: 1s}]")), "every: found '1s'"},
      {tenants(tenant("1", "1", ", schedules: [{every: 1h}]")), "'resources' is missing"},
      {tenants(tenant("1", "1", ", schedules: [{resources: [\"*\"]}]")), "schedules[0]: expected every or cron"},
      {tenants(tenant("1", "1", ", schedules: [{resources: [\"*\"], every: 1h, cron: \"@daily\"}]")), "found every and cron"},
      {tenants(tenant("1", "1", ", schedules: [{resources: [\"*\"], every: 24h, time_zone: UTC}]")), "time_zone: found every"},
      {tenants(tenant("1", "1", ", schedules: [{resources: [\"*\"], cron: \"0 25 * * *\"}]")), "cron: hour: found '25'"},
      {tenants(tenant("1", "1", ", schedules: [{resources: [\"*\"], cron: \"@daily\", time_zone: Gotham}]")),
       "time zone: found 'Gotham'"},
      {tenants(tenant("1", "3")), "client_id_file: cannot read id3"},
  };
  for (const auto& [text, expected] : cases) {
    const auto found = lines(load_text(text).errors);
    EXPECT_THAT(found, HasSubstr(expected)) << text;
    EXPECT_THAT(found, Not(HasSubstr("hidden"))) << text;
  }
}

TEST_F(BadConfig, AllProblemsComeAtOnceInTheOrderOfTheFile) {
  const auto loaded = load_text(
      "kafka:\n  partitions: x\n  gruop: a\nworker:\n  settle: 5\napps:\n  - name: acme\n    app_key_file: none\n    tenants:\n    "
      "  - id: 1\n");
  std::vector<int> at;
  for (const auto& problem : loaded.errors) at.push_back(problem.line);
  EXPECT_THAT(at, ::testing::ElementsAre(2, 3, 5, 8, 10, 10)) << lines(loaded.errors);
}

TEST_F(BadConfig, SecretsMustBeUsable) {
  write("empty", "\n");
  write("two lines", "a\r\nb\n");
  write("large", std::string(70'000, 'x'));
  std::filesystem::create_directory(path("directory"));
  const std::vector<std::pair<std::string, std::string>> cases{{"empty", "is empty"},
                                                               {"two lines", "holds a line break"},
                                                               {"large", "is larger than 65536 bytes"},
                                                               {"directory", "is not a file"}};
  for (const auto& [file, expected] : cases)
    EXPECT_THAT(lines(load_text("apps: [{name: a, app_key_file: " + file + "}]\n").errors), HasSubstr(expected));
  write("crlf", "key\r\n");
  EXPECT_EQ(lines(load_text("apps: [{name: a, app_key_file: crlf}]\n").errors), "");
}

TEST_F(BadConfig, SharedCredentialsAllowOnePairForANetwork) {
  const auto text = app("    shared_credentials: true\n    tenants:\n") + tenant("1", "1") + tenant("2", "1");
  EXPECT_EQ(lines(load_text(text).errors), "");
  EXPECT_THAT(lines(load_text(text + tenant("3", "1", ", environment: integration")).errors),
              HasSubstr("a pair belongs to one environment"));
}

TEST_F(BadConfig, InlineSecretsAreWarnedAboutUnlessTheHostIsLocal) {
  const std::string tenant_text = "tenants: [{id: 1, client_id: a, client_secret: b";
  const auto remote = load_text("apps: [{name: a, app_key: k, " + tenant_text + "}]}]\n");
  EXPECT_EQ(lines(remote.errors), "");
  EXPECT_THAT(lines(remote.warnings), HasSubstr("apps[0].tenants[0].client_secret: a secret in the configuration"));
  EXPECT_THAT(lines(remote.warnings), HasSubstr("apps[0].app_key: a secret in the configuration"));
  const auto local = load_text(
      "environments: {sim: {api_url: \"https://localhost:1\", token_url: \"https://localhost:1/t\"}}\napps: [{name: a, app_key: "
      "k, " +
      tenant_text + ", environment: sim}]}]\n");
  EXPECT_EQ(lines(local.errors) + lines(local.warnings), "");
}

TEST_F(BadConfig, AKeyOfHashesShouldBeAFileAndLong) {
  const auto inline_key = load_text("catalogue: {hash_key: hidden}\n");
  EXPECT_EQ(lines(inline_key.errors), "");
  EXPECT_THAT(lines(inline_key.warnings), HasSubstr("catalogue.hash_key: a secret in the configuration; use hash_key_file"));
  EXPECT_THAT(lines(inline_key.warnings), HasSubstr("6 bytes can be guessed, use 16 random ones at least"));
  EXPECT_THAT(lines(inline_key.warnings), Not(HasSubstr("hidden")));
  write("long", "0123456789abcdef\n");
  EXPECT_EQ(lines(load_text("apps: []\ncatalogue: {hash_key_file: long}\n").warnings), lines(load_text("apps: []\n").warnings));
}

TEST_F(BadConfig, WarnsAboutRawPropertiesAndHighRates) {
  const auto loaded = load_text("kafka: {properties: {debug: all}}\n" +
                                app("    limits: {requests_per_second: 90}\n    tenants:\n") + tenant("1", "1"));
  EXPECT_EQ(lines(loaded.errors), "");
  EXPECT_THAT(lines(loaded.warnings), HasSubstr("'debug' goes to librdkafka unchecked"));
  EXPECT_THAT(lines(loaded.warnings), HasSubstr("the vendor allows 60"));
}

TEST_F(BadConfig, OverridesNameThemselves) {
  const auto loaded =
      load_text("kafka: {group: a}\napps: []\n",
                {"kafka.gruop=x", "kafka.group.x=1", "nonsense", "apps.3.name=a", "apps.x=1", "a..b=1", "tenants_from=[a"},
                {"STSYNC_KAFKA__PARTITIONS=x"});
  const auto found = lines(loaded.errors);
  EXPECT_THAT(found, HasSubstr("--set kafka.gruop: unknown key 'gruop' in kafka, did you mean 'group'?"));
  EXPECT_THAT(found, HasSubstr("--set kafka.group.x: 'x' leads into a text"));
  EXPECT_THAT(found, HasSubstr("--set nonsense: expected key.key=value"));
  EXPECT_THAT(found, HasSubstr("--set apps.3.name: there is no element 3, the list has 0"));
  EXPECT_THAT(found, HasSubstr("--set apps.x: 'x' leads into a list: expected the number of an element"));
  EXPECT_THAT(found, HasSubstr("--set a..b: expected key.key=value"));
  EXPECT_THAT(found, HasSubstr("--set tenants_from:1:"));
  EXPECT_THAT(found, HasSubstr("variable STSYNC_KAFKA__PARTITIONS: kafka.partitions: found 'x'"));
}

TEST_F(BadConfig, AFloodOfKeysTakesNoTime) {
  std::string keys, properties = "kafka:\n  properties:\n";
  for (int i = 0; i < 60'000; ++i) keys += "kafkb" + std::to_string(i) + ": 1\n";
  for (int i = 0; i < 50'000; ++i) properties += "    p" + std::to_string(i) + ": 1\n";
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(load_text(keys).errors.size(), Report::kMost + 1);
  EXPECT_THAT(lines(load_text(properties).errors), HasSubstr("kafka.properties: found 50000 entries, expected at most 1000"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST_F(BadConfig, AMissingOrHugeOrStrangeFileIsOneProblem) {
  EXPECT_THAT(lines(load(path("none.yaml"), {}, {}).errors), HasSubstr("none.yaml: cannot read none.yaml: No such file"));
  EXPECT_THAT(lines(load(directory_.string(), {}, {}).errors), HasSubstr("is not a file"));
  EXPECT_THAT(lines(load_text(std::string(2U << 20U, ' ')).errors), HasSubstr("is larger than 1048576 bytes"));
  EXPECT_THAT(lines(load_text(std::string("kafka:\0 x", 9)).errors), HasSubstr("a zero byte"));
}

}  // namespace
}  // namespace stsync::config
