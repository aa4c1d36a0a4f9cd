#include "sim/store.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/evp.h>

#include "codec/page.hpp"
#include "core/error.hpp"
#include "core/text.hpp"
#include "sim/quirks.hpp"
#include "sim/reports.hpp"

namespace stsync::sim {
namespace {

/// Of what a company has a handful of.
constexpr Dataset::Index kRare = 4;
/// Answers that hold everything at once stay small.
constexpr Dataset::Index kMaxAtOnce = 200;

std::string text_of(std::string_view raw) {
  if (raw.empty() || raw == "null") return {};
  return codec::json_text(raw).value_or(std::string(raw));
}

/// Parts of a key must not run into each other. Keys are made here anew, from the vendor's side: a truth that came from the code
/// that it is compared with would prove nothing.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '%')
      out += "%25";
    else if (c == '/')
      out += "%2F";
    else
      out += c;
  }
  return out;
}

std::string hash_part(std::string_view bytes) { return "#" + core::sha256_hex(bytes).substr(0, 32); }

/// One part of a key; empty: the record lacks it.
std::string key_part(std::string_view part, std::string_view bytes, const Parameters& parameters, std::size_t row) {
  if (part == "#row") return std::to_string(row);
  if (part == "#hash") return hash_part(bytes);
  if (part.starts_with('=')) return std::string(part.substr(1));
  if (!part.starts_with('$')) return escaped(text_of(codec::json_field(bytes, part)));
  const auto* value = find_parameter(parameters, part.substr(1));
  return value == nullptr ? std::string() : escaped(*value);
}

bool one_answer(Shape shape) { return shape == Shape::object || shape == Shape::scalar || shape == Shape::binary; }

/// Children whose parents are named in a list: every parent has its row there.
bool by_list_of_parents(const Endpoint& e) {
  return std::any_of(e.binds.begin(), e.binds.end(), [](const auto& b) { return b.first == "ids" || b.first == "codes"; });
}

}  // namespace

const std::string* find_parameter(const Parameters& parameters, std::string_view name) noexcept {
  const auto at = std::find_if(parameters.begin(), parameters.end(), [name](const auto& p) { return p.first == name; });
  return at == parameters.end() ? nullptr : &at->second;
}

Sum128& Sum128::operator+=(const Sum128& o) noexcept {
  low += o.low;
  high += o.high + (low < o.low ? 1 : 0);
  return *this;
}

std::string Sum128::hex() const { return fmt::format("{:016x}{:016x}", high, low); }

Sum128 record_hash(std::string_view key, std::string_view bytes) {
  thread_local const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  EVP_DigestInit_ex(context.get(), sha256, nullptr);
  EVP_DigestUpdate(context.get(), key.data(), key.size());
  EVP_DigestUpdate(context.get(), "", 1);  // the NUL
  EVP_DigestUpdate(context.get(), bytes.data(), bytes.size());
  EVP_DigestFinal_ex(context.get(), digest.data(), nullptr);
  Sum128 out;
  for (std::size_t i = 0; i < 8; ++i) out.high = out.high << 8 | digest[i];
  for (std::size_t i = 8; i < 16; ++i) out.low = out.low << 8 | digest[i];
  return out;
}

std::string record_key(std::string_view spec, std::string_view bytes, const Parameters& parameters, std::size_t row) {
  if (spec.find('+') == std::string_view::npos && spec.find_first_of("$#=") == std::string_view::npos) {
    auto text = text_of(codec::json_field(bytes, spec));
    return text.empty() ? hash_part(bytes) : text;
  }
  std::string out;
  while (!spec.empty()) {
    const auto end = std::min(spec.find('+'), spec.size());
    const auto part = key_part(spec.substr(0, end), bytes, parameters, row);
    if (part.empty()) return hash_part(bytes);
    if (!out.empty()) out += '/';
    out += part;
    spec.remove_prefix(std::min(end + 1, spec.size()));
  }
  return out;
}

