#include <algorithm>

#include <fmt/format.h>

#include "codec/wire.hpp"
#include "simulation/checker.hpp"

namespace stsync::simulation {

std::string job_name(const v1::Command& command) { return fmt::format("{}/{}/{}", command.app(), command.tenant(), command.id()); }

bool is_end(v1::StatusEvent::Type type) noexcept {
  return type == v1::StatusEvent::completed || type == v1::StatusEvent::failed || type == v1::StatusEvent::cancelled ||
         type == v1::StatusEvent::rejected || type == v1::StatusEvent::coalesced;
}

void StatusReader::read_on() {
  for (int p = 0; p < broker_.partitions(topic_); ++p) {
    const auto slice = broker_.log(topic_, p).read(positions_[p], Isolation::read_committed);
    positions_[p] = slice.next;
    for (const auto& [offset, entry] : slice.seen) {
      Told told{{}, entry->batch, entry->ended, offset};
      if (!entry->value || !codec::from_json(*entry->value, told.event)) continue;
      jobs_[fmt::format("{}/{}/{}", told.event.app(), told.event.tenant(), told.event.job())].push_back(std::move(told));
    }
  }
}

bool StatusReader::ended(const std::string& job) const {
  const auto it = jobs_.find(job);
  return it != jobs_.end() &&
         std::any_of(it->second.begin(), it->second.end(), [](const auto& told) { return is_end(told.event.type()); });
}

bool StatusReader::runs(const std::string& job) const {
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return false;
  bool runs = false;
  for (const auto& told : it->second) {
    const auto type = told.event.type();
    if (type == v1::StatusEvent::started) runs = true;
    if (type == v1::StatusEvent::paused || is_end(type)) runs = false;
  }
  return runs;
}

}  // namespace stsync::simulation
