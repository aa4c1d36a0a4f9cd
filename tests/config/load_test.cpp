#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/yaml.hpp"
#include "sandbox.hpp"

namespace stsync::config {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

constexpr const char* kWhole = R"(
kafka:
  bootstrap_servers: "a:9092, b:9093"
  session_timeout: 10s
  topics: {records: "st.{environment}.{api}.{resource}"}
  properties: {socket.nagle.disable: true}
environments:
  local: {api_url: "http://127.0.0.1:8443", token_url: "http://127.0.0.1:8443/connect/token"}
apps:
  - name: acme
    app_key_file: key
    limits: {requests_per_second: 12.5, scope: app}
    tenants:
      - {id: 1001, environment: integration, client_id_file: id1, client_secret_file: secret1, weight: 3}
      - {id: 1002, environment: local, client_id: cid, client_secret: csec}
worker: {max_memory: 256MiB, page_buffer: 8MiB, settle: 90s}
telemetry: {tenant_label: off, log_format: text}
)";

class Load : public Sandbox {};

TEST_F(Load, ReadsEveryKindOfValue) {
  const auto loaded = load_text(kWhole);
  ASSERT_EQ(lines(loaded.errors), "");
  const auto& c = loaded.config;
  EXPECT_EQ(c.kafka.bootstrap_servers, "a:9092, b:9093");
  EXPECT_EQ(c.kafka.session_timeout, 10s);
  EXPECT_EQ(c.kafka.properties.at("socket.nagle.disable"), "true");
  EXPECT_EQ(c.environments.size(), 3u);
  EXPECT_EQ(c.environments.at("local").name, "local");
  ASSERT_EQ(c.apps.size(), 1u);
  EXPECT_DOUBLE_EQ(c.apps[0].limits.requests_per_second, 12.5);
  EXPECT_EQ(c.apps[0].limits.scope, "app");
  EXPECT_EQ(c.worker.max_memory, 256ull << 20);
  EXPECT_EQ(c.worker.settle, 90s);
  EXPECT_FALSE(c.telemetry.tenant_label);
  const auto* tenant = c.find_tenant("acme", 1001);
  ASSERT_NE(tenant, nullptr);
  EXPECT_EQ(tenant->weight, 3);
  EXPECT_EQ(tenant->client_id.read().value().reveal(), "value of id1");
  EXPECT_EQ(c.find_tenant("acme", 1), nullptr);
  EXPECT_EQ(c.find_tenant("other", 1001), nullptr);
}

TEST_F(Load, KnowsTheVendorsHosts) {
  const auto c = load_text("").config;
  EXPECT_EQ(c.environments.at("production").api_url, "https://api.servicetitan.io");
  EXPECT_EQ(c.environments.at("integration").token_url, "https://auth-integration.servicetitan.io/connect/token");
}

TEST_F(Load, AnEmptyFileAndEmptySectionsAreTheDefaults) {
  for (const auto* text : {"", "# nothing\n", "kafka:\napps:\nworker:\n", "kafka: ~\n"})
    EXPECT_EQ(lines(load_text(text).errors), "") << text;
}

TEST_F(Load, OptionsWinOverVariablesAndVariablesOverTheFile) {
  const auto loaded = load_text("kafka: {group: file}\n", {"kafka.partitions=7", "kafka.properties.socket\\.nagle\\.disable=true"},
                                {"STSYNC_KAFKA__GROUP=variable", "STSYNC_KAFKA__PARTITIONS=5", "STSYNC_CACHE=/x", "PATH=/bin"});
  EXPECT_EQ(lines(loaded.errors), "");
  EXPECT_EQ(loaded.config.kafka.group, "variable");
  EXPECT_EQ(loaded.config.kafka.partitions, 7);
  EXPECT_EQ(loaded.config.kafka.properties.count("socket.nagle.disable"), 1u);
}

TEST_F(Load, OverridesReachIntoListsAndMakeThem) {
  const auto loaded = load_text(
      "", {"apps.0.name=acme", "apps.0.app_key_file=key", "apps.0.tenants=[]", "apps.0.tenants.0.id=5",
           "apps.0.tenants.0.client_id_file=id1", "apps.0.tenants.0.client_secret_file=secret1", "tenants_from=[more/*.yaml]"});
  EXPECT_EQ(lines(loaded.errors), "");
  EXPECT_NE(loaded.config.find_tenant("acme", 5), nullptr);
  EXPECT_THAT(lines(loaded.warnings), HasSubstr("tenants_from: no file fits"));
}

