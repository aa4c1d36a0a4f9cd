#include "simulation/fetch_check.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "kafka/client.hpp"
#include "sync/names.hpp"

namespace stsync::simulation {

namespace {

constexpr std::size_t kLostAtOnce = 2;  // pages

/// While a job had its stream: others run where it is paused.
struct Span {
  core::WallTime begin, end;
  bool holds(core::WallTime t) const { return t >= begin && t <= end; }
};
using Spans = std::vector<Span>;

Spans spans_of(const StatusReader::History& told) {
  Spans out;
  for (const auto& t : told) {
    if (t.event.type() == v1::StatusEvent::started) out.push_back({time_of(t.event), core::WallTime::max()});
    const bool stops = t.event.type() == v1::StatusEvent::paused || is_end(t.event);
    if (stops && !out.empty()) out.back().end = std::min(out.back().end, time_of(t.event));
  }
  return out;
}

bool hold(const Spans& spans, core::WallTime t) {
  return std::any_of(spans.begin(), spans.end(), [t](const auto& span) { return span.holds(t); });
}

/// How many pages were fetched in vain.
std::size_t fetched_again(const VendorModel& vendor, const v1::Command& job, const Spans& spans) {
  std::set<std::string> pages;
  std::size_t all = 0;
  for (const auto& page : vendor.delivered)
    if (page.tenant == job.tenant() && page.resource == path_of(job.sync().resource()) && hold(spans, page.asked)) {
      pages.insert(page.from);
      ++all;
    }
  return all - pages.size();
}

bool overlap(const Spans& a, const Spans& b) {
  return std::any_of(a.begin(), a.end(), [&b](const auto& x) {
    return std::any_of(b.begin(), b.end(), [&x](const auto& y) { return x.begin <= y.end && y.begin <= x.end; });
  });
}

/// Whether another one read the same pages at the time: whose a page is cannot be told then.
bool shared(const v1::Command& job, const Spans& spans, const StatusReader& statuses, const std::vector<v1::Command>& sent) {
  return std::any_of(sent.begin(), sent.end(), [&](const auto& other) {
    return other.id() != job.id() && other.tenant() == job.tenant() && other.has_sync() && other.sync().mode() != v1::ids &&
           other.sync().resource() == job.sync().resource() && overlap(spans, spans_of(statuses.job(job_name(other))));
  });
}

}  // namespace

std::vector<std::string> check_fetches(const VendorModel& vendor, const SimCluster& cluster, const StatusReader& statuses,
                                       const std::vector<v1::Command>& sent, int partitions) {
  std::vector<std::string> problems;
  for (const auto& job : sent) {
    const auto& told = statuses.job(job_name(job));
    if (end_of(told) == nullptr || job.sync().mode() == v1::ids) continue;
    const auto spans = spans_of(told);
    if (shared(job, spans, statuses, sent)) continue;
    const auto partition = kafka::partition_for(sync::tenant_key(job.app(), job.tenant()), partitions);
    const auto [from, to] = cluster.takeovers.equal_range(partition);
    const auto disturbed =
        std::count_if(from, to, [&](const auto& takeover) { return hold(spans, takeover.second); }) +
        std::count_if(told.begin(), told.end(), [](const auto& t) { return t.event.type() == v1::StatusEvent::paused; });
    if (const auto again = fetched_again(vendor, job, spans); again > kLostAtOnce * static_cast<std::size_t>(disturbed))
      problems.push_back(
          fmt::format("job {}: {} pages were fetched again, it was disturbed {} times", job_name(job), again, disturbed));
  }
  return problems;
}

}  // namespace stsync::simulation
