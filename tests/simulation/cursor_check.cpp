#include "simulation/cursor_check.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.hpp"

namespace stsync::simulation {

namespace {

/// Places that the cursor of a stream was set to, as they were written.
std::vector<std::string> places(const StatusReader& statuses, const std::vector<v1::Command>& sent, const std::string& stream) {
  std::vector<std::string> out;
  for (const auto& c : sent)
    if (c.cursor().has_set() && fmt::format("{}/{}", c.tenant(), c.cursor().resource()) == stream &&
        first(statuses.job(job_name(c)), v1::StatusEvent::completed) != nullptr)
      out.push_back(c.cursor().set());
  return out;
}

std::int64_t row_of(const std::string& token) { return core::parse_int(token.substr(token.find('-') + 1)).value_or(0); }

/// Whether a job was between its first start and its end.
bool runs_at(const StatusReader::History& job, std::int64_t offset) {
  const auto* started = first(job, v1::StatusEvent::started);
  const auto* end = end_of(job);
  return started != nullptr && started->offset < offset && (end == nullptr || end->offset > offset);
}

}  // namespace

std::int64_t skipped_rows(const StatusReader& statuses, const std::vector<v1::Command>& sent, const std::string& stream) {
  std::int64_t out = 0;
  for (const auto& place : places(statuses, sent, stream)) out = std::max(out, row_of(place));
  return out;
}

core::WallTime skipped_time(const StatusReader& statuses, const std::vector<v1::Command>& sent, const std::string& stream) {
  auto out = core::WallTime::min();
  for (const auto& place : places(statuses, sent, stream)) out = std::max(out, core::parse_utc(place).value_or(out));
  return out;
}

std::vector<std::string> check_cursor_orders(const StatusReader& statuses, const std::vector<v1::Command>& sent,
                                             const std::map<std::string, std::int64_t>& first_rows) {
  std::vector<std::string> problems;
  for (const auto& order : sent) {
    const auto* done = order.has_cursor() ? first(statuses.job(job_name(order)), v1::StatusEvent::completed) : nullptr;
    if (done == nullptr) continue;
    const v1::Command* next = nullptr;
    std::int64_t next_start = INT64_MAX;
    bool busy = false;
    for (const auto& c : sent) {
      if (c.tenant() != order.tenant()) continue;
      const auto& job = statuses.job(job_name(c));
      const bool same = c.cursor().resource() == order.cursor().resource() && c.id() != order.id();
      if (!same && c.sync().resource() != order.cursor().resource()) continue;
      busy = busy || runs_at(job, done->offset);
      const auto* begins = first(job, c.has_cursor() ? v1::StatusEvent::completed : v1::StatusEvent::started);
      if (begins == nullptr || begins->offset < done->offset || begins->offset > next_start) continue;
      next_start = begins->offset;
      next = &c;
    }
    const auto begun = next == nullptr ? first_rows.end() : first_rows.find(job_name(*next));
    if (busy || begun == first_rows.end() || next->sync().mode() != v1::incremental) continue;
    if (const auto place = row_of(order.cursor().set()); begun->second != place)
      problems.push_back(fmt::format("job {} begins at row {}, after {} had set the cursor to {}", job_name(*next), begun->second,
                                     order.id(), place));
  }
  return problems;
}

}  // namespace stsync::simulation
