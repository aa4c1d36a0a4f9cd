#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include <fmt/format.h>

#include "core/text.hpp"
#include "servicetitan/crawl.hpp"

namespace stsync::servicetitan::test {

/// A list endpoint in memory, with the habits that such endpoints have.
class ListServer {
 public:
  struct Habits {
    bool sorts = true;             ///< by id where asked; else newest first
    bool filters = true;           ///< by modifiedOn; else the parameters are ignored
    bool tells_total = true;       ///< totalCount, else null
    std::int64_t total_error = 0;  ///< added to totalCount
    std::int64_t most = 5000;      ///< rows of a page, whatever is asked for
    std::int64_t doubled = 0;      ///< the id of a row that stands there twice
    std::int64_t nameless = 0;     ///< the id of a row that does not tell it
  };
  Habits habits;
  std::map<std::int64_t, std::optional<std::int64_t>> rows;  ///< id to modifiedOn (ms)

  std::string answer(const Query& query) const {
    std::map<std::string, std::string> q(query.begin(), query.end());
    std::vector<std::pair<std::int64_t, std::optional<std::int64_t>>> found;
    for (const auto& row : rows)
      if (!habits.filters || inside(q, row.second)) found.push_back(row);
    if (!habits.sorts || !q.contains("sort"))
      std::sort(found.begin(), found.end(),
                [](const auto& a, const auto& b) { return std::tie(b.second, b.first) < std::tie(a.second, a.first); });
    if (const auto at = std::find_if(found.begin(), found.end(), [this](const auto& row) { return row.first == habits.doubled; });
        at != found.end())
      found.insert(at, *at);
    const auto size = std::min(habits.most, number(q.at("pageSize")));
    const auto total = static_cast<std::int64_t>(found.size());
    const auto page = number(q.at("page"));
    const auto begin = std::min(total, (page - 1) * size);
    const auto end = std::min(total, begin + size);
    std::string data;
    for (auto i = begin; i < end; ++i) data += (data.empty() ? "" : ",") + json_of(found[static_cast<std::size_t>(i)]);
    return fmt::format(R"({{"page":{},"pageSize":{},"hasMore":{},"totalCount":{},"data":[{}]}})", page, size, end < total,
                       habits.tells_total ? std::to_string(std::max<std::int64_t>(0, total + habits.total_error)) : "null", data);
  }

 private:
  static std::int64_t number(const std::string& text) { return core::parse_int(text).value(); }
  static std::string time_text(std::int64_t ms) { return core::format_utc(core::WallTime(std::chrono::milliseconds(ms))); }
  std::string json_of(const std::pair<std::int64_t, std::optional<std::int64_t>>& row) const {
    return fmt::format(R"({{"{}":{},"modifiedOn":{}}})", row.first == habits.nameless ? "number" : "id", row.first,
                       row.second ? "\"" + time_text(*row.second) + "\"" : "null");
  }
  static bool inside(const std::map<std::string, std::string>& q, std::optional<std::int64_t> modified) {
    const auto bound = [&](const char* name) { return core::parse_utc(q.at(name))->time_since_epoch().count(); };
    if (q.contains("modifiedOnOrAfter") && (!modified || *modified < bound("modifiedOnOrAfter"))) return false;
    if (q.contains("modifiedBefore") && (!modified || *modified >= bound("modifiedBefore"))) return false;
    return true;
  }
};

}  // namespace stsync::servicetitan::test
