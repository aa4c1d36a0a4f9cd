#include "core/cron.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <vector>

#include <cctz/civil_time.h>
#include <cctz/time_zone.h>
#include <fmt/format.h>
#include <boost/algorithm/string/classification.hpp>
#include <boost/algorithm/string/predicate.hpp>
#include <boost/algorithm/string/split.hpp>

#include "core/text.hpp"

namespace stsync::core {
namespace {

using Civil = cctz::civil_minute;
using Seconds = cctz::time_point<cctz::seconds>;

constexpr std::array<std::string_view, 12> kMonths{"jan", "feb", "mar", "apr", "may", "jun",
                                                   "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> kDays{"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kNicknames{{{"@hourly", "0 * * * *"},
                                                                                   {"@daily", "0 0 * * *"},
                                                                                   {"@midnight", "0 0 * * *"},
                                                                                   {"@weekly", "0 0 * * 0"},
                                                                                   {"@monthly", "0 0 1 * *"},
                                                                                   {"@yearly", "0 0 1 1 *"}}};
/// The longest that two 29ths of February lie apart.
constexpr int kYears = 8;

/// What may stand in a field.
struct Kind {
  std::string_view name;
  int low, high;
  std::span<const std::string_view> names{};  ///< of the numbers from `low` on
};
constexpr std::array<Kind, 5> kKinds{
    {{"minute", 0, 59}, {"hour", 0, 23}, {"day of the month", 1, 31}, {"month", 1, 12, kMonths}, {"day of the week", 0, 7, kDays}}};

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  boost::algorithm::split(out, text, boost::algorithm::is_any_of(" \t"));
  std::erase(out, "");
  return out;
}

std::optional<int> number(std::string_view text, const Kind& kind) {
  const auto same = [text](std::string_view name) { return boost::algorithm::iequals(name, text); };
  if (const auto at = std::find_if(kind.names.begin(), kind.names.end(), same); at != kind.names.end())
    return kind.low + static_cast<int>(at - kind.names.begin());
  const auto n = text.size() <= 2 ? parse_int(text) : std::nullopt;
  if (!n || *n < kind.low || *n > kind.high) return std::nullopt;
  return static_cast<int>(*n);
}

/// "*", "5", "5-9", "*/10", "5-9/2", "5/10" as a stretch with steps; nothing: none of these.
std::optional<std::vector<int>> numbers(std::string_view part, const Kind& kind) {
  const auto slash = std::min(part.find('/'), part.size());
  const auto range = part.substr(0, slash);
  const bool stepped = slash < part.size();
  const auto step = stepped ? parse_int(part.substr(slash + 1)) : std::optional<std::int64_t>(1);
  if (!step || *step < 1 || *step > kind.high) return std::nullopt;
  std::optional<int> low = kind.low, high = kind.high;
  if (range != "*") {
    const auto dash = std::min(range.find('-'), range.size());
    low = number(range.substr(0, dash), kind);
    if (dash < range.size())
      high = number(range.substr(dash + 1), kind);
    else if (!stepped)
      high = low;
  }
  if (!low || !high || *low > *high) return std::nullopt;
  std::vector<int> out;
  for (int n = *low; n <= *high; n += static_cast<int>(*step)) out.push_back(n);
  return out;
}

template <std::size_t N>
std::optional<std::string> fill(std::bitset<N>& field, std::string_view text, const Kind& kind) {
  std::vector<std::string> parts;
  boost::algorithm::split(parts, text, boost::algorithm::is_any_of(","));
  for (const auto& part : parts) {
    const auto list = numbers(part, kind);
    if (!list)
      return fmt::format("{}: found '{}', expected *, or numbers from {} to {}{} with -, / and commas", kind.name,
                         printable(text, 40), kind.low, kind.high, kind.names.empty() ? "" : " or names");
    for (const auto n : *list) field.set(static_cast<std::size_t>(n) % N);  // the seventh day is a Sunday too
  }
  return std::nullopt;
}

}  // namespace

struct Cron::Zone {
  cctz::time_zone zone;
  static bool day_fits(const Fields& f, const cctz::civil_day& day) {
    const auto weekday = (static_cast<std::size_t>(cctz::get_weekday(day)) + 1) % 7;  // cctz begins with Monday
    const bool by_date = f.days.test(static_cast<std::size_t>(day.day())), by_week = f.weekdays.test(weekday);
    return f.every_day || f.every_weekday ? by_date && by_week : by_date || by_week;
  }

