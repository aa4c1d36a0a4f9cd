#include <algorithm>

#include <fmt/format.h>

#include "codec/page.hpp"
#include "core/text.hpp"
#include "sim/call.hpp"
#include "sim/quirks.hpp"

namespace stsync::sim {
namespace {

using http::ServerResponse;
using Index = Dataset::Index;
using Rows = std::vector<Index>;

std::optional<Ticks> time_of(const Call& call, std::string_view name) {
  const auto* text = call.parameter(name);
  const auto time = text == nullptr ? std::nullopt : core::parse_utc(*text);
  return time ? std::optional(to_ticks(*time)) : std::nullopt;
}

/// Which rows a list shows without being asked, and with: the vendor has four ways to say it (facts 5).
std::optional<bool> active_of(const Call& call) {
  const auto* active = call.parameter("active");
  if (call.endpoint.parameter("active") != nullptr) {
    if (active == nullptr) return shows_inactive_by_default(*call.endpoint.resource) ? std::nullopt : std::optional(true);
    return same_word(*active, "any") ? std::nullopt : std::optional(same_word(*active, "true"));
  }
  if (const auto* state = call.parameter("activeState"); call.endpoint.parameter("activeState") != nullptr) {
    if (state == nullptr || same_word(*state, "ActiveOnly")) return true;
    return same_word(*state, "InactiveOnly") ? std::optional(false) : std::nullopt;
  }
  if (call.endpoint.parameter("includeInactive") != nullptr)
    return call.is_true("includeInactive") ? std::nullopt : std::optional(true);
  return call.is_true("activeOnly") ? std::optional(true) : std::nullopt;
}

Dataset::Filter filter_of(const Call& call) {
  Dataset::Filter filter;
  filter.active = active_of(call);
  filter.created_from = time_of(call, "createdOnOrAfter");
  filter.created_before = time_of(call, "createdBefore");
  if (const auto after = time_of(call, "createdAfter")) filter.created_from = *after + 1;
  if (ignores_modified_filter(call.endpoint)) return filter;
  filter.modified_from = time_of(call, "modifiedOnOrAfter");
  filter.modified_before = time_of(call, "modifiedBefore");
  if (const auto after = time_of(call, "modifiedAfter")) filter.modified_from = *after + 1;
  return filter;
}

/// The field to sort by as the endpoint spells it, with its direction; nothing when that cannot be sorted by.
std::optional<std::string> sort_of(const Call& call) {
  const auto* sort = call.parameter("sort");
  if (sort == nullptr) return "-Id";
  // An unescaped "+" arrives as a blank and is taken for what was meant.
  if (sort->front() != '+' && sort->front() != '-' && sort->front() != ' ') return std::nullopt;
  static const std::vector<std::string> undocumented{"Id", "ModifiedOn", "CreatedOn"};
  const auto& fields = call.endpoint.sorts.empty() ? undocumented : call.endpoint.sorts;
  const auto at = std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return same_word(f, sort->substr(1)); });
  if (at == fields.end()) return std::nullopt;
  return (sort->front() == '-' ? "-" : "+") + (same_word(*at, "Id") ? "Id" : *at);
}

/// Documented parameters that compare with a field of the same name: what a row must say.
std::vector<std::pair<std::string, std::vector<std::string>>> comparisons(const Call& call) {
  std::vector<std::pair<std::string, std::vector<std::string>>> out;
  const auto* type = call.endpoint.row.object;
  for (const auto& parameter : call.endpoint.parameters) {
    const auto& name = parameter.name;
    const bool special = name == "ids" || name == "active" || name == "page" || name == "pageSize" || name == "sort";
    if (special || type == nullptr || call.parameter(name) == nullptr || ignores_filter(call.endpoint, name)) continue;
    const auto plain = [&](std::string_view field) {
      const auto* f = type->find(field);
      return f != nullptr && f->type.arrays == 0 && f->type.kind != Scalar::object;
    };
    if (plain(name))
      out.emplace_back(name, std::vector{*call.parameter(name)});
    else if (name.ends_with("Ids") && plain(name.substr(0, name.size() - 1)))
      out.emplace_back(name.substr(0, name.size() - 1), words_of(call, name));
  }
  return out;
}

std::string field_text(std::string_view row, std::string_view field) {
  const auto raw = codec::json_field(row, field);
  return codec::json_text(raw).value_or(std::string(raw));
}

void compare(const Call& call, Rows& rows) {
  const auto wanted = comparisons(call);
  if (wanted.empty()) return;
  std::erase_if(rows, [&](Index index) {
    const auto row = call.store().row(call.endpoint, index);
    return !std::all_of(wanted.begin(), wanted.end(), [&](const auto& w) {
      const auto text = field_text(row, w.first);
      return std::any_of(w.second.begin(), w.second.end(), [&](const auto& value) { return same_word(text, value); });
    });
  });
}

