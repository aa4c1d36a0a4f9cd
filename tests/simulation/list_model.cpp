#include "simulation/list_model.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.hpp"

namespace stsync::simulation {

namespace {

std::int64_t number(const ListModel::Query& query, const char* name, std::int64_t otherwise) {
  const auto it = query.find(name);
  return it == query.end() ? otherwise : core::parse_int(it->second).value_or(otherwise);
}

core::WallTime time(const ListModel::Query& query, const char* name, core::WallTime otherwise) {
  const auto it = query.find(name);
  return it == query.end() ? otherwise : core::parse_utc(it->second).value_or(otherwise);
}

}  // namespace

void ListModel::add(core::WallTime now) {
  rows_[next_id_].push_back({now, true});
  changes_.push_back({now, next_id_++, true});
}

void ListModel::set(std::int64_t id, Version version) {
  const auto it = rows_.find(id);
  if (it == rows_.end() || !it->second.back().there) return;
  it->second.push_back(version);
  changes_.push_back({version.since, id, version.there});
}

std::string ListModel::row(std::int64_t id, std::size_t n) const {
  return fmt::format(R"({{"id":{},"modifiedOn":"{}","n":{},"of":"{}"}})", id, core::format_utc(rows_.at(id).at(n).since), n, of_);
}

std::vector<std::int64_t> ListModel::found(const Query& query) const {
  const bool windowed = kind_ == Kind::windowed;
  const auto from = windowed ? time(query, "modifiedOnOrAfter", core::WallTime::min()) : core::WallTime::min();
  const auto to = windowed ? time(query, "modifiedBefore", core::WallTime::max()) : core::WallTime::max();
  std::vector<std::int64_t> out;
  for (const auto& [id, versions] : rows_)
    if (const auto& v = versions.back(); v.there && v.since >= from && v.since < to) out.push_back(id);
  if (kind_ == Kind::plain || !query.contains("sort")) std::reverse(out.begin(), out.end());
  return out;
}

std::string ListModel::page(const Query& query, std::int64_t most) const {
  const auto ids = found(query);
  const auto total = static_cast<std::int64_t>(ids.size());
  const auto size = std::clamp<std::int64_t>(number(query, "pageSize", most), 1, most);
  const auto page = number(query, "page", 1);
  const auto begin = std::min(total, (page - 1) * size);
  const auto end = std::min(total, begin + size);
  std::string data;
  for (auto i = begin; i < end; ++i) {
    const auto id = ids[static_cast<std::size_t>(i)];
    data += (data.empty() ? "" : ",") + row(id, rows_.at(id).size() - 1);
  }
  return fmt::format(R"({{"page":{},"pageSize":{},"hasMore":{},"totalCount":{},"data":[{}]}})", page, size, end < total, total,
                     data);
}

}  // namespace stsync::simulation
