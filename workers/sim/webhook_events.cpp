#include "sim/webhook_events.hpp"

#include <algorithm>
#include <array>
#include <span>

#include <fmt/format.h>

#include "codec/page.hpp"
#include "core/text.hpp"

namespace stsync::sim {
namespace {

/// What stands in an event's data beside the tenant.
enum class Content {
  row,          ///< the row under the member's name
  rescheduled,  ///< and its first appointment, by id and number
  dispatched,   ///< an assignment's job and appointment
  task,         ///< an invoice and its task, by id
};

struct EventKind {
  std::string_view resource;
  Happened what;
  std::string_view type;
  std::string_view member;
  Content content = Content::row;
};

using enum Happened;
constexpr std::array<EventKind, 25> kKinds{{
    {"accounting.invoices", changed, "tn.acc.invoice-updated", "invoice"},
    {"accounting.invoices", changed, "tn.acc.invoice-posted", "invoice"},
    {"accounting.invoices", changed, "tn.acc.invoice-exported", "invoice"},
    {"accounting.invoices", changed, "tn.acc.invoice-batched", "invoice"},
    {"accounting.invoice-tasks", changed, "tn.acc.invoice-task-updated", "task", Content::task},
    {"accounting.invoice-tasks", appeared, "tn.acc.invoice-task-created", "task", Content::task},
    {"crm.bookings", changed, "tn.crm.booking-updated", "booking"},
    {"crm.leads", changed, "tn.crm.lead-updated", "lead"},
    {"crm.leads", appeared, "tn.crm.lead-created", "lead"},
    {"dispatch.appointment-assignments", changed, "tn.dis.technician-dispatched", "job", Content::dispatched},
    {"dispatch.appointment-assignments", appeared, "tn.dis.technician-dispatched", "job", Content::dispatched},
    {"dispatch.zones", changed, "tn.dis.zone-updated", "zone"},
    {"dispatch.zones", vanished, "tn.dis.zone-deleted", "zone"},
    {"jpm.appointments", changed, "tn.jpm.job-appointment-updated", "appointment"},
    {"jpm.jobs", changed, "tn.jpm.job-updated", "job"},
    {"jpm.jobs", changed, "tn.jpm.job-completed", "job"},
    {"jpm.jobs", changed, "tn.jpm.job-rescheduled", "job", Content::rescheduled},
    {"jpm.jobs", appeared, "tn.jpm.job-scheduled", "job"},
    {"scheduling-pro.scheduler-sessions", changed, "tn.sp.session-completed", "session"},
    {"scheduling-pro.scheduler-sessions", changed, "tn.sp.session-abandoned-qualified", "session"},
    {"scheduling-pro.scheduler-sessions", appeared, "tn.sp.session-completed", "session"},
    {"scheduling-pro.scheduler-sessions", appeared, "tn.sp.session-abandoned-qualified", "session"},
    {"telecom.calls", changed, "tn.tlc.call-updated", "call"},
    {"telecom.calls", appeared, "tn.tlc.call-completed", "call"},
    {"telecom.calls", appeared, "tn.tlc.call-updated", "call"},
}};

/// The kinds of one resource and happening stand together.
std::span<const EventKind> kinds_of(std::string_view resource, Happened what) {
  const auto fits = [&](const EventKind& k) { return k.resource == resource && k.what == what; };
  const auto begin = std::find_if(kKinds.begin(), kKinds.end(), fits);
  return {begin, std::find_if_not(begin, kKinds.end(), fits)};
}

/// The endpoint that shows a row as events do: by id, else the list. Of calls it is the list, whose third version events quote.
const Endpoint& shown_by(const Resource& resource) {
  const auto* by_id = resource.endpoint(Role::get);
  const auto* list = resource.endpoint(Role::list);
  if (by_id != nullptr && resource.name != "telecom.calls") return *by_id;
  return list != nullptr ? *list : *resource.source();
}

std::string text_at(std::string_view row, std::string_view field) {
  const auto raw = codec::json_field(row, field);
  return codec::json_text(raw).value_or(std::string(raw));
}

/// The row of a resource with this id.
std::optional<std::string> row_by_id(const Store& store, std::string_view resource, std::string_view id) {
  const auto& of = *Schema::get().find(resource);
  const auto number = core::parse_int(id);
  const auto index = number ? store.of(of).find(*number) : std::nullopt;
  return index ? std::optional(store.row(shown_by(of), *index)) : std::nullopt;
}

/// An event's content and the id of what it names; nothing where a row it would show is not there.
struct Told {
  std::string entity;
  std::string members;  ///< of the data, without the tenant
};

Told tell_row(std::string_view member, const std::string& row, std::string_view key) {
  return {text_at(row, key), fmt::format(R"("{}":{})", member, row)};
}

std::optional<Told> tell_rescheduled(const Store& store, const std::string& job) {
  const auto first = text_at(job, "firstAppointmentId");
  const auto appointment = row_by_id(store, "jpm.appointments", first);
  if (!appointment) return std::nullopt;
  auto out = tell_row("job", job, "id");
  out.members += fmt::format(R"(,"appointmentId":{},"appointmentNumber":)", first);
  const auto number = text_at(*appointment, "appointmentNumber");
  codec::append_json_text(out.members, number == "null" ? "" : number);
  return out;
}

std::optional<Told> tell_dispatched(const Store& store, const std::string& assignment) {
  const auto job = row_by_id(store, "jpm.jobs", text_at(assignment, "jobId"));
  const auto appointment = row_by_id(store, "jpm.appointments", text_at(assignment, "appointmentId"));
  if (!job || !appointment) return std::nullopt;
  auto out = tell_row("job", *job, "id");
  out.members += fmt::format(R"(,"appointment":{})", *appointment);
  return out;
}

std::optional<Told> tell(const Store& store, const Dataset& rows, Dataset::Index index, const EventKind& kind) {
  const auto& endpoint = shown_by(rows.resource());
  const auto row = store.row(endpoint, index);
  if (kind.content == Content::rescheduled) return tell_rescheduled(store, row);
  if (kind.content == Content::dispatched) return tell_dispatched(store, row);
  if (kind.content == Content::row) return tell_row(kind.member, row, endpoint.key);
  const auto invoice = rows.owner().parents->id_of(rows.parent_of(index));
  const auto task = text_at(row, "taskId");
  return Told{task, fmt::format(R"("invoice":{{"id":{}}},"task":{{"id":"{}"}})", invoice, task)};
}

}  // namespace

std::optional<WebhookEvent> event_of(const Store& store, const Dataset& rows, Dataset::Index index, Happened what,
                                     core::WallTime now, std::uint64_t serial) {
  const auto kinds = kinds_of(rows.resource().name, what);
  if (kinds.empty() || (what != vanished && !rows.alive(index))) return std::nullopt;
  const auto& kind = kinds[mix(rows.facts(index).seed, "webhook") % kinds.size()];
  auto told = tell(store, rows, index, kind);
  if (!told) return std::nullopt;
  const auto tenant = store.tenant();
  const auto ms = now.time_since_epoch().count();
  return WebhookEvent{.id = core::uuid5(fmt::format("webhook/{}/{}/{}/{}/{}", tenant, kind.type, told->entity, ms, serial)),
                      .type = std::string(kind.type),
                      .tenant = tenant,
                      .entity = std::move(told->entity),
                      .time = now,
                      .data = fmt::format(R"({{{},"tenantId":{},"tenantName":"Company {}"}})", told->members, tenant, tenant)};
}

std::string cloud_event(const WebhookEvent& event, std::string_view delivery) {
  return fmt::format(R"({{"specversion":"1.0","id":"{}","type":"{}","time":"{}","source":"https://webhooks.servicetitan.io",)"
                     R"("userassignedid":"{}","datacontenttype":"application/json","data":{}}})",
                     delivery, event.type, core::format_utc(event.time), event.id, event.data);
}

}  // namespace stsync::sim
