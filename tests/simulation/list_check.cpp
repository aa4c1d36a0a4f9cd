#include "simulation/list_check.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.hpp"

namespace stsync::simulation {

std::int64_t number_in(const std::string& row, const std::string& name) {
  const auto mark = fmt::format("\"{}\":", name);
  const auto at = row.find(mark);
  if (at == std::string::npos) return -1;
  const auto begin = at + mark.size();
  const auto end = row.find_first_not_of("0123456789", begin);
  return core::parse_int(row.substr(begin, end - begin)).value_or(-1);
}

void ListCheck::wrong(const Job& job, const std::string& what) { problems_.push_back(fmt::format("job {}: {}", job.name, what)); }

void ListCheck::add(const Job& job) {
  const auto rows = read_rows(job);
  for (const auto& row : rows) published_.insert(row);
  if (list_.kind() == ListModel::Kind::windowed)
    check_window(job, rows);
  else
    check_snapshot(job, rows);
}

/// No row comes twice in a job, and every one was there while the job ran.
ListCheck::Rows ListCheck::read_rows(const Job& job) {
  Rows out;
  for (const auto& [key, value] : job.records) {
    const auto id = number_in(value, "id");
    const auto n = number_in(value, "n");
    const auto known = list_.rows().find(id);
    if (known == list_.rows().end() || n < 0 || n >= static_cast<std::int64_t>(known->second.size()) ||
        value != list_.row(id, static_cast<std::size_t>(n))) {
      wrong(job, "publishes what is no row of the vendor's: " + value);
      continue;
    }
    const auto version = static_cast<std::size_t>(n);
    const auto& versions = known->second;
    if (versions[version].since > job.ended || (version + 1 < versions.size() && versions[version + 1].since < job.started))
      wrong(job, fmt::format("row {} was not so while it ran", id));
    if (key != fmt::format("{}:{}", tenant_, id)) wrong(job, fmt::format("row {} has the key {}", id, key));
    if (!out.emplace(id, version).second) wrong(job, fmt::format("row {} is there twice", id));
  }
  return out;
}

/// Rows outside of the window do not come; those that stood in it all the time do.
void ListCheck::check_window(const Job& job, const Rows& rows) {
  const auto settled = job.started - std::chrono::duration_cast<std::chrono::milliseconds>(settle_);
  const auto to = job.mode == v1::window ? std::min(job.to, settled) : settled;
  const auto from = job.mode == v1::window ? job.from : core::WallTime::min();
  const auto inside = [&](const ListModel::Version& v) { return v.since >= from && v.since < to; };
  for (const auto& [id, n] : rows)
    if (!inside(list_.rows().at(id)[n])) wrong(job, fmt::format("row {} is not of its window", id));
  if (!job.markers.empty()) wrong(job, "has a marker and is no snapshot");
  if (!job.completed || job.mode == v1::incremental) return;
  for (const auto& [id, versions] : list_.rows()) {
    const auto next = std::find_if(versions.begin(), versions.end(), [&](const auto& v) { return v.since >= job.started; });
    const bool still = next == versions.end() || next->since > job.ended;
    if (next == versions.begin() || !still || !(next - 1)->there || !inside(*(next - 1))) continue;
    const auto found = rows.find(id);
    if (found == rows.end() || found->second != static_cast<std::size_t>(next - 1 - versions.begin()))
      wrong(job, fmt::format("row {} was there all the time and is missing", id));
  }
}

/// A marker in each partition, and its count is that of a moment all of whose rows are published.
void ListCheck::check_snapshot(const Job& job, const Rows& rows) {
  if (!job.completed && !job.markers.empty()) wrong(job, "has a marker and is not completed");
  if (!job.completed) return;
  if (job.markers.size() != partitions_) return wrong(job, fmt::format("has {} markers", job.markers.size()));
  const auto& marker = job.markers.front();
  if (std::count(job.markers.begin(), job.markers.end(), marker) != static_cast<std::ptrdiff_t>(partitions_))
    wrong(job, "its markers are not alike");
  const auto count = static_cast<std::size_t>(number_in(marker, "count"));
  const auto last = number_in(marker, "to_seq");
  if (last != std::max<std::int64_t>(0, static_cast<std::int64_t>(job.records.size()) - 1))
    wrong(job, fmt::format("the marker says {} and it has {} records", marker, job.records.size()));
  std::set<std::int64_t> moment;
  bool possible = false;
  for (const auto& change : list_.changes()) {
    if (change.at > job.ended) break;
    if (change.at >= job.started) possible = possible || was_so(moment, rows, count);
    change.there ? void(moment.insert(change.id)) : void(moment.erase(change.id));
  }
  if (!possible && !was_so(moment, rows, count))
    wrong(job, fmt::format("its {} rows, {} by the marker, are those of no moment", rows.size(), count));
}

bool ListCheck::was_so(const std::set<std::int64_t>& moment, const Rows& rows, std::size_t count) const {
  return moment.size() == count && std::all_of(moment.begin(), moment.end(), [&](auto id) { return rows.contains(id); });
}

void ListCheck::check_watermark(core::WallTime watermark, core::WallTime skipped) {
  for (const auto& [id, versions] : list_.rows()) {
    const auto& now = versions.back();
    if (!now.there || now.since >= watermark || now.since < skipped || published_.contains({id, versions.size() - 1})) continue;
    problems_.push_back(fmt::format("tenant {}: row {} changed before the watermark and was never published", tenant_, id));
  }
}

}  // namespace stsync::simulation