  /// The first minute of a calendar without time zones from `from` on; nothing: none.
  static std::optional<Civil> next(const Fields& f, Civil from) {
    const auto end = from.year() + kYears;
    while (from.year() <= end) {
      if (!f.months.test(static_cast<std::size_t>(from.month())))
        from = Civil(cctz::civil_month(from) + 1);
      else if (!day_fits(f, cctz::civil_day(from)))
        from = Civil(cctz::civil_day(from) + 1);
      else if (!f.hours.test(static_cast<std::size_t>(from.hour())))
        from = Civil(cctz::civil_hour(from) + 1);
      else if (!f.minutes.test(static_cast<std::size_t>(from.minute())))
        ++from;
      else
        return from;
    }
    return std::nullopt;
  }
};

Result<Cron> Cron::parse(std::string_view text, const std::string& zone) {
  const auto known = std::find_if(kNicknames.begin(), kNicknames.end(), [text](const auto& n) { return n.first == text; });
  const auto parts = words(known == kNicknames.end() ? text : known->second);
  if (parts.size() != kKinds.size())
    return fail(ErrorKind::bad_config,
                fmt::format("found '{}', expected five fields: minute, hour, day of the month, month, day of the week",
                            printable(text, 80)));
  Fields f;
  std::optional<std::string> wrong;
  const auto read = [&](auto& field, std::size_t i) {
    if (!wrong) wrong = fill(field, parts[i], kKinds[i]);
  };
  read(f.minutes, 0);
  read(f.hours, 1);
  read(f.days, 2);
  read(f.months, 3);
  read(f.weekdays, 4);
  if (wrong) return fail(ErrorKind::bad_config, std::move(*wrong));
  f.every_hour = parts[1].starts_with('*');
  f.every_day = parts[2].starts_with('*');
  f.every_weekday = parts[4].starts_with('*');
  if (!Zone::next(f, Civil(2000, 1, 1)))
    return fail(ErrorKind::bad_config, fmt::format("found '{}', a day that never comes", printable(text, 80)));
  auto where = std::make_shared<Zone>();
  if (!cctz::load_time_zone(zone, &where->zone))
    return fail(ErrorKind::bad_config,
                fmt::format("time zone: found '{}', expected a name such as America/Chicago or UTC", printable(zone, 80)));
  return Cron(f, std::move(where));
}

/// From one change of the clocks to the next, local time runs as the calendar does.
WallTime Cron::next(WallTime after) const {
  const auto& zone = zone_->zone;
  auto t = std::chrono::floor<cctz::seconds>(std::chrono::floor<std::chrono::minutes>(after) + std::chrono::minutes(1));
  for (;;) {
    const auto at = [start = t, local = Civil(cctz::convert(t, zone))](Civil c) { return start + std::chrono::minutes(c - local); };
    cctz::time_zone::civil_transition change;
    const bool changes = zone.next_transition(t, &change);
    auto c = Zone::next(fields_, Civil(cctz::convert(t, zone)));
    // A fixed hour does not come a second time.
    while (c && !fields_.every_hour && zone.lookup(cctz::civil_second(*c)).pre < at(*c)) c = Zone::next(fields_, *c + 1);
    if (c && (!changes || *c < Civil(change.from))) return std::chrono::time_point_cast<WallTime::duration>(at(*c));
    if (!changes) return WallTime::max();
    t = at(Civil(change.from));
    const auto left_out = Zone::next(fields_, Civil(change.from));
    if (!fields_.every_hour && left_out && *left_out < Civil(change.to)) return std::chrono::time_point_cast<WallTime::duration>(t);
  }
}

}  // namespace stsync::core
