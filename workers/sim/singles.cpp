#include <algorithm>

#include <fmt/format.h>

#include "codec/page.hpp"
#include "core/text.hpp"
#include "sim/call.hpp"

namespace stsync::sim {
namespace {

using http::ServerResponse;
using Index = Dataset::Index;

constexpr Index kRowsADay = 2;
constexpr std::int64_t kMaxDays = 400;
/// The longest stretch that the capacity can be asked for (facts 12).
constexpr std::int64_t kMaxCapacityDays = 14;
constexpr std::size_t kFileBytes = 3000;

/// Whether a row has a text of this content: what an email or a name in a path means.
bool says(std::string_view row, const std::string& text, const Type& type) {
  return std::any_of(type.fields.begin(), type.fields.end(),
                     [&](const Field& f) { return codec::json_text(codec::json_field(row, f.name)) == text; });
}

/// The row that the last place of the path names, among those that the other places leave.
std::optional<Index> find_row(const Call& call) {
  auto& data = call.data();
  const auto& place = call.places.back().second;
  const auto* children = call.endpoint.resource->endpoint(Role::children);
  std::vector<Index> candidates;
  if (call.places.size() > 1 && children != nullptr) {
    const auto parent = call.store().parent_by(*children, call.places);
    if (!parent) return std::nullopt;
    candidates = data.of_parent(*parent);
  }
  const bool among = call.places.size() > 1 && children != nullptr;
  if (const auto id = read_id(id_form(call.endpoint), place)) {
    const auto index = data.find(*id);
    const bool fits = !among || (index && std::find(candidates.begin(), candidates.end(), *index) != candidates.end());
    return index && data.alive(*index) && fits ? index : std::nullopt;
  }
  if (!among)
    for (Index i = 0; i < data.size(); ++i)
      if (data.alive(i)) candidates.push_back(i);
  if (call.endpoint.row.object == nullptr) return std::nullopt;
  const auto at = std::find_if(candidates.begin(), candidates.end(),
                               [&](Index i) { return says(call.store().row(call.endpoint, i), place, *call.endpoint.row.object); });
  return at == candidates.end() ? std::nullopt : std::optional(*at);
}

/// Where an object stands that has no id of its own.
std::optional<Index> find_single(const Call& call) {
  if (call.endpoint.role != Role::children) return call.data().size() > 0 ? std::optional<Index>(0) : std::nullopt;
  auto parameters = call.places;
  parameters.insert(parameters.end(), call.query.begin(), call.query.end());
  const auto parent = call.store().parent_by(call.endpoint, parameters);
  if (!parent) return std::nullopt;
  const auto& rows = call.data().of_parent(*parent);
  return rows.empty() ? std::nullopt : std::optional(rows.front());
}

/// The stretch of time that a call asks for, from its query or its body.
struct Stretch {
  std::string from;                 ///< as it was asked for
  std::int64_t begin = 0, end = 0;  ///< days since 1970
  std::uint64_t seed = 0;
};
std::optional<Stretch> stretch_of(const Call& call) {
  std::map<core::WallTime, std::string> times;
  Stretch out;
  const auto take = [&](const std::string& text) {
    if (const auto time = core::parse_utc(text)) times.emplace(*time, text);
    out.seed = mix(out.seed, text);
  };
  if (call.endpoint.method == "POST") {
    const auto members = codec::json_members(call.request.body);
    if (!members) return std::nullopt;
    for (const auto& [name, raw] : *members)  // in the order of their names: ends… and starts…
      if (const auto text = codec::json_text(raw)) take(*text);
  } else {
    for (const auto& p : call.endpoint.parameters)
      if (p.required)
        if (const auto* text = call.parameter(p.name)) take(*text);
  }
  if (times.size() != 2) return std::nullopt;
  const auto day = [](core::WallTime t) { return t.time_since_epoch().count() / 86'400'000; };
  out.from = times.begin()->second;
  out.begin = day(times.begin()->first);
  out.end = std::max(out.begin + 1, day(times.rbegin()->first));
  return out;
}

RowFacts facts_of(std::uint64_t seed, Index index, std::int64_t day) {
  RowFacts out;
  out.seed = mix(seed, std::uint64_t{index});
  out.index = index;
  out.id = static_cast<std::int64_t>(1'000'000 + out.seed % 90'000'000'000);
  out.modified = day * kTicksPerDay + static_cast<Ticks>(out.seed % static_cast<std::uint64_t>(kTicksPerDay));
  out.created = out.modified;
  return out;
}

}  // namespace

ServerResponse answer_one(const Call& call) {
  const bool by_id = call.endpoint.role == Role::get;
  const auto index = by_id && !call.places.empty() ? find_row(call) : find_single(call);
  std::string places;
  for (const auto& [name, value] : call.places) places += value + "/";
  count_fetch(call, places);
  if (!index) return not_found(call);
  auto body = call.store().row(call.endpoint, *index);
  if (call.endpoint.resource->source() == nullptr) note_answer(call, body);
  return finish(call, std::move(body));
}

ServerResponse answer_period(const Call& call) {
  const auto stretch = stretch_of(call);
  if (!stretch)
    return error_answer(call.world, 400, "One or more validation errors occurred.", "request", "The request field is required.");
  const auto days = stretch->end - stretch->begin;
  if (days > (call.endpoint.path.ends_with("/capacity") ? kMaxCapacityDays : kMaxDays))
    return bad_parameter(call, "period", fmt::format("{} days", days));
  if (!call.places.empty() && call.endpoint.role == Role::children && !call.store().parent_by(call.endpoint, call.places))
    return not_found(call);
  auto seed = mix(mix(call.world.options.seed, static_cast<std::uint64_t>(call.store().tenant())), call.endpoint.resource->name);
  for (const auto& [name, value] : call.places) seed = mix(seed, value);
  const auto& writer = call.world.writers.of(call.endpoint);
  if (call.endpoint.shape != Shape::page) {
    std::string body;
    writer.append(body, facts_of(mix(seed, stretch->seed), 0, stretch->begin), call.store());
    auto named = call;
    named.query.emplace_back("begin", stretch->from);
    note_answer(named, body);
    return finish(call, std::move(body));
  }
  std::string rows;
  const auto count = static_cast<Index>(days) * kRowsADay;
  const auto* segmentation = call.parameter("performanceSegmentationType");
  if (segmentation != nullptr) seed = mix(seed, *segmentation);
  for (Index i = 0; i < count; ++i) {
    const auto day = stretch->begin + i / kRowsADay;
    if (i > 0) rows += ',';
    const auto begin = rows.size();
    writer.append(rows, facts_of(mix(seed, static_cast<std::uint64_t>(day)), i % kRowsADay, day), call.store());
    note_answer(call, std::string_view(rows).substr(begin), i);
  }
  return finish(call, fmt::format(R"({{"page":1,"pageSize":5000,"hasMore":false,"totalCount":{},"data":[{}]}})",
                                  call.is_true("includeTotal") ? std::to_string(count) : "null", rows));
}

ServerResponse answer_file(const Call& call) {
  auto seed = mix(call.world.options.seed, call.endpoint.resource->name);
  for (const auto& [name, value] : call.places) seed = mix(seed, value);
  const auto* path = call.parameter("path");
  if (path != nullptr) seed = mix(seed, *path);
  if (call.endpoint.role == Role::children && !call.store().parent_by(call.endpoint, call.places)) return not_found(call);
  ServerResponse response;
  if (call.endpoint.role == Role::get) {
    // Files by path lie at a storage that wants no credentials (facts 4).
    if (path == nullptr) return bad_parameter(call, "path", "");
    response.status = 302;
    response.content_type.clear();
    response.headers.emplace_back("Location", fmt::format("/__sim/storage/{:016x}", seed));
    note_answer(call, file_bytes(seed));
    return response;
  }
  response.content_type = "application/octet-stream";
  response.body = file_bytes(seed);
  note_answer(call, response.body);
  return response;
}

std::string file_bytes(std::uint64_t seed) {
  std::string out = "RIFF";
  for (std::uint64_t i = 0; out.size() < kFileBytes + seed % kFileBytes; ++i) out += static_cast<char>(mix(seed, i) & 0xff);
  return out;
}

}  // namespace stsync::sim
