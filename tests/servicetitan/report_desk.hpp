#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "core/text.hpp"
#include "servicetitan/crawl.hpp"

namespace stsync::servicetitan::test {

/// The reports of a vendor in memory: one report, its columns, its runs.
class ReportDesk {
 public:
  struct Answer {
    int status = 200;
    std::string body;
  };
  std::int64_t rows = 25;
  std::vector<std::string> columns{"Id", "Name"};
  std::int64_t most = 25'000;                               ///< rows of a page, whatever is asked for
  bool async = true;                                        ///< whether there is a way without waiting
  bool quick = false;                                       ///< and it answers with the rows at once
  int polls = 1;                                            ///< answers 202 so often before the rows
  std::int64_t loses = 0;                                   ///< runs that it will forget
  std::map<std::string, std::pair<int, std::string>> runs;  ///< token -> polls to come, answer
  std::vector<std::string> asked;                           ///< "POST /…"
  std::string body;                                         ///< of the last run
  int started = 0;

  Answer answer(const Request& request) {
    const auto path = fill(request);
    asked.push_back(request.method + " " + path);
    if (request.method == "DELETE") return {runs.erase(path.substr(path.rfind('/') + 1)) > 0 ? 204 : 404, ""};
    if (request.method == "GET") return poll(path.substr(path.rfind('/') + 1));
    const bool wants_async = path.ends_with("/data/query");
    if (wants_async && !async)
      return {404, R"({ "statusCode": 404, "message": "Unable to match incoming request to an operation." })"};
    body = request.body;
    ++started;
    if (!wants_async || quick) return {200, page(request.query)};
    const auto token = fmt::format("t{}", started);
    runs[token] = {polls, page(request.query)};
    return {202, fmt::format(R"({{"status":"NotStarted","token":"{}"}})", token)};
  }

  /// A row as it is to be published.
  std::string object(std::int64_t row) const {
    std::string out = "{";
    for (const auto& column : columns) out += fmt::format(R"({}"{}":{})", out.size() > 1 ? "," : "", column, cell(column, row));
    return out + "}";
  }

 private:
  static std::string cell(const std::string& column, std::int64_t row) { return fmt::format(R"("{} {}")", column, row); }

  static std::string fill(const Request& request) {
    auto path = request.path;
    for (const auto& [name, value] : request.places)
      if (const auto at = path.find("{" + name + "}"); at != std::string::npos) path.replace(at, name.size() + 2, value);
    return path;
  }

  Answer poll(const std::string& token) {
    const auto run = runs.find(token);
    if (run != runs.end() && loses > 0) {
      --loses;
      runs.erase(run);
      return {404, R"({"title":"Not Found"})"};
    }
    if (run == runs.end()) return {404, R"({"title":"Not Found"})"};
    if (run->second.first-- > 0) return {202, fmt::format(R"({{"status":"InProgress","token":"{}"}})", token)};
    return {200, run->second.second};
  }

  std::string page(const Query& query) const {
    std::map<std::string, std::string> q(query.begin(), query.end());
    const auto number = core::parse_int(q.at("page")).value();
    const auto size = std::min(most, core::parse_int(q.at("pageSize")).value());
    std::string fields, data;
    for (const auto& column : columns) fields += fmt::format(R"({}{{"name":"{}","label":"x"}})", fields.empty() ? "" : ",", column);
    const auto end = std::min(rows, number * size);
    for (auto row = std::min(rows, (number - 1) * size); row < end; ++row) {
      std::string cells;
      for (const auto& column : columns) cells += (cells.empty() ? "" : ",") + cell(column, row);
      data += fmt::format("{}[{}]", data.empty() ? "" : ",", cells);
    }
    return fmt::format(R"({{"page":{},"pageSize":{},"hasMore":{},"totalCount":{},"data":[{}],"fields":[{}]}})", number, size,
                       end < rows, rows, data, fields);
  }
};

}  // namespace stsync::servicetitan::test