TEST_F(Load, ReadsTenantsFromFurtherFiles) {
  write("tenants.d/one.yaml", "app: acme\nid: 1\nclient_id_file: ../id1\nclient_secret_file: ../secret1\n");
  write("tenants.d/two.yaml", "- {app: acme, id: 2, client_id_file: ../id2, client_secret_file: ../secret2}\n");
  const auto loaded = load_text("apps: [{name: acme, app_key_file: key}]\ntenants_from: [\"tenants.d/*.yaml\"]\n");
  EXPECT_EQ(lines(loaded.errors), "");
  EXPECT_NE(loaded.config.find_tenant("acme", 1), nullptr);
  EXPECT_EQ(loaded.config.find_tenant("acme", 2)->client_id.read().value().reveal(), "value of id2");
  EXPECT_EQ(loaded.files.size(), 3u);
}

TEST_F(Load, NamesTheFileOfABadFurtherTenant) {
  write("tenants.d/one.yaml", "app: acme\nid: many\nclient_id_file: ../id1\nclient_secret_file: ../none\n");
  write("tenants.d/two.yaml", "- {app: acne, id: 2}\n");
  const auto loaded = load_text("apps: [{name: acme, app_key_file: key}]\ntenants_from: tenants.d/*.yaml\n");
  EXPECT_EQ(lines(loaded.errors),
            "tenants.d/one.yaml:2:5: apps[0].tenants[0].id: found 'many', expected a whole number from 1 to 9000000000000000\n"
            "tenants.d/one.yaml:4:21: apps[0].tenants[0].client_secret_file: cannot read none: No such file or directory\n"
            "tenants.d/two.yaml:1:9: app: found 'acne', expected one of acme\n");
}

TEST_F(Load, TheAnnotatedDefaultIsTheDefault) {
  const auto loaded = load(STSYNC_SOURCE_DIR "/config/stsync.yaml", {}, {});
  EXPECT_EQ(lines(loaded.errors), "");
  EXPECT_EQ(print(loaded.config), print(load_text("").config));
}

TEST_F(Load, PrintsWithoutSecretsAndLoadsAgain) {
  const auto first = load_text(
      kWhole, {"kafka.properties.ssl\\.key\\.password=hidden", "limits.store=redis://stsync@host", "limits.password=hidden"});
  ASSERT_EQ(lines(first.errors), "");
  const auto text = print(first.config);
  EXPECT_THAT(text, Not(HasSubstr("hidden")));
  EXPECT_THAT(text, Not(HasSubstr("csec")));
  EXPECT_THAT(text, HasSubstr("client_secret: \"***\""));
  write("again.yaml", text);
  const auto second = load(path("again.yaml"), {"limits.store=redis://stsync@host", "limits.password=hidden"}, {});
  EXPECT_EQ(print(second.config), text) << lines(second.errors);
}

TEST_F(Load, ThousandsOfTenantsAreRead) {
  std::string text = "apps:\n  - name: acme\n    app_key_file: key\n    tenants:\n";
  for (int i = 1; i <= 5000; ++i) {
    const auto n = std::to_string(i);
    text += "      - {id: " + n + ", client_id: i" + n + ", client_secret: s" + n + "}\n";
  }
  const auto loaded = load_text(text);
  EXPECT_EQ(lines(loaded.errors), "");
  EXPECT_EQ(loaded.config.apps.at(0).tenants.size(), 5000u);
}

/// STSYNC_UPDATE=1 writes the page instead of comparing it.
void compare_with_page(const std::string& path, const std::string& text) {
  if (std::getenv("STSYNC_UPDATE") != nullptr) std::ofstream(path, std::ios::binary) << text;
  EXPECT_EQ(file_text(path), text) << "run config_test with STSYNC_UPDATE=1";
}

TEST(Reference, ThePageIsUpToDate) { compare_with_page(STSYNC_SOURCE_DIR "/docs/reference/config.md", reference_markdown()); }
TEST(Reference, TheSchemaIsUpToDate) { compare_with_page(STSYNC_SOURCE_DIR "/config/stsync.schema.json", json_schema()); }

TEST(Reference, TheSchemaIsJson) {
  Report report;
  const auto schema = parse_yaml(json_schema(), std::make_shared<Source>(), report);
  ASSERT_TRUE(report.errors().empty()) << report.errors().front().text();
  EXPECT_EQ(schema.find("additionalProperties")->text, "false");
  EXPECT_NE(schema.find("properties")->find("kafka")->find("properties")->find("bootstrap_servers"), nullptr);
}

}  // namespace
}  // namespace stsync::config