bool answers_for_period(const Endpoint& endpoint) noexcept {
  if (endpoint.role == Role::list && endpoint.method == "POST") return true;
  return std::any_of(endpoint.parameters.begin(), endpoint.parameters.end(),
                     [](const Parameter& p) { return p.required && p.type.kind == Scalar::date_time; });
}

Scalar id_form(const Endpoint& endpoint) noexcept {
  const auto* type = endpoint.row.object;
  if (const auto dot = endpoint.key.find(".id"); type != nullptr && dot != std::string::npos)
    if (const auto* owner = type->find(endpoint.key.substr(0, dot)); owner != nullptr) type = owner->type.object;
  const auto* id = type == nullptr ? nullptr : type->find("id");
  return id == nullptr ? Scalar::int64 : id->type.kind;
}

const RowWriter& Writers::of(const Endpoint& endpoint) {
  return writers_.try_emplace(&endpoint, endpoint, record_bytes_).first->second;
}

Store::Store(std::int64_t tenant, std::uint64_t seed, Dataset::Index rows, Writers& writers, const Dataset::Watcher* watcher)
    : tenant_(tenant),
      seed_(seed),
      rows_(rows),
      writers_(&writers),
      watcher_(watcher),
      datasets_(Schema::get().resources().size()) {}

std::unique_ptr<Dataset> Store::make(const Resource& resource) const {
  const auto* source = resource.source();
  const auto* children = resource.endpoint(Role::children);
  Dataset::Owner owner;
  auto rows = rows_;
  if (children != nullptr) {
    owner.parents = &of(*children->parent);
    owner.one_each = one_answer(children->shape) || by_list_of_parents(*children);
    owner.tied = source == children;
    if (owner.one_each) rows = owner.parents->size();
  } else if (source != nullptr && one_answer(source->shape)) {
    rows = std::min<Dataset::Index>(rows, 1);
  } else if (source != nullptr && source->shape != Shape::page) {
    rows = std::min(rows, kMaxAtOnce);
  } else if (is_rare(resource)) {
    rows = std::min(rows, kRare);
  }
  auto out = std::make_unique<Dataset>(resource, tenant_, seed_, rows, owner, watcher_);
  if (source != nullptr && modified_nullable(*source)) out->let_modified_be_null();
  return out;
}

Dataset& Store::of(const Resource& resource) const {
  const auto& whose = rows_of(resource);
  auto& slot = datasets_[whose.index];
  if (!slot) slot = make(whose);
  return *slot;
}

std::vector<Dataset*> Store::made() const {
  std::vector<Dataset*> out;
  for (const auto& dataset : datasets_)
    if (dataset) out.push_back(dataset.get());
  return out;
}

std::int64_t Store::any_id(const Resource& resource, std::uint64_t draw) const {
  const auto& dataset = of(resource);
  return dataset.base() == 0 ? 0 : dataset.id_of(static_cast<Dataset::Index>(draw % dataset.base()));
}

std::int64_t Store::id_at(const Resource& resource, std::uint32_t index) const { return of(resource).id_of(index); }

void Store::append(std::string& out, const Endpoint& endpoint, Dataset::Index index) const {
  const auto facts = of(*endpoint.resource).facts(index);
  if (endpoint.resource->name == "reporting.report-definitions") return append_report_definition(out, facts);
  writers_->of(endpoint).append(out, facts, *this);
}

std::string Store::row(const Endpoint& endpoint, Dataset::Index index) const {
  std::string out;
  append(out, endpoint, index);
  return out;
}

/// The endpoint whose rows name a resource's rows.
const Endpoint& Store::row_endpoint(const Resource& resource) const {
  const auto* list = resource.endpoint(Role::list);
  return list != nullptr ? *list : *resource.source();
}

