#include "sim/reports.hpp"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "codec/page.hpp"
#include "core/text.hpp"
#include "sim/call.hpp"

namespace stsync::sim {
namespace {

using http::ServerResponse;

struct Column {
  std::string_view name, label, type;
};
constexpr std::array<Column, ReportLayout::kColumns> kColumns{{{"JobId", "Job ID", "Number"},
                                                               {"CustomerName", "Customer", "String"},
                                                               {"Total", "Total \\u2013 net", "Number"},
                                                               {"CompletedOn", "Completed", "Date"},
                                                               {"IsRecall", "Recall?", "Boolean"},
                                                               {"ArrivedAt", "Arrived", "Time"}}};
constexpr std::size_t kMaxPage = 25'000;
constexpr std::size_t kMaxRuns = 100;

std::array<std::size_t, kColumns.size()> order_of(bool swapped) {
  return swapped ? std::array<std::size_t, kColumns.size()>{2, 1, 0, 3, 4, 5}
                 : std::array<std::size_t, kColumns.size()>{0, 1, 2, 3, 4, 5};
}

/// Cells do not always have the type that is declared (facts 7).
void append_cell(std::string& out, std::size_t column, std::uint64_t row, Draw& draw) {
  const auto created = static_cast<Ticks>(1'700'000'000) * kTicksPerSecond;
  switch (column) {
    case 0:
      if (row % 11 == 3) return void(out += fmt::format("\"{}\"", draw.reference()));
      return append_number(out, draw.reference());
    case 1:
      return append_value(out, Kind::name, draw, created);
    case 2:
      return draw.one_in(10) ? void(out += "null") : append_value(out, Kind::decimal, draw, created);
    case 3:
      return append_value(out, Kind::date_time, draw, created);
    case 4:
      return append_value(out, Kind::flag, draw, created);
    default:
      return append_value(out, Kind::duration, draw, created);
  }
}

/// The row as whoever reads reports is to publish it.
std::string row_object(std::uint64_t seed, std::uint64_t row, bool swapped) {
  std::string out;
  for (const auto column : order_of(swapped)) {
    Draw draw(mix(mix(seed, row), std::uint64_t{column}));
    out += fmt::format(R"({}"{}":)", out.empty() ? "{" : ",", kColumns[column].name);
    append_cell(out, column, row, draw);
  }
  return out += '}';
}

/// The names of the parameters that a request gives; nothing when there are none to read.
std::optional<std::set<std::string>> given_parameters(const std::string& body) {
  const auto members = codec::json_members(body);
  if (!members || !members->contains("parameters")) return std::nullopt;
  const auto page = codec::cut_page(members->at("parameters"), {.key = "name", .modified = {}});
  if (!page || !page->bare) return std::nullopt;
  std::set<std::string> out;
  for (const auto& row : page->records) {
    const auto name = codec::json_text(row.key.in(members->at("parameters")));
    if (!name || name->empty()) return std::nullopt;
    out.insert(*name);
  }
  return out;
}

std::size_t number(const Parameters& query, std::string_view name, std::size_t otherwise) {
  const auto* text = find_parameter(query, name);
  const auto value = text == nullptr ? std::nullopt : core::parse_int(*text);
  return value && *value > 0 ? static_cast<std::size_t>(*value) : otherwise;
}

/// A page of a report, from the query alone: paging in the body is ignored (facts 7).
std::string render(const Call& call) {
  const auto rows = call.world.options.records;
  const auto page = number(call.query, "page", 1);
  const auto size = std::min(number(call.query, "pageSize", 1000), kMaxPage);
  const auto begin = std::min(rows, (page - 1) * size), end = std::min(rows, begin + size);
  auto seed = mix(call.world.options.seed, static_cast<std::uint64_t>(call.store().tenant()));
  for (const auto& [place, value] : call.places) seed = mix(seed, value);
  seed = mix(seed, call.request.body);
  const auto* total = find_parameter(call.query, "includeTotal");
  const bool with_total = total != nullptr && same_word(*total, "true");
  auto out =
      fmt::format(R"({{"fields":{},"page":{},"pageSize":{},"hasMore":{},"totalCount":{},"data":[)",
                  report_fields(call.tenant.reports.swapped), page, size, end < rows, with_total ? std::to_string(rows) : "null");
  for (auto row = begin; row < end; ++row) {
    if (row > begin) out += ',';
    append_report_row(out, seed, row, call.tenant.reports.swapped);
    note_answer(call, row_object(seed, row, call.tenant.reports.swapped), row);
  }
  return out += "]}";
}

std::optional<ServerResponse> refuse(const Call& call) {
  const auto& reports = *Schema::get().find("reporting.category-reports")->endpoint(Role::children);
  // The report's number is the last place of the path, its category the first.
  const auto* id = find_parameter(call.places, "reportId");
  const auto index = id == nullptr ? std::nullopt : read_id(Scalar::int64, *id);
  auto& data = call.store().of(*reports.resource);
  const auto row = index ? data.find(*index) : std::nullopt;
  const auto* category = find_parameter(call.places, "report_category");
  if (!row || !data.alive(*row) || category == nullptr ||
      call.store().bound(reports, "report_category", data.parent_of(*row)) != *category)
    return not_found(call);
  const auto given = given_parameters(call.request.body);
  if (!given)
    return error_answer(call.world, 400, "One or more validation errors occurred.", "request", "The request field is required.");
  for (const auto* name : {"From", "To"})
    if (!given->contains(name))
      return error_answer(call.world, 400, "One or more validation errors occurred.", name,
                          fmt::format("The {} field is required.", name));
  if (const auto wait = call.tenant.reports.refuse(*id, call.world.clock.now())) {
    ++call.tenant.refused;
    const auto seconds = std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::seconds>(*wait).count());
    auto response = error_answer(call.world, 429, fmt::format("Rate limit is exceeded. Try again in {} seconds.", seconds));
    response.headers.emplace_back("Retry-After", std::to_string(seconds));
    return response;
  }
  return std::nullopt;
}

ServerResponse accepted(const std::string& token) {
  ServerResponse response;
  response.status = 202;
  response.body = fmt::format(R"({{"status":"InProgress","token":"{}"}})", token);
  return response;
}

}  // namespace

void append_report_definition(std::string& out, const RowFacts& report) {
  out += fmt::format(R"({{"id":{},"name":"Report {}","description":null,"modifiedOn":")", report.parent, report.parent % 1000);
  append_time(out, report.modified);
  out += R"(","parameters":[)";
  out += R"({"name":"From","label":"From","dataType":"Date","isArray":false,"isRequired":true,"acceptValues":null},)";
  out += R"({"name":"To","label":"To","dataType":"Date","isArray":false,"isRequired":true,"acceptValues":null},)";
  out += fmt::format(
      R"({{"name":"BusinessUnitIds","label":"Business units","dataType":"Number","isArray":true,"isRequired":false,"acceptValues":{{"fields":[{{"name":"Value","label":"Value"}},{{"name":"Name","label":"Name"}}],"dynamicSetId":"{}","values":null}}}}],"fields":[)",
      ReportLayout::kValueSet);
  for (const auto& column : kColumns)
    out += fmt::format(R"({}{{"name":"{}","label":"{}","dataType":"{}"}})", &column == kColumns.data() ? "" : ",", column.name,
                       column.label, column.type);
  out += "]}";
}

std::string report_fields(bool swapped) {
  std::string out;
  for (const auto column : order_of(swapped))
    out += fmt::format(R"({}{{"name":"{}","label":"{}"}})", out.empty() ? "[" : ",", kColumns[column].name, kColumns[column].label);
  return out += ']';
}

void append_report_row(std::string& out, std::uint64_t seed, std::uint64_t row, bool swapped) {
  bool first = true;
  out += '[';
  for (const auto column : order_of(swapped)) {
    if (!first) out += ',';
    first = false;
    Draw draw(mix(mix(seed, row), std::uint64_t{column}));
    append_cell(out, column, row, draw);
  }
  out += ']';
}

std::optional<core::Duration> ReportDesk::refuse(const std::string& report, core::TimePoint now) {
  const auto [at, first] = last_.try_emplace(report, now);
  if (!first && now - at->second < window_) return at->second + window_ - now;
  at->second = now;
  return std::nullopt;
}

std::string ReportDesk::begin(std::string body, core::TimePoint now) {
  if (runs_.size() >= kMaxRuns) runs_.erase(runs_.begin());
  auto token = fmt::format("q{:016x}", mix(++begun_, body));
  runs_[token] = {std::move(body), now + slow_};
  return token;
}

ReportDesk::State ReportDesk::state(const std::string& token, core::TimePoint now) const {
  const auto at = runs_.find(token);
  if (at == runs_.end()) return State::unknown;
  return now < at->second.ready ? State::under_way : State::ready;
}

ServerResponse answer_report(const Call& call) {
  count_fetch(call, fmt::format("{} {} {}", call.request.path, call.request.query, call.request.body));
  if (auto refused = refuse(call)) return std::move(*refused);
  return finish(call, render(call));
}

ServerResponse answer_value_set(const Call& call) {
  const auto& units = *Schema::get().find("settings.business-units");
  const auto* id = find_parameter(call.places, "dynamicSetId");
  if (id == nullptr || *id != ReportLayout::kValueSet) return not_found(call);
  const auto& data = call.store().of(units);
  const auto page = number(call.query, "page", 1), size = number(call.query, "pageSize", 50);
  const auto begin = std::min<std::size_t>(data.size(), (page - 1) * size), end = std::min<std::size_t>(data.size(), begin + size);
  auto body = fmt::format(
      R"({{"fields":[{{"name":"Value","label":"Value"}},{{"name":"Name","label":"Name"}}],"page":{},"pageSize":{},"hasMore":{},"totalCount":{},"data":[)",
      page, size, end < data.size(), call.is_true("includeTotal") ? std::to_string(data.size()) : "null");
  for (auto row = begin; row < end; ++row) {
    if (row > begin) body += ',';
    const auto at = body.size();
    body += fmt::format(R"([{},"Unit {}"])", data.id_of(static_cast<Dataset::Index>(row)), row);
    note_answer(call, std::string_view(body).substr(at), row);
  }
  return finish(call, body + "]}");
}

std::optional<ServerResponse> answer_data_query(const Call& call, std::string_view path) {
  auto& desk = call.tenant.reports;
  const auto now = call.world.clock.now();
  if (path.ends_with("/data/query") && call.request.method == "POST") {
    if (auto refused = refuse(call)) return refused;
    return accepted(desk.begin(render(call), now));
  }
  const auto token = std::string(path.substr(path.rfind('/') + 1));
  if (path.find("/data-queries/") == std::string_view::npos) return std::nullopt;
  ServerResponse response;
  if (call.request.method == "DELETE") {
    response.status = desk.forget(token) ? 204 : 404;
    return response;
  }
  switch (desk.state(token, now)) {
    case ReportDesk::State::unknown:
      return not_found(call);
    case ReportDesk::State::under_way:
      return accepted(token);
    case ReportDesk::State::ready:
      return finish(call, desk.result(token));
  }
  return std::nullopt;
}

}  // namespace stsync::sim
