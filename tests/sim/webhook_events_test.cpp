// Which event the change of a row gives, and what stands in it.
#include <gmock/gmock.h>

#include <map>
#include <set>

#include "codec/page.hpp"
#include "sim/churn.hpp"
#include "sim/webhook_events.hpp"

namespace stsync::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr core::WallTime kWall{std::chrono::milliseconds(1'767'225'600'000)};

struct WebhookEvents : ::testing::Test {
  Writers writers{600};
  std::vector<WebhookEvent> told;
  Dataset::Watcher watcher = [this](const Dataset& rows, Dataset::Index index, Happened what) {
    if (auto event = event_of(store, rows, index, what, kWall, told.size())) told.push_back(std::move(*event));
  };
  Store store{1001, 1, 60, writers, &watcher};

  Dataset& rows(const char* resource) { return store.of(*Schema::get().find(resource)); }
  static std::string data(const WebhookEvent& event, const char* path) { return std::string(codec::json_field(event.data, path)); }
};

TEST_F(WebhookEvents, RowsOfTheRightKindsGiveEveryTypeOfTheVendor) {
  std::map<std::string, std::set<std::string>> types;
  for (const auto* resource :
       {"accounting.invoices", "accounting.invoice-tasks", "crm.bookings", "crm.leads", "dispatch.appointment-assignments",
        "dispatch.zones", "jpm.appointments", "jpm.jobs", "scheduling-pro.scheduler-sessions", "telecom.calls", "crm.customers"}) {
    told.clear();
    churn(store, rows(resource), 200, 1, to_ticks(kWall));
    for (const auto& event : told) types[resource].insert(event.type);
  }
  EXPECT_THAT(types["accounting.invoices"],
              ElementsAre("tn.acc.invoice-batched", "tn.acc.invoice-exported", "tn.acc.invoice-posted", "tn.acc.invoice-updated"));
  EXPECT_THAT(types["accounting.invoice-tasks"], ElementsAre("tn.acc.invoice-task-created", "tn.acc.invoice-task-updated"));
  EXPECT_THAT(types["crm.bookings"], ElementsAre("tn.crm.booking-updated"));
  EXPECT_THAT(types["crm.leads"], ElementsAre("tn.crm.lead-created", "tn.crm.lead-updated"));
  EXPECT_THAT(types["dispatch.appointment-assignments"], ElementsAre("tn.dis.technician-dispatched"));
  EXPECT_THAT(types["dispatch.zones"], ElementsAre("tn.dis.zone-deleted", "tn.dis.zone-updated"));
  EXPECT_THAT(types["jpm.appointments"], ElementsAre("tn.jpm.job-appointment-updated"));
  EXPECT_THAT(types["jpm.jobs"],
              ElementsAre("tn.jpm.job-completed", "tn.jpm.job-rescheduled", "tn.jpm.job-scheduled", "tn.jpm.job-updated"));
  EXPECT_THAT(types["scheduling-pro.scheduler-sessions"],
              ElementsAre("tn.sp.session-abandoned-qualified", "tn.sp.session-completed"));
  EXPECT_THAT(types["telecom.calls"], ElementsAre("tn.tlc.call-completed", "tn.tlc.call-updated"));
  EXPECT_FALSE(types.contains("crm.customers")) << "of which the vendor tells nothing";
}

TEST_F(WebhookEvents, ABodyIsACloudEventWithTheRowInIt) {
  auto& leads = rows("crm.leads");
  const auto index = leads.appear(to_ticks(kWall));
  ASSERT_EQ(told.size(), 1u);
  const auto body = cloud_event(told[0], "delivery-1");
  const auto members = codec::json_members(body);
  ASSERT_TRUE(members) << body;
  const std::map<std::string, std::string> expected{{"specversion", R"("1.0")"},
                                                    {"id", R"("delivery-1")"},
                                                    {"type", R"("tn.crm.lead-created")"},
                                                    {"time", R"("2026-01-01T00:00:00.000Z")"},
                                                    {"source", R"("https://webhooks.servicetitan.io")"},
                                                    {"userassignedid", '"' + told[0].id + '"'},
                                                    {"datacontenttype", R"("application/json")"},
                                                    {"data", told[0].data}};
  for (const auto& [name, raw] : *members) EXPECT_EQ(raw, expected.at(name)) << name;
  EXPECT_EQ(members->size(), expected.size());
  EXPECT_EQ(data(told[0], "lead"), store.row(*leads.resource().endpoint(Role::get), index));
  EXPECT_EQ(data(told[0], "tenantId"), "1001");
  EXPECT_EQ(data(told[0], "tenantName"), R"("Company 1001")");
  EXPECT_EQ(told[0].entity, std::to_string(leads.id_of(index)));
}

TEST_F(WebhookEvents, CallsAreToldAsTheirListShowsThem) {
  auto& calls = rows("telecom.calls");
  const auto index = calls.appear(to_ticks(kWall));
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(data(told[0], "call"), store.row(*calls.resource().endpoint(Role::list), index));
  EXPECT_EQ(data(told[0], "call.leadCall.id"), told[0].entity);
}

TEST_F(WebhookEvents, ATaskNamesItsInvoice) {
  auto& tasks = rows("accounting.invoice-tasks");
  const Dataset::Index index = 3;
  tasks.change({&index, 1}, to_ticks(kWall));
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(data(told[0], "invoice"),
            R"({"id":)" + std::to_string(rows("accounting.invoices").id_of(tasks.parent_of(index))) + "}");
  EXPECT_EQ(data(told[0], "task"), R"({"id":")" + told[0].entity + R"("})");
}

TEST_F(WebhookEvents, ADispatchShowsAJobAndAnAppointmentThatExist) {
  auto& assignments = rows("dispatch.appointment-assignments");
  const Dataset::Index index = 3;
  assignments.change({&index, 1}, to_ticks(kWall));
  ASSERT_EQ(told.size(), 1u);
  const auto assignment = store.row(*assignments.resource().source(), index);
  EXPECT_EQ(data(told[0], "job.id"), codec::json_field(assignment, "jobId"));
  EXPECT_EQ(data(told[0], "appointment.id"), codec::json_field(assignment, "appointmentId"));
  EXPECT_EQ(told[0].entity, data(told[0], "job.id"));
  EXPECT_FALSE(data(told[0], "job.modifiedOn").empty());
}

TEST_F(WebhookEvents, EveryEventHasAnIdOfItsOwnThoughTheRowAndTheTimeAreTheSame) {
  const Dataset::Index index = 0;
  auto& bookings = rows("crm.bookings");
  for (int i = 0; i < 2; ++i) bookings.change({&index, 1}, to_ticks(kWall));
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].entity, told[1].entity);
  EXPECT_NE(told[0].id, told[1].id);
}

TEST_F(WebhookEvents, OfARowThatIsNotThereAnyMoreNothingIsTold) {
  const Dataset::Index index = 0;
  auto& bookings = rows("crm.bookings");
  bookings.vanish(index, to_ticks(kWall));
  bookings.change({&index, 1}, to_ticks(kWall));
  EXPECT_TRUE(told.empty());
  rows("dispatch.zones").vanish(index, to_ticks(kWall));
  ASSERT_EQ(told.size(), 1u) << "zones are the exception";
  EXPECT_EQ(told[0].type, "tn.dis.zone-deleted");
  EXPECT_EQ(data(told[0], "zone.active"), "false");
}

}  // namespace
}  // namespace stsync::sim
