#pragma once
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace stsync::webhook {

/// Where in an event the id of what it is about may stand.
enum class IdAt { invoice, booking, lead, job, appointment, appointment_id, zone, call, count };
inline constexpr std::size_t kIdPlaces = static_cast<std::size_t>(IdAt::count);
/// "job.id", within `data`.
std::string_view path_of(IdAt place) noexcept;

/// What is read because of an event.
struct Target {
  std::string_view resource;    ///< of the catalogue
  std::optional<IdAt> id = {};  ///< nothing: its rows cannot be read by what the event names, so what changed is read
};

/// A type of the vendor's webhooks.
struct EventType {
  std::string_view name;
  std::array<Target, 2> targets;  ///< the second may be empty
};

/// The 21 types of the vendor's specs of 2026-03 (schemas CloudEvent_Of_…; facts 9).
std::span<const EventType> event_types() noexcept;
/// nullptr: this version does not know it.
const EventType* find_type(std::string_view name) noexcept;

}  // namespace stsync::webhook
