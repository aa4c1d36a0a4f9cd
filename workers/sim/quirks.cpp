#include "sim/quirks.hpp"

#include <algorithm>
#include <array>

namespace stsync::sim {
namespace {

template <std::size_t N>
bool holds(const std::array<std::string_view, N>& names, std::string_view name) noexcept {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

const Resource& rows_of(const Resource& resource) noexcept {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 7> twins{
      {{"accounting.inventory-bills-unpaged", "accounting.inventory-bills"},
       {"crm.booking-provider-booking-contacts", "crm.booking-contacts"},
       {"crm.booking-provider-bookings", "crm.bookings"},
       {"crm.bookings-of-provider", "crm.bookings"},
       {"salestech.estimates-alternative-export", "salestech.estimates"},
       {"telecom.calls-v2", "telecom.calls"},
       {"telecom.opt-outs-of-numbers", "telecom.opt-outs"}}};
  const auto at = std::find_if(twins.begin(), twins.end(), [&](const auto& t) { return t.first == resource.name; });
  return at == twins.end() ? resource : *Schema::get().find(at->second);
}

bool is_rare(const Resource& resource) noexcept {
  static constexpr std::array<std::string_view, 2> names{"scheduling-pro.routers", "scheduling-pro.schedulers"};
  return holds(names, resource.name);
}

std::string_view field_of_place(std::string_view place) noexcept { return place == "booking_provider" ? "bookingProviderId" : ""; }

bool is_unsorted(const Resource& resource) noexcept {
  static constexpr std::array<std::string_view, 5> names{"dispatch.technician-shifts", "forms.submissions", "marketing.campaigns",
                                                         "pricebook.materials", "pricebook.services"};
  return holds(names, resource.name);
}

void disorder(std::vector<Dataset::Index>& rows) {
  constexpr std::size_t kStep = 9, kFar = 5;
  for (std::size_t i = 0; i + kFar < rows.size(); i += kStep) std::swap(rows[i], rows[i + kFar]);
}

bool ignores_modified_filter(const Endpoint& endpoint) noexcept { return endpoint.resource->name == "memberships.memberships"; }

bool ignores_filter(const Endpoint& endpoint, std::string_view parameter) noexcept {
  return endpoint.resource->api == "payroll" && parameter == "jobIds";
}

bool shows_inactive_by_default(const Resource& resource) noexcept {
  static constexpr std::array<std::string_view, 2> names{"jpm.job-cancel-reasons", "jpm.job-hold-reasons"};
  return holds(names, resource.name);
}

bool answers_bare(const Endpoint& endpoint, std::int64_t tenant) noexcept {
  return endpoint.role == Role::children && endpoint.resource->name == "payroll.job-timesheets" && tenant % 2 == 0;
}

}  // namespace stsync::sim