bool is_own_order(std::string_view field) { return field == "Id" || field == "ModifiedOn" || field == "CreatedOn"; }

/// By a field that only the rendered row knows; numbers as numbers.
void sort_by_text(const Call& call, const std::string& sort, Rows& rows) {
  auto field = sort.substr(1);
  field.front() = static_cast<char>(std::tolower(static_cast<unsigned char>(field.front())));
  struct Row {
    double number;
    std::string text;
    Index index;
  };
  std::vector<Row> keyed;
  for (const auto index : rows) {
    auto text = field_text(call.store().row(call.endpoint, index), field);
    keyed.push_back({std::strtod(text.c_str(), nullptr), std::move(text), index});
  }
  std::sort(keyed.begin(), keyed.end(),
            [](const Row& a, const Row& b) { return std::tie(a.number, a.text, a.index) < std::tie(b.number, b.text, b.index); });
  if (sort.front() == '-') std::reverse(keyed.begin(), keyed.end());
  std::transform(keyed.begin(), keyed.end(), rows.begin(), [](const Row& r) { return r.index; });
}

/// The rows with the ids asked for.
void only_ids(const Call& call, Rows& rows) {
  std::vector<Index> wanted;
  for (const auto& word : words_of(call, "ids"))
    if (const auto id = read_id(id_form(call.endpoint), word))
      if (const auto index = call.data().find(*id)) wanted.push_back(*index);
  std::erase_if(rows, [&](Index i) { return std::find(wanted.begin(), wanted.end(), i) == wanted.end(); });
}

/// The rows of the parents that the path or the query names; nothing when the path's parent is not there.
std::optional<Rows> rows_of_parents(const Call& call) {
  const auto& e = call.endpoint;
  const auto list =
      std::find_if(e.binds.begin(), e.binds.end(), [&](const auto& b) { return find_parameter(call.places, b.first) == nullptr; });
  if (list == e.binds.end()) {
    const auto parent = call.store().parent_by(e, call.places);
    return parent ? std::optional(call.data().of_parent(*parent)) : std::nullopt;
  }
  Rows out;
  for (const auto& word : words_of(call, list->first)) {
    auto parameters = call.places;
    parameters.emplace_back(list->first, word);
    const auto parent = call.store().parent_by(e, parameters);
    if (!parent) continue;
    const auto& rows = call.data().of_parent(*parent);
    out.insert(out.end(), rows.begin(), rows.end());
  }
  return out;
}

/// Lists that are named by something that is no parent of the catalogue: a field of the rows, else one row in eight belongs to
/// each name.
Rows rows_of_name(const Call& call) {
  constexpr std::uint64_t kNames = 8;
  Rows out;
  for (Index i = call.data().size(); i-- > 0;) {
    const bool fits = std::all_of(call.places.begin(), call.places.end(), [&](const auto& place) {
      const auto field = field_of_place(place.first);
      if (field.empty()) return mix(3, std::uint64_t{i}) % kNames == mix(0, place.second) % kNames;
      return field_text(call.store().row(call.endpoint, i), field) == place.second;
    });
    if (fits && call.data().alive(i)) out.push_back(i);
  }
  return out;
}

/// The numbers that a body asks for.
Rows rows_of_numbers(const Call& call) {
  const auto members = codec::json_members(call.request.body);
  if (!members || !members->contains("contactNumbers")) return {};
  const auto wanted = members->at("contactNumbers");
  Rows out;
  for (Index i = 0; i < call.data().size(); ++i) {
    const auto row = call.store().row(call.endpoint, i);
    if (call.data().alive(i) && wanted.find(codec::json_field(row, "contactNumber")) != std::string_view::npos) out.push_back(i);
  }
  return out;
}

/// The rows that are asked for in their order, or why there are none.
core::Result<std::shared_ptr<const Rows>> choose(const Call& call) {
  const auto sort = sort_of(call);
  if (!sort) return core::fail(core::ErrorKind::bad_request, "sort");
  auto filter = filter_of(call);
  if (is_own_order(sort->substr(1))) filter.sort = *sort;
  const bool ids = call.parameter("ids") != nullptr && call.endpoint.role == Role::list;
  std::shared_ptr<const Rows> plain;
  if (call.endpoint.role == Role::list) {
    plain = call.data().select(filter);
  } else {
    const bool by_body = call.endpoint.method == "POST";
    auto some = by_body ? rows_of_numbers(call) : call.endpoint.role == Role::children ? rows_of_parents(call) : rows_of_name(call);
    if (!some) return core::fail(core::ErrorKind::not_found, "parent");
    plain = std::make_shared<const Rows>(call.data().select(filter, std::move(*some)));
  }
  const bool other_order = !is_own_order(sort->substr(1));
  if (!ids && !other_order && !is_unsorted(*call.endpoint.resource) && comparisons(call).empty()) return plain;
  auto rows = *plain;
  if (ids) only_ids(call, rows);
  compare(call, rows);
  if (other_order) sort_by_text(call, *sort, rows);
  if (is_unsorted(*call.endpoint.resource)) disorder(rows);
  return std::make_shared<const Rows>(std::move(rows));
}

