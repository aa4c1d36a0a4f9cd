#include "webhook/event.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "events.hpp"

namespace stsync::webhook {
namespace {

using test::event_of;
using ::testing::HasSubstr;
using ::testing::Not;

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const auto at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), with);
}

const std::string kJob = event_of("tn.jpm.job-updated", R"("job":{"id":42,"customerId":7})");

TEST(Event, IsReadForWhatIsNeeded) {
  const auto event = parse_event(kJob);
  ASSERT_TRUE(event) << event.error().message();
  EXPECT_EQ(event->id, "u-1");
  EXPECT_EQ(event->type, "tn.jpm.job-updated");
  EXPECT_EQ(event->tenant, 1001);
  EXPECT_EQ(event->id_at(IdAt::job), "42");
  EXPECT_EQ(event->id_at(IdAt::invoice), "");
}

TEST(Event, MayHaveItsMembersInAnyOrderAndMoreOfThem) {
  const auto event = parse_event(
      R"({"data":{"tenantName":"x","other":{"id":1,"job":{"id":2}},"job":{"items":[{"id":3}],"customer":{"id":4},"id":"0042"},
          "list":[5,{"id":6}],"tenantId":"1001"},"userassignedid":"u","traceparent":null,"id":"d","source":"s","extra":{"type":"no"},
          "type":"t","specversion":"1.0"})");
  ASSERT_TRUE(event) << event.error().message();
  EXPECT_EQ(event->id_at(IdAt::job), "0042") << "as it stands";
  EXPECT_EQ(event->tenant, 1001);
  EXPECT_EQ(event->type, "t");
}

TEST(Event, OfAllTypesShowsTheIdOfWhatItIsAbout) {
  for (std::size_t i = 0; i < kIdPlaces; ++i) {
    const std::string path(path_of(static_cast<IdAt>(i)));
    const auto dot = path.find('.');
    const auto data =
        dot == std::string::npos ? fmt::format(R"("{}":77)", path) : fmt::format(R"("{}":{{"x":1,"id":77}})", path.substr(0, dot));
    const auto event = parse_event(event_of("t", data));
    ASSERT_TRUE(event) << event.error().message();
    for (std::size_t other = 0; other < kIdPlaces; ++other) EXPECT_EQ(event->ids[other], other == i ? "77" : "") << path;
  }
}

TEST(Event, AnIdOfAnotherPlaceOrFormIsNone) {
  for (const auto* data :
       {R"("job":{"x":{"id":1}})", R"("job":[{"id":1}])", R"("job":[1])", R"("job.id":1)", R"("appointmentId":[1])",
        R"("job":{"id":null})", R"("job":{"id":true})", R"("job":{"id":{"id":1}})", R"("job":{"id":""})", R"("job":{"id":"../x"})",
        R"("job":{"id":"1,2"})", R"("job":{"id":1.5})", R"("job":7)", R"("job":{"id":"a b"})"}) {
    const auto event = parse_event(event_of("t", data));
    ASSERT_TRUE(event) << data << event.error().message();
    EXPECT_EQ(event->id_at(IdAt::job), "") << data;
    EXPECT_EQ(event->id_at(IdAt::appointment_id), "") << data;
  }
  EXPECT_EQ(parse_event(event_of("t", R"("job":{"id":")" + std::string(65, '1') + "\"}"))->id_at(IdAt::job), "");
}

TEST(Event, WithoutATenantThatIsANumberHasNone) {
  for (const auto* tenant : {"null", "\"x\"", "0", "-1", "1.5", "1e3", "[1001]", "{\"tenantId\":1001}", "99999999999999999999"}) {
    const auto event = parse_event(event_of("t", R"("job":{"id":1})", "u", tenant));
    ASSERT_TRUE(event) << tenant;
    EXPECT_FALSE(event->tenant) << tenant;
  }
}

TEST(Event, WithoutAUserAssignedIdIsKnownByItsOwn) {
  EXPECT_EQ(parse_event(replaced(kJob, R"("userassignedid":"u-1",)", ""))->id, "d-1");
  EXPECT_EQ(parse_event(replaced(kJob, R"("userassignedid":"u-1")", R"("userassignedid":null)"))->id, "d-1");
  EXPECT_EQ(parse_event(replaced(kJob, R"("userassignedid":"u-1")", R"("userassignedid":17)"))->id, "17");
}

TEST(Event, WithoutWhatACloudEventMustHaveIsNone) {
  for (const auto& [name, text] : {std::pair("specversion", R"("specversion":"1.0",)"),
                                   {"id", R"("id":"d-1",)"},
                                   {"type", R"("type":"tn.jpm.job-updated",)"},
                                   {"source", R"("source":"https://webhooks.servicetitan.io",)"}}) {
    const auto event = parse_event(replaced(kJob, text, ""));
    ASSERT_FALSE(event) << name;
    EXPECT_THAT(event.error().message(), HasSubstr(std::string(name) + " is missing"));
  }
  EXPECT_FALSE(parse_event(replaced(kJob, R"("specversion":"1.0")", R"("specversion":"0.3")")));
  EXPECT_FALSE(parse_event(replaced(kJob, R"("specversion":"1.0")", R"("specversion":1.0)"))) << "a number reads alike";
  EXPECT_FALSE(parse_event(replaced(kJob, R"("id":"d-1")", R"("id":["d-1"])")));
  EXPECT_FALSE(parse_event(replaced(kJob, R"("id":"d-1")", R"("id":"d-1","id":"d-2")")));
  EXPECT_FALSE(parse_event(replaced(kJob, R"("data":)", R"("data":{},"data":)")));
  EXPECT_FALSE(parse_event(replaced(kJob, R"("id":"d-1")", R"("id":")" + std::string(501, 'x') + "\"")));
}

TEST(Event, MayBe64LevelsDeepAndNotMore) {
  const auto nested = [](std::size_t levels) {  // within an event
    return event_of("t", R"("x":)" + std::string(levels, '[') + std::string(levels, ']'));
  };
  EXPECT_TRUE(parse_event(nested(62)));
  EXPECT_FALSE(parse_event(nested(63)));
}

TEST(Event, F5_HostileTextIsRefusedAndNotRepeated) {
  const std::string deep = R"({"x":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  for (const auto& body :
       {std::string(), std::string("null"), std::string("5"), std::string("\"x\""), std::string("[]"), "[" + kJob + "]", kJob + "x",
        kJob + kJob, kJob.substr(0, kJob.size() - 1), kJob + std::string(1, '\0') + "secret", "\xef\xbb\xbf" + kJob, deep,
        std::string(200'000, '{'), replaced(kJob, "A Company", "\xff\xfe"), replaced(kJob, "A Company", "a\nb"),
        replaced(kJob, "A Company", "\\ud800"), replaced(kJob, "42", "042"), replaced(kJob, "42", "NaN"),
        replaced(kJob, "{", "{'secret':1,")}) {
    const auto event = parse_event(body);
    ASSERT_FALSE(event) << body.substr(0, 200);
    EXPECT_THAT(event.error().message(), Not(HasSubstr("secret")));
    EXPECT_LT(event.error().message().size(), 100u);
  }
}

}  // namespace
}  // namespace stsync::webhook
