#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "codec/wire.hpp"
#include "simulation/checker.hpp"

namespace stsync::simulation {

std::string job_name(const v1::Command& command) { return fmt::format("{}/{}/{}", command.app(), command.tenant(), command.id()); }

std::string path_of(const std::string& resource) {
  auto out = resource;
  std::replace(out.begin(), out.end(), '.', '/');
  return out;
}

bool conflict(const v1::StatusEvent& event) {
  return event.type() == v1::StatusEvent::rejected && event.failure().code() == "conflict";
}

bool is_end(const v1::StatusEvent& event) {
  const auto type = event.type();
  return type == v1::StatusEvent::completed || type == v1::StatusEvent::failed || type == v1::StatusEvent::cancelled ||
         type == v1::StatusEvent::coalesced || (type == v1::StatusEvent::rejected && !conflict(event));
}

const StatusReader::Told* first(const StatusReader::History& history, v1::StatusEvent::Type type) {
  const auto it = std::find_if(history.begin(), history.end(), [type](const auto& told) { return told.event.type() == type; });
  return it == history.end() ? nullptr : &*it;
}

const StatusReader::Told* end_of(const StatusReader::History& history) {
  const auto it = std::find_if(history.begin(), history.end(), [](const auto& told) { return is_end(told.event); });
  return it == history.end() ? nullptr : &*it;
}

core::WallTime to_time(const google::protobuf::Timestamp& time) {
  return core::WallTime(std::chrono::milliseconds(time.seconds() * 1000 + time.nanos() / 1'000'000));
}

const StatusReader::History& StatusReader::job(const std::string& name) const {
  static const History nothing;
  const auto it = jobs_.find(name);
  return it == jobs_.end() ? nothing : it->second;
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

bool StatusReader::ended(const std::string& name) const { return end_of(job(name)) != nullptr; }

bool StatusReader::runs(const std::string& name) const {
  bool runs = false;
  for (const auto& told : job(name)) {
    if (told.event.type() == v1::StatusEvent::started) runs = true;
    if (told.event.type() == v1::StatusEvent::paused || is_end(told.event)) runs = false;
  }
  return runs;
}

}  // namespace stsync::simulation
