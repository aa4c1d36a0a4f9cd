#include "codec/columns.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "codec/json_walk.hpp"
#include "codec/page.hpp"

namespace stsync::codec {
namespace {

/// Calls `on_cell(begin, end)` for each element; false: no array.
template <class OnCell>
bool each_cell(std::string_view row, OnCell on_cell) {
  Cursor c(row);
  c.blanks();
  if (!c.take('[')) return false;
  c.blanks();
  if (c.take(']')) return true;
  do {
    c.blanks();
    const char* begin = c.at;
    if (!walk(c, kMaxDepth, [](auto, auto) {})) return false;
    on_cell(begin, c.at);
    c.blanks();
  } while (c.take(','));
  return c.take(']');
}

/// What names are compared by: however they are escaped.
std::string meaning(std::string_view raw) { return json_text(raw).value_or(std::string(raw)); }

}  // namespace

core::Result<Columns> Columns::read(std::string_view fields) {
  std::vector<std::string> raw;
  bool named = true;
  const bool ok = each_cell(fields, [&](const char* begin, const char* end) {
    const auto name = json_field({begin, static_cast<std::size_t>(end - begin)}, "name");
    named = named && name.size() > 2 && name.front() == '"';
    raw.emplace_back(name);
  });
  if (!ok || raw.empty()) return core::fail(core::ErrorKind::malformed, "rows without \"fields\" that name their cells");
  if (!named) return core::fail(core::ErrorKind::malformed, "a field without a name");
  if (raw.size() > kMost) return core::fail(core::ErrorKind::malformed, fmt::format("more than {} fields", kMost));
  std::set<std::string> all, taken;
  for (const auto& name : raw) all.insert(meaning(name));
  Columns out;
  for (auto& name : raw) {
    if (!taken.insert(meaning(name)).second) {
      const auto stem = name.substr(0, name.size() - 1);
      for (int n = 2;; ++n) {
        name = fmt::format("{}_{}\"", stem, n);
        if (!all.contains(meaning(name)) && taken.insert(meaning(name)).second) break;
      }
    }
    out.more_ += name.size() + 1;
    out.names_.push_back(std::move(name));
  }
  return out;
}

std::string Columns::layout() const {
  std::string out;
  for (const auto& name : names_) {
    if (!out.empty()) out += '\n';
    out += name;
  }
  return out;
}

std::size_t Columns::cells(std::string_view row) {
  std::size_t n = 0;
  return each_cell(row, [&n](auto, auto) { ++n; }) ? n : SIZE_MAX;
}

void Columns::append(std::string& out, std::string_view row) const {
  const char* copied = row.data();
  std::size_t n = 0;
  const auto copy_to = [&](const char* to) {
    out.append(copied, static_cast<std::size_t>(to - copied));
    copied = to;
  };
  const auto brace = out.size() + std::min(row.find('['), row.size());
  const bool ok = each_cell(row, [&](const char* begin, const char*) {
    copy_to(begin);
    core::check(n < names_.size(), "a row with more cells than there are columns");
    out += names_[n++];
    out += ':';
  });
  core::check(ok && n == names_.size(), "a row that does not fit its columns");
  copy_to(row.data() + row.size());
  out[brace] = '{';
  out[out.rfind(']')] = '}';
}

}  // namespace stsync::codec
