#include "sync/schedule_times.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "config/units.hpp"
#include "core/text.hpp"

namespace stsync::sync {
namespace {

using std::chrono::duration_cast;

constexpr std::chrono::minutes kCronJitter{10};
constexpr std::chrono::days kCountedBack{31};

/// Of the streams' names: evenly spread, and the same in every version.
std::uint64_t hash_of(const std::string& name) { return std::stoull(core::sha256_hex(name).substr(0, 15), nullptr, 16); }

}  // namespace

core::Result<ScheduleTimes> ScheduleTimes::make(const config::Schedule& s, const std::string& stream, core::Duration gap) {
  ScheduleTimes out;
  out.gap_ = duration_cast<Step>(gap);
  auto spread = duration_cast<Step>(s.jitter.value_or(kCronJitter));
  if (s.cron.empty()) {
    out.every_ = std::max(duration_cast<Step>(s.every.value_or(gap)), std::max<Step>(out.gap_, std::chrono::seconds(1)));
    spread = std::min(s.jitter ? spread : out.every_, out.every_);
  } else {
    auto cron = core::Cron::parse(s.cron, s.time_zone);
    if (!cron) return core::fail(cron.error());
    out.cron_ = std::move(*cron);
  }
  if (const auto jitter = static_cast<std::uint64_t>(spread.count()); jitter > 0)
    out.later_ = Step(static_cast<Step::rep>(hash_of(stream) % jitter));
  return out;
}

core::WallTime ScheduleTimes::next(core::WallTime after) const {
  if (cron_) return cron_->next(std::max(after, after + gap_ - Step(1)) - later_) + later_;
  const auto since = (after - later_).time_since_epoch();
  return core::WallTime((since / every_ + (since >= Step::zero() ? 1 : 0)) * every_ + later_);
}

std::optional<ScheduleTimes::Due> ScheduleTimes::due(core::WallTime after, core::WallTime now) const {
  auto first = next(after);
  if (first > now) return std::nullopt;
  if (!cron_) {
    const auto more = (now - first) / every_;
    return Due{first + more * every_, more + 1};
  }
  if (const auto late = now - kCountedBack; first < late)
    if (const auto recent = next(late); recent <= now) first = recent;
  Due out{first, 0};
  for (auto t = first; t <= now; t = next(t)) {
    out.newest = t;
    ++out.count;
  }
  return out;
}

std::string describe(const config::Schedule& s, core::Duration gap) {
  if (!s.cron.empty()) return s.cron + " " + s.time_zone;
  const auto every = s.every.value_or(gap);
  if (every >= gap) return "every " + config::format_duration(every);
  return fmt::format("every {} (not {})", config::format_duration(gap), config::format_duration(every));
}

}  // namespace stsync::sync
