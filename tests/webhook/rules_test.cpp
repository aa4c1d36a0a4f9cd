#include "webhook/rules.hpp"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/wire.hpp"
#include "events.hpp"

namespace stsync::webhook {
namespace {

using test::event_of;
using ::testing::ElementsAre;
using ::testing::Pair;

config::Config make_config() {
  config::Config out;
  config::App acme;
  acme.name = "acme";
  acme.webhook_secret_files = {"unused"};
  acme.tenants.resize(2);
  acme.tenants[0].id = 1001;
  acme.tenants[1].id = 1002;
  auto other = acme;
  other.name = "other";
  other.tenants.resize(1);
  auto silent = acme;
  silent.name = "silent";
  silent.webhook_secret_files.clear();
  out.apps = {acme, other, silent};
  return out;
}

struct RulesTest : ::testing::Test {
  core::Secret secret{"0123456789abcdef0123456789abcdef"};
  servicetitan::Catalogue catalogue = servicetitan::Catalogue::load("", "").value();
  Rules rules{make_config(), catalogue};

  http::Headers signed_headers(const std::string& body) const {
    return {{"X-ServiceTitan-Signature", sign({}, secret, body)}, {"content-type", "application/json; charset=utf-8"}};
  }
  Verdict decide(const std::string& body, const std::string& app = "acme") const {
    return rules.decide(app, std::array{secret}, signed_headers(body), body);
  }
  static v1::Command command_in(const kafka::OwnedMessage& m) {
    v1::Command out;
    const auto ok = codec::from_json(m.value.value(), out);
    EXPECT_TRUE(ok) << *m.value;
    return out;
  }
  std::optional<int> status_of_look(std::string_view method, std::string_view path, http::Headers headers = {},
                                    Load load = {}) const {
    const auto refused = rules.look(method, path, headers, load);
    return refused ? std::optional(refused->status) : std::nullopt;
  }
};

TEST_F(RulesTest, AnEventGoesOutAsItCameWithTheCommandItCauses) {
  const auto body = event_of("tn.jpm.job-updated", R"("job":{"id":42})");
  const auto v = decide(body);
  EXPECT_EQ(v.status, 200);
  EXPECT_EQ(v.outcome, Outcome::stored);
  ASSERT_EQ(v.messages.size(), 2u);
  const auto& event = v.messages[0];
  EXPECT_EQ(event.topic, "st.webhooks");
  EXPECT_EQ(event.key, "acme:1001");
  EXPECT_EQ(event.value, body);
  ASSERT_EQ(v.commands.size(), 1u);
  EXPECT_THAT(event.headers, ElementsAre(Pair("st-event", "u-1"), Pair("st-command", v.commands[0]),
                                         Pair("content-type", "application/json; charset=utf-8")));
  EXPECT_EQ(v.messages[1].topic, "st.commands");
  EXPECT_EQ(v.messages[1].key, "acme:1001");
  EXPECT_THAT(v.messages[1].headers, ElementsAre(Pair("st-event", "u-1")));
  const auto command = command_in(v.messages[1]);
  EXPECT_EQ(command.id(), v.commands[0]);
  EXPECT_EQ(command.app(), "acme");
  EXPECT_EQ(command.tenant(), 1001);
  EXPECT_EQ(command.sync().resource(), "jpm.jobs");
  EXPECT_EQ(command.sync().mode(), v1::ids);
  EXPECT_EQ(command.sync().priority(), v1::interactive);
  EXPECT_THAT(command.sync().ids(), ElementsAre("42"));
}

TEST_F(RulesTest, F7_TheSameEventIsTheSameCommandHoweverOftenItComes) {
  const auto job = [](const std::string& id, const std::string& tenant = "1001") {
    return event_of("tn.jpm.job-updated", R"("job":{"id":42})", id, tenant);
  };
  const auto first = decide(job("u-1"));
  auto again_body = job("u-1");
  again_body.replace(again_body.find("d-1"), 3, "d-2");  // another delivery
  const auto again = decide(again_body);
  EXPECT_EQ(again.messages[1].value, first.messages[1].value) << "a lane knows it by id and body";
  std::set<std::string> ids{first.commands[0], decide(job("u-2")).commands[0], decide(job("u-1", "1002")).commands[0],
                            decide(job("u-1"), "other").commands[0],
                            decide(event_of("tn.crm.lead-updated", R"("lead":{"id":42})")).commands[0]};
  EXPECT_EQ(ids.size(), 5u) << "app, tenant, event and resource make the id";
}

TEST_F(RulesTest, EveryTypeOfTheVendorsAsksForWhatItNames) {
  struct Row {
    const char *type, *data;
    std::vector<std::string> wanted;
  };
  const std::vector<Row> rows{
      {"tn.acc.invoice-batched", R"("invoice":{"id":1})", {"accounting.invoices ids 1"}},
      {"tn.acc.invoice-exported", R"("invoice":{"id":2})", {"accounting.invoices ids 2"}},
      {"tn.acc.invoice-posted", R"("invoice":{"id":3})", {"accounting.invoices ids 3"}},
      {"tn.acc.invoice-updated", R"("invoice":{"id":4,"job":{"id":9}})", {"accounting.invoices ids 4"}},
      {"tn.acc.invoice-task-created", R"("invoice":{"id":5},"task":{"id":"a"})", {"accounting.invoice-tasks ids 5"}},
      {"tn.acc.invoice-task-updated", R"("invoice":{"id":6},"task":{"id":"a"})", {"accounting.invoice-tasks ids 6"}},
      {"tn.crm.booking-updated", R"("booking":{"id":7})", {"crm.bookings ids 7"}},
      {"tn.crm.lead-created", R"("lead":{"id":8})", {"crm.leads ids 8"}},
      {"tn.crm.lead-updated", R"("lead":{"id":9})", {"crm.leads ids 9"}},
      {"tn.dis.technician-dispatched",
       R"("job":{"id":10},"appointment":{"id":11})",
       {"jpm.jobs ids 10", "jpm.appointments ids 11"}},
      {"tn.dis.zone-updated", R"("zone":{"id":12})", {"dispatch.zones ids 12"}},
      {"tn.dis.zone-deleted", R"("zone":{"id":13})", {"dispatch.zones ids 13"}},
      {"tn.jpm.job-appointment-updated", R"("appointment":{"id":14})", {"jpm.appointments ids 14"}},
      {"tn.jpm.job-completed", R"("job":{"id":15})", {"jpm.jobs ids 15"}},
      {"tn.jpm.job-rescheduled", R"("job":{"id":16},"appointmentId":17)", {"jpm.jobs ids 16", "jpm.appointments ids 17"}},
      {"tn.jpm.job-scheduled", R"("job":{"id":18})", {"jpm.jobs ids 18"}},
      {"tn.jpm.job-updated", R"("job":{"id":19})", {"jpm.jobs ids 19"}},
      {"tn.sp.session-abandoned-qualified", R"("session":{"id":"s"})", {"scheduling-pro.scheduler-sessions incremental "}},
      {"tn.sp.session-completed", R"("session":{"id":"s"})", {"scheduling-pro.scheduler-sessions incremental "}},
      {"tn.tlc.call-completed", R"("call":{"id":20,"leadCall":{"id":21}})", {"telecom.calls ids 20"}},
      {"tn.tlc.call-updated", R"("call":{"id":22})", {"telecom.calls ids 22"}},
  };
  ASSERT_EQ(rows.size(), event_types().size());
  std::set<std::string_view> known;
  for (const auto& type : event_types()) known.insert(type.name);
  for (const auto& row : rows) {
    EXPECT_EQ(known.erase(row.type), 1u) << row.type;
    const auto v = decide(event_of(row.type, row.data));
    EXPECT_EQ(v.outcome, Outcome::stored) << row.type;
    std::vector<std::string> got;
    for (std::size_t i = 1; i < v.messages.size(); ++i) {
      const auto c = command_in(v.messages[i]);
      got.push_back(fmt::format("{} {} {}", c.sync().resource(), v1::Mode_Name(c.sync().mode()), fmt::join(c.sync().ids(), ",")));
    }
    EXPECT_EQ(got, row.wanted) << row.type;
  }
}

TEST_F(RulesTest, AnEventThatDoesNotNameARowAsksForWhatChanged) {
  const auto v = decide(event_of("tn.jpm.job-updated", R"("job":{})"));
  EXPECT_EQ(v.outcome, Outcome::stored);
  const auto command = command_in(v.messages.at(1));
  EXPECT_EQ(command.sync().mode(), v1::incremental);
  EXPECT_EQ(command.sync().ids_size(), 0);
}

TEST_F(RulesTest, AnUnknownTenantOrTypeIsPublishedAndAsksForNothing) {
  struct Row {
    std::string body, key;
    Outcome outcome;
  };
  for (const auto& [body, key, outcome] :
       {Row{event_of("tn.jpm.job-updated", R"("job":{"id":1})", "u", "7"), "acme:7", Outcome::unknown_tenant},
        Row{event_of("tn.jpm.job-updated", R"("job":{"id":1})", "u", "null"), "acme:", Outcome::unknown_tenant},
        Row{event_of("tn.jpm.job-updated", R"("job":{"id":1})", "u", "\"x\\u0000\""), "acme:", Outcome::unknown_tenant},
        Row{event_of("tn.rpr.report-data-ready", R"("token":"t")"), "acme:1001", Outcome::unknown_type}}) {
    const auto v = decide(body);
    EXPECT_EQ(v.status, 200);
    EXPECT_EQ(v.outcome, outcome);
    ASSERT_EQ(v.messages.size(), 1u);
    EXPECT_EQ(v.messages[0].key, key);
    EXPECT_EQ(v.messages[0].value, body);
    EXPECT_THAT(v.messages[0].headers, ::testing::Not(::testing::Contains(Pair("st-command", ::testing::_))));
  }
}

TEST_F(RulesTest, F5_WhatIsNotSignedByThisAppIs401AndNothingOfItGoesOut) {
  const auto body = event_of("tn.jpm.job-updated", R"("job":{"id":42})");
  auto tampered = body;
  tampered.back() = ' ';
  const core::Secret others("the secret of some other app ...");
  for (const auto& v :
       {rules.decide("acme", std::array{secret}, {}, body), rules.decide("acme", std::array{others}, signed_headers(body), body),
        rules.decide("acme", std::array{secret}, signed_headers(body), tampered),
        rules.decide("acme", {}, signed_headers(body), body),
        rules.decide("acme", std::array{secret}, {{"x-signature", sign({}, secret, body)}}, body)}) {
    EXPECT_EQ(v.status, 401);
    EXPECT_EQ(v.outcome, Outcome::bad_signature);
    EXPECT_TRUE(v.messages.empty());
    EXPECT_TRUE(v.event.empty()) << "it is not even read";
  }
}

TEST_F(RulesTest, F5_ALogSaysInWhichWayARequestIsNotSigned) {
  const auto why = [&](const http::Headers& headers) { return rules.decide("acme", std::array{secret}, headers, "{}").why; };
  EXPECT_EQ(why({}), "there is no header x-servicetitan-signature");
  EXPECT_EQ(why({{"X-Signature", "abc"}, {"X-Other", "abc"}, {"HMAC\x1b", "abc"}}),
            R"(there is no header x-servicetitan-signature; there is X-Signature, HMAC\x1b)");
  EXPECT_EQ(why({{"X-ServiceTitan-Signature", "abc"}}),
            "x-servicetitan-signature is no signature of the body by a secret of the app");
  EXPECT_LT(why(http::Headers(64, {std::string(9000, 's') + "ign", ""})).size(), 1000u);
}

TEST_F(RulesTest, F5_AnOldEventIsAsGoodAsANewOne) {
  auto body = event_of("tn.jpm.job-updated", R"("job":{"id":42})");
  for (const auto* time : {"2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "nonsense"}) {
    auto odd = body;
    odd.replace(odd.find("2026-01-02T03:04:05Z"), 20, time);
    EXPECT_EQ(decide(odd).status, 200) << "the portal replays by hand, hours later";
  }
}

TEST_F(RulesTest, WhatIsSignedAndNoEventIs400) {
  const auto v = decide("{\"hello\":1}");
  EXPECT_EQ(v.status, 400);
  EXPECT_EQ(v.outcome, Outcome::bad_event);
  EXPECT_TRUE(v.messages.empty());
}

TEST_F(RulesTest, WhatGoesIntoHeadersIsPrintableAndBounded) {
  const auto v =
      decide(event_of("tn.jpm.job-updated", R"("job":{"id":42})", R"(a\r\nst-command: x\u0000)" + std::string(400, 'e')));
  ASSERT_EQ(v.status, 200);
  EXPECT_EQ(v.event.find_first_of(std::string_view("\r\n\0", 3)), std::string::npos);
  EXPECT_LT(v.event.size(), 250u);
  EXPECT_TRUE(v.event.starts_with("a\\x0d\\x0ast-command"));
}

TEST_F(RulesTest, F6_WhatIsNotWantedIsRefusedByItsHeader) {
  EXPECT_EQ(status_of_look("POST", "/webhooks/acme"), std::nullopt);
  for (const auto* path :
       {"/", "/webhooks", "/webhooks/", "/webhooks/nobody", "/webhooks/silent", "/webhooks/acme/", "//webhooks/acme",
        "/webhooks/acme%20", "/webhooks/ACME", "/webhooks/../webhooks/acme", "http://x/webhooks/acme"})
    EXPECT_EQ(status_of_look("POST", path), 404) << path;
  for (const auto* method : {"GET", "PUT", "DELETE", "OPTIONS", "TRACE", "post", "PRI"})
    EXPECT_EQ(status_of_look(method, "/webhooks/acme"), 405) << method;
  EXPECT_EQ(status_of_look("POST", "/webhooks/acme", {{"Content-Encoding", "gzip"}}), 415);
  EXPECT_EQ(status_of_look("POST", "/webhooks/acme", {}, {.full = true}), 503);
  EXPECT_EQ(status_of_look("POST", "/webhooks/acme", {}, {.peer_full = true}), 429);
  EXPECT_EQ(status_of_look("POST", "/webhooks/acme", {}, {.kafka_away = true}), 503);
  EXPECT_EQ(rules.look("POST", "/webhooks/acme", {}, {.kafka_away = true})->outcome, Outcome::kafka);
  EXPECT_FALSE(rules.look("POST", "/webhooks/nobody", {}, {.full = true})->outcome) << "no app's";
}

}  // namespace
}  // namespace stsync::webhook