std::string Store::bound(const Endpoint& endpoint, const std::string& parameter, Dataset::Index parent) const {
  const auto at = std::find_if(endpoint.binds.begin(), endpoint.binds.end(), [&](const auto& b) { return b.first == parameter; });
  core::check(at != endpoint.binds.end(), "a parameter that no parent gives");
  const auto& parents = of(*endpoint.parent);
  if (at->second.starts_with('$'))
    return bound(*endpoint.parent->endpoint(Role::children), at->second.substr(1), parents.parent_of(parent));
  const auto& source = row_endpoint(*endpoint.parent);
  if (at->second == "id" || at->second == source.key) return id_text(id_form(source), parents.id_of(parent));
  return text_of(codec::json_field(row(source, parent), at->second));
}

Parameters Store::bound(const Endpoint& endpoint, Dataset::Index parent) const {
  Parameters out;
  for (const auto& [parameter, field] : endpoint.binds) out.emplace_back(parameter, bound(endpoint, parameter, parent));
  return out;
}

std::optional<Dataset::Index> Store::parent_by(const Endpoint& endpoint, const Parameters& parameters) const {
  const auto& parents = of(*endpoint.parent);
  const auto& source = row_endpoint(*endpoint.parent);
  std::optional<Dataset::Index> out;
  for (const auto& [parameter, field] : endpoint.binds) {
    if (field != "id" && field != source.key) continue;
    const auto* text = find_parameter(parameters, parameter);
    const auto id = text == nullptr ? std::nullopt : read_id(id_form(source), *text);
    out = id ? parents.find(*id) : std::nullopt;
    if (!out) return std::nullopt;
  }
  if (!out) out = find_by_fields(endpoint, parameters);
  if (!out || !parents.alive(*out)) return std::nullopt;
  const bool fits = std::all_of(endpoint.binds.begin(), endpoint.binds.end(), [&](const auto& b) {
    const auto* text = find_parameter(parameters, b.first);
    return text != nullptr && *text == bound(endpoint, b.first, *out);
  });
  return fits ? out : std::nullopt;
}

std::optional<Dataset::Index> Store::find_by_fields(const Endpoint& endpoint, const Parameters& wanted) const {
  const auto& parents = of(*endpoint.parent);
  const auto [at, fresh] = found_.try_emplace(&endpoint);
  auto& found = at->second;
  const auto name = [](const Parameters& p) { return fmt::format("{}", p); };
  if (fresh || found.generation != parents.generation()) {
    found.rows.clear();
    for (Dataset::Index i = 0; i < parents.size(); ++i)
      if (parents.alive(i)) found.rows.emplace(name(bound(endpoint, i)), i);
    found.generation = parents.generation();
  }
  Parameters ordered;
  for (const auto& [parameter, field] : endpoint.binds) {
    const auto* text = find_parameter(wanted, parameter);
    if (text == nullptr) return std::nullopt;
    ordered.emplace_back(parameter, *text);
  }
  const auto row = found.rows.find(name(ordered));
  return row == found.rows.end() ? std::nullopt : std::optional(row->second);
}

void Store::each_record(const Resource& resource, const Record& record) const {
  const auto* source = resource.source();
  if (source == nullptr || source->shape == Shape::binary || answers_for_period(*source)) return;
  auto& dataset = of(resource);
  std::string bytes;
  const auto say = [&](Dataset::Index index, const Parameters& parameters, std::size_t row) {
    bytes.clear();
    append(bytes, *source, index);
    if (source->shape == Shape::scalar && bytes == "null") return;  // there is nothing
    record(record_key(source->key, bytes, parameters, row), bytes);
  };
  if (!dataset.owner().tied) {
    for (Dataset::Index i = 0; i < dataset.size(); ++i)
      if (source->role == Role::export_feed || dataset.alive(i)) say(i, {}, i);
    return;
  }
  const auto& parents = *dataset.owner().parents;
  for (Dataset::Index parent = 0; parent < parents.size(); ++parent) {
    if (!parents.alive(parent)) continue;
    const auto parameters = bound(*source, parent);
    std::size_t row = 0;
    for (const auto index : dataset.of_parent(parent)) say(index, parameters, row++);
  }
}

}  // namespace stsync::sim
