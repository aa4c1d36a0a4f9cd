#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.hpp"
#include "sim/dataset.hpp"
#include "sim/store.hpp"

// What the vendor tells of changed rows: CloudEvents 1.0 of 21 types (facts 9).
namespace stsync::sim {

/// An event, without what each of its deliveries has of its own.
struct WebhookEvent {
  std::string id;    ///< userassignedid
  std::string type;  ///< "tn.jpm.job-updated"
  std::int64_t tenant = 0;
  std::string entity;  ///< id of the row it names, as text
  core::WallTime time;
  std::string data;  ///< JSON object
};

/// The event of what has happened to a row; nothing where the vendor has none of that kind. A row's texts are chance, so chance
/// (the same for the same version of the row) also says which of several types fits: updated, posted, exported … . `serial` makes
/// two events of the same row and time two.
std::optional<WebhookEvent> event_of(const Store& store, const Dataset& rows, Dataset::Index index, Happened what,
                                     core::WallTime now, std::uint64_t serial);

/// The body of one delivery, compact JSON.
std::string cloud_event(const WebhookEvent& event, std::string_view delivery);

}  // namespace stsync::sim