void append_rows(const Call& call, std::string& body, std::span<const Index> rows, std::size_t first_row) {
  const bool named = call.endpoint.resource->source() == nullptr;
  body += '[';
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i > 0) body += ',';
    const auto begin = body.size();
    call.store().append(body, call.endpoint, rows[i]);
    if (named) note_answer(call, std::string_view(body).substr(begin), first_row + i);
  }
  body += ']';
}

std::size_t number_of(const Call& call, std::string_view name, std::size_t otherwise) {
  const auto* text = call.parameter(name);
  return text == nullptr ? otherwise : static_cast<std::size_t>(std::max<std::int64_t>(0, core::parse_int(*text).value_or(0)));
}

std::string render_page(const Call& call, const Rows& rows) {
  const auto first = static_cast<std::size_t>(call.endpoint.first_page);
  const auto page = number_of(call, "page", first);
  const auto size = std::min({number_of(call, "pageSize", 50), call.endpoint.most_rows, call.world.options.max_page_size});
  const auto begin = page - first > rows.size() / size ? rows.size() : std::min(rows.size(), (page - first) * size);
  const auto end = std::min(rows.size(), begin + size);
  const auto& members = call.endpoint.members;
  const bool always_total = std::find(members.begin(), members.end(), "totalCount") != members.end();
  auto body = fmt::format(R"({{"page":{},"pageSize":{},"hasMore":{},"totalCount":{},"data":)", page, size, end < rows.size(),
                          call.is_true("includeTotal") || always_total ? std::to_string(rows.size()) : "null");
  body.reserve(body.size() + (end - begin) * (call.world.options.record_bytes + call.world.options.record_bytes / 4) + 16);
  append_rows(call, body, std::span(rows).subspan(begin, end - begin), begin);
  return body += '}';
}

/// Everything at once, in an envelope with what the endpoint has in its own.
std::string render_envelope(const Call& call, const Rows& rows) {
  std::string body = "{";
  for (const auto& member : call.endpoint.members) {
    const auto count = std::to_string(rows.size());
    const auto value = member == "page"         ? "1"
                       : member == "hasMore"    ? "false"
                       : member == "tenantId"   ? std::to_string(call.store().tenant())
                       : member == "tenantName" ? "\"Acme Air\""
                                                : count;
    body += fmt::format("\"{}\":{},", member, value);
  }
  body += "\"data\":";
  append_rows(call, body, rows, 0);
  return body += '}';
}

std::string window_of(const Call& call) {
  std::string out;
  for (const auto& [name, value] : call.query)
    if (name.ends_with("OrAfter") || name.ends_with("Before")) out += value + "..";
  return out;
}

}  // namespace

ServerResponse answer_rows(const Call& call) {
  const auto first = static_cast<std::size_t>(call.endpoint.first_page);
  for (const auto& [name, least] : {std::pair("page", first), std::pair("pageSize", std::size_t{1})})
    if (call.parameter(name) != nullptr && number_of(call, name, 0) < least)
      return bad_parameter(call, name, *call.parameter(name));
  const auto rows = choose(call);
  if (!rows && rows.error().kind() == core::ErrorKind::not_found) return not_found(call);
  if (!rows) return bad_parameter(call, rows.error().message(), *call.parameter(rows.error().message()));
  const auto text = [&call](std::string_view name) {
    return call.parameter(name) == nullptr ? std::string() : *call.parameter(name);
  };
  std::string places;
  for (const auto& [name, value] : call.places) places += value + "/";
  count_fetch(call, fmt::format("{}{} {} {}", places, window_of(call), text("ids"), text("page").empty() ? "1" : text("page")));
  if (call.endpoint.role == Role::list)
    if (auto cached = from_cache(call)) return std::move(*cached);
  if (call.endpoint.shape == Shape::page && !answers_bare(call.endpoint, call.store().tenant()))
    return finish(call, render_page(call, **rows), call.endpoint.role == Role::list);
  if (call.endpoint.shape == Shape::envelope) return finish(call, render_envelope(call, **rows));
  std::string body;
  append_rows(call, body, **rows, 0);
  return finish(call, std::move(body));
}

}  // namespace stsync::sim
