#include "webhook/types.hpp"

#include <algorithm>

namespace stsync::webhook {
namespace {

constexpr std::array<std::string_view, kIdPlaces> kPaths{"invoice.id",     "booking.id",    "lead.id", "job.id",
                                                         "appointment.id", "appointmentId", "zone.id", "call.id"};

constexpr Target kInvoice{"accounting.invoices", IdAt::invoice};
/// Tasks have no ids that the API takes: those of an invoice are read together, by its id.
constexpr Target kInvoiceTasks{"accounting.invoice-tasks", IdAt::invoice};
constexpr Target kBooking{"crm.bookings", IdAt::booking};
constexpr Target kLead{"crm.leads", IdAt::lead};
constexpr Target kJob{"jpm.jobs", IdAt::job};
constexpr Target kAppointment{"jpm.appointments", IdAt::appointment};
constexpr Target kZone{"dispatch.zones", IdAt::zone};
constexpr Target kCall{"telecom.calls", IdAt::call};
constexpr Target kSessions{"scheduling-pro.scheduler-sessions"};

/// Sorted by name.
constexpr std::array kTypes{
    EventType{"tn.acc.invoice-batched", {kInvoice}},
    EventType{"tn.acc.invoice-exported", {kInvoice}},
    EventType{"tn.acc.invoice-posted", {kInvoice}},
    EventType{"tn.acc.invoice-task-created", {kInvoiceTasks}},
    EventType{"tn.acc.invoice-task-updated", {kInvoiceTasks}},
    EventType{"tn.acc.invoice-updated", {kInvoice}},
    EventType{"tn.crm.booking-updated", {kBooking}},
    EventType{"tn.crm.lead-created", {kLead}},
    EventType{"tn.crm.lead-updated", {kLead}},
    EventType{"tn.dis.technician-dispatched", {kJob, kAppointment}},
    EventType{"tn.dis.zone-deleted", {kZone}},
    EventType{"tn.dis.zone-updated", {kZone}},
    EventType{"tn.jpm.job-appointment-updated", {kAppointment}},
    EventType{"tn.jpm.job-completed", {kJob}},
    EventType{"tn.jpm.job-rescheduled", {kJob, Target{"jpm.appointments", IdAt::appointment_id}}},
    EventType{"tn.jpm.job-scheduled", {kJob}},
    EventType{"tn.jpm.job-updated", {kJob}},
    EventType{"tn.sp.session-abandoned-qualified", {kSessions}},
    EventType{"tn.sp.session-completed", {kSessions}},
    EventType{"tn.tlc.call-completed", {kCall}},
    EventType{"tn.tlc.call-updated", {kCall}},
};
static_assert(std::is_sorted(kTypes.begin(), kTypes.end(), [](const auto& a, const auto& b) { return a.name < b.name; }));

}  // namespace

std::string_view path_of(IdAt place) noexcept { return kPaths[static_cast<std::size_t>(place)]; }

std::span<const EventType> event_types() noexcept { return kTypes; }

const EventType* find_type(std::string_view name) noexcept {
  const auto* it =
      std::lower_bound(kTypes.begin(), kTypes.end(), name, [](const auto& t, std::string_view n) { return t.name < n; });
  return it != kTypes.end() && it->name == name ? &*it : nullptr;
}

}  // namespace stsync::webhook
