#include "sim/schema.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/error.hpp"
#include "core/text.hpp"
#include "http/message.hpp"

namespace stsync::sim {
namespace {

using Words = std::vector<std::string_view>;

Words split(std::string_view text, char by) {
  Words out;
  while (!text.empty()) {
    const auto end = std::min(text.find(by), text.size());
    if (end > 0) out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

template <class Value, std::size_t N>
std::optional<Value> value_of(const std::array<std::pair<std::string_view, Value>, N>& table, std::string_view name) {
  const auto at = std::find_if(table.begin(), table.end(), [name](const auto& row) { return row.first == name; });
  return at == table.end() ? std::nullopt : std::optional(at->second);
}

constexpr std::size_t kTenantAt = 3;  // "/jpm/v2/tenant/{tenant}/…"

constexpr std::array<std::pair<std::string_view, Scalar>, 15> kScalars{{{"int32", Scalar::int32},
                                                                        {"int64", Scalar::int64},
                                                                        {"decimal", Scalar::decimal},
                                                                        {"double", Scalar::real},
                                                                        {"bool", Scalar::boolean},
                                                                        {"string", Scalar::string},
                                                                        {"date", Scalar::date},
                                                                        {"date-time", Scalar::date_time},
                                                                        {"guid", Scalar::guid},
                                                                        {"duration", Scalar::duration},
                                                                        {"email", Scalar::email},
                                                                        {"phone", Scalar::phone},
                                                                        {"html", Scalar::html},
                                                                        {"multiline", Scalar::multiline},
                                                                        {"any", Scalar::any}}};
constexpr std::array<std::pair<std::string_view, Role>, 5> kRoles{{{"export", Role::export_feed},
                                                                   {"list", Role::list},
                                                                   {"children", Role::children},
                                                                   {"get", Role::get},
                                                                   {"report", Role::report}}};
constexpr std::array<std::pair<std::string_view, Shape>, 6> kShapes{{{"page", Shape::page},
                                                                     {"envelope", Shape::envelope},
                                                                     {"array", Shape::array},
                                                                     {"object", Shape::object},
                                                                     {"scalar", Shape::scalar},
                                                                     {"binary", Shape::binary}}};

/// Rows of which the specifications say nothing.
TypeRef untyped() {
  static const Type type{"Untyped",
                         {{"id", {.kind = Scalar::int64}},
                          {"name", {.kind = Scalar::string}},
                          {"createdOn", {.kind = Scalar::date_time}},
                          {"modifiedOn", {.kind = Scalar::date_time}}}};
  return {.kind = Scalar::object, .object = &type};
}

/// One file of tables/, whose types and enumerations are its own.
class TableReader {
 public:
  TableReader(std::deque<Type>& types, std::deque<std::vector<std::string>>& choices, std::deque<Resource>& resources)
      : types_(types), choices_(choices), resources_(resources) {}

  void read(std::string_view text) {
    // Types name each other in any order: they have to exist before their fields are read.
    for (const auto line : split(text, '\n')) {
      const auto words = split(line, ' ');
      if (words.front() == "type") {
        types_.push_back({std::string(words[1]), {}});
        type_names_[words[1]] = &types_.back();
      } else if (words.front() == "enum") {
        auto& values = choices_.emplace_back();
        for (const auto value : split(words[2], '|')) values.push_back(http::percent_decode(value));
        enums_[words[1]] = &values;
      }
    }
    for (const auto line : split(text, '\n')) read_line(split(line, ' '));
  }

 private:
  TypeRef type_of(std::string_view text) const {
    TypeRef out;
    for (; !text.empty() && (text.back() == '?' || text.back() == '~'); text.remove_suffix(1))
      (text.back() == '?' ? out.nullable : out.optional) = true;
    for (; text.starts_with("[]"); text.remove_prefix(2)) ++out.arrays;
    if (const auto kind = value_of(kScalars, text)) {
      out.kind = *kind;
    } else if (const auto at = type_names_.find(text); at != type_names_.end()) {
      out.kind = Scalar::object;
      out.object = at->second;
    } else if (const auto values = enums_.find(text); values != enums_.end()) {
      out.kind = Scalar::choice;
      out.choices = values->second;
    }
    return out;
  }

  void read_line(const Words& words) {
    const auto kind = words.front();
    if (kind == "type") {
      type_ = type_names_.at(words[1]);
    } else if (kind == "field") {
      type_->fields.push_back({std::string(words[1]), type_of(words[2])});
    } else if (kind == "resource") {
      auto& resource = resources_.emplace_back();
      resource.name = words[1];
      resource.api = words[1].substr(0, words[1].find('.'));
      resource.key = words[2];
      resource.index = resources_.size() - 1;
    } else if (kind == "endpoint") {
      read_endpoint(words);
    } else if (kind != "enum") {
      read_detail(resources_.back().endpoints.back(), kind, words);
    }
  }

  void read_endpoint(const Words& words) {
    core::check(words.size() == 9, "an endpoint of a simulator's table lacks a word");
    auto& e = resources_.back().endpoints.emplace_back();
    e.resource = &resources_.back();
    e.role = value_of(kRoles, words[1]).value();
    e.method = words[2];
    e.path = words[3];
    for (const auto segment : split(words[3], '/')) e.segments.emplace_back(segment);
    e.shape = value_of(kShapes, words[4]).value();
    e.row = words[5] == "-" && e.shape != Shape::binary ? untyped() : type_of(words[5]);
    e.key = words[6];
    if (words[7] != "-") parents_.emplace_back(&e, words[7]);
    if (words[8] != "-") e.scope = words[8];
  }

  void read_detail(Endpoint& e, std::string_view kind, const Words& words) const {
    if (kind == "bind") {
      e.binds.emplace_back(words[1], words[2]);
    } else if (kind == "parameter") {
      const bool required = words[1].ends_with('*');
      e.parameters.push_back({std::string(words[1].substr(0, words[1].size() - required)), type_of(words[2]), required});
    } else if (kind == "sorts") {
      for (const auto sort : split(words[1], '|')) e.sorts.emplace_back(sort);
    } else if (kind == "member") {
      e.members.emplace_back(words[1]);
    } else if (kind == "pages") {
      e.first_page = static_cast<int>(core::parse_int(words[1]).value());
      e.most_rows = static_cast<std::size_t>(core::parse_int(words[2]).value());
    } else {
      core::check(false, "a simulator's table has a line of an unknown kind");
    }
  }

  std::deque<Type>& types_;
  std::deque<std::vector<std::string>>& choices_;
  std::deque<Resource>& resources_;
  std::map<std::string_view, Type*> type_names_;
  std::map<std::string_view, const std::vector<std::string>*> enums_;
  Type* type_ = nullptr;

 public:
  std::vector<std::pair<Endpoint*, std::string_view>> parents_;  ///< to be looked up once all files are read
};

/// What stands in the places of a path, the tenant's apart; nothing when it is another path.
std::optional<std::vector<std::pair<std::string, std::string>>> match(const Endpoint& e, std::string_view method,
                                                                      const Words& segments) {
  if (e.method != method) return std::nullopt;
  std::vector<std::pair<std::string, std::string>> out;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const auto place = place_name(e.segments[i]);
    if (place.empty() && e.segments[i] != segments[i]) return std::nullopt;
    if (!place.empty() && i != kTenantAt) out.emplace_back(place, http::percent_decode(segments[i]));
  }
  return out;
}

}  // namespace

const Field* Type::find(std::string_view field) const noexcept {
  const auto at = std::find_if(fields.begin(), fields.end(), [field](const Field& f) { return f.name == field; });
  return at == fields.end() ? nullptr : &*at;
}

const Parameter* Endpoint::parameter(std::string_view name) const noexcept {
  const auto at = std::find_if(parameters.begin(), parameters.end(), [name](const Parameter& p) { return p.name == name; });
  return at == parameters.end() ? nullptr : &*at;
}

const Endpoint* Resource::endpoint(Role role) const noexcept {
  const auto at = std::find_if(endpoints.begin(), endpoints.end(), [role](const Endpoint& e) { return e.role == role; });
  return at == endpoints.end() ? nullptr : &*at;
}

const Endpoint* Resource::source() const noexcept {
  for (const auto role : {Role::export_feed, Role::list, Role::children}) {
    const auto* e = endpoint(role);
    const auto* ids = e == nullptr ? nullptr : e->parameter("ids");
    if (e != nullptr && !(role == Role::list && ids != nullptr && ids->required)) return e;
  }
  return nullptr;
}

std::string_view place_name(std::string_view segment) noexcept {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}' ? segment.substr(1, segment.size() - 2)
                                                                               : std::string_view();
}

Schema::Schema() {
  std::vector<std::pair<Endpoint*, std::string_view>> parents;
  for (const auto& [file, text] : schema_tables()) {
    TableReader reader(types_, choices_, resources_);
    reader.read(text);
    parents.insert(parents.end(), reader.parents_.begin(), reader.parents_.end());
  }
  for (const auto& resource : resources_) by_name_[resource.name] = &resource;
  for (const auto& [endpoint, name] : parents) {
    endpoint->parent = by_name_.at(std::string(name));
    auto& binds = endpoint->binds;
    const auto is_id = [](const auto& b) { return b.second == "id" || b.second.ends_with(".id"); };
    if (std::any_of(binds.begin(), binds.end(), is_id)) continue;
    for (const auto& [parameter, field] : binds)
      if (!field.starts_with('$')) resources_[endpoint->parent->index].bound_fields.push_back(field);
  }
  index_routes();
}

void Schema::index_routes() {
  for (const auto& resource : resources_)
    for (const auto& e : resource.endpoints) {
      const auto places = std::count_if(e.segments.begin(), e.segments.end(), [](const auto& s) { return !place_name(s).empty(); });
      if (places == 1) fixed_.emplace(e.method + e.path, &e);
      if (places > 1) with_places_.emplace(e.segments.size(), &e);
    }
}

const Schema& Schema::get() {
  static const Schema schema;
  return schema;
}

const Resource* Schema::find(std::string_view name) const noexcept {
  const auto at = by_name_.find(name);
  return at == by_name_.end() ? nullptr : at->second;
}

std::optional<Schema::Route> Schema::route(std::string_view method, std::string_view path) const {
  const auto segments = split(path, '/');
  if (segments.size() <= kTenantAt + 1 || path.ends_with('/')) return std::nullopt;
  Route out;
  const auto tenant = core::parse_int(segments[kTenantAt]);
  if (!tenant) return std::nullopt;
  out.tenant = *tenant;
  std::string fixed(method);
  for (std::size_t i = 0; i < segments.size(); ++i) {
    fixed += '/';
    fixed += i == kTenantAt ? std::string_view("{tenant}") : segments[i];
  }
  if (const auto at = fixed_.find(fixed); at != fixed_.end()) {
    out.endpoint = at->second;
    return out;
  }
  std::size_t fewest = SIZE_MAX;
  const auto [begin, end] = with_places_.equal_range(segments.size());
  for (auto at = begin; at != end; ++at) {
    auto places = match(*at->second, method, segments);
    if (!places || places->size() >= fewest) continue;
    fewest = places->size();
    out.endpoint = at->second;
    out.places = std::move(*places);
  }
  return out.endpoint == nullptr ? std::nullopt : std::optional(std::move(out));
}

}  // namespace stsync::sim
