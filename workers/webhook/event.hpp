#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.hpp"
#include "webhook/types.hpp"

namespace stsync::webhook {

/// What is read of an event; the rest of it is the business of those who read the topic.
struct Event {
  std::string id;  ///< userassignedid, the same in every delivery (facts 9); where there is none the id of the delivery
  std::string type;
  std::optional<std::int64_t> tenant;      ///< data.tenantId, a number or a text of digits
  std::array<std::string, kIdPlaces> ids;  ///< by IdAt; empty: not there, or nothing that could be an id

  const std::string& id_at(IdAt place) const noexcept { return ids[static_cast<std::size_t>(place)]; }
};

/// Reads a CloudEvent 1.0 in its JSON form, whatever stands in it besides: RFC 8259 and UTF-8, at most 64 levels deep, no attribute
/// twice. bad_data names what is wrong and repeats nothing of the body.
core::Result<Event> parse_event(std::string_view body);

}  // namespace stsync::webhook
