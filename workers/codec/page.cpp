#include "codec/page.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>
#include <simdjson.h>

#include "codec/columns.hpp"
#include "codec/json_walk.hpp"
#include "codec/redact.hpp"
#include "core/text.hpp"

namespace stsync::codec {
namespace {

using core::ErrorKind;

/// Names of members at the top level of rows. Rows mostly have the same ones in the same order, so that most names are
/// compared with one other.
class NameSampler {
 public:
  explicit NameSampler(std::vector<std::string>& names) : names_(names) {}
  /// Before a row: whether its names are wanted.
  bool begin(std::size_t row) {
    next_ = in_row_ = 0;
    row_ = row;
    if (row == 0) names_.reserve(64);
    return row % kEveryRow == 0;
  }
  void name(std::string_view raw) {
    raw = raw.substr(0, kLongestName);
    if (next_ < names_.size() && names_[next_] == raw) {
      ++next_;
      return;
    }
    if (++in_row_ > kMostNames) return;
    if (row_ == 0 && names_.size() < kMostNames) {  // nothing to compare with, and a search for each name would cost most of all
      names_.emplace_back(raw);
      next_ = names_.size();
      return;
    }
    const auto at = std::find(names_.begin(), names_.end(), raw);
    next_ = static_cast<std::size_t>(at - names_.begin()) + 1;
    if (at == names_.end() && names_.size() < kMostNames) names_.emplace_back(raw);
  }
  /// Behind a row: whether it has a number of members that no row before had.
  bool odd(std::size_t members) {
    if (members == last_count_) return false;
    last_count_ = members;
    if (std::find(counts_.begin(), counts_.end(), members) != counts_.end() || counts_.size() >= kMostCounts) return false;
    counts_.push_back(members);
    return true;
  }

 private:
  static constexpr std::size_t kMostCounts = 16;
  std::vector<std::string>& names_;
  std::vector<std::size_t> counts_;
  std::size_t last_count_ = SIZE_MAX;
  std::size_t row_ = 0, next_ = 0, in_row_ = 0;
};

class PageCutter {
 public:
  PageCutter(std::string_view body, const RecordFields& fields, std::size_t max_records)
      : body_(body),
        fields_(fields),
        max_records_(max_records),
        key_name_(std::string_view(fields.key).substr(0, fields.key.find('.'))),
        modified_name_(std::string_view(fields.modified).substr(0, fields.modified.find('.'))),
        lengths_(length_bit(key_name_) | length_bit(modified_name_) | (fields.tenant != 0 ? length_bit(kTenant) : 0)),
        c_(body) {}

  core::Result<Page> run() {
    if (body_.size() > kMaxPage) return core::fail(ErrorKind::too_large, "a page of more than 4 GiB");
    if (!simdjson::validate_utf8(body_.data(), body_.size())) return core::fail(not_utf8());
    return cut();
  }
  core::Result<Page> run(const core::Body& whole, const OnRecord& on_record) {
    if (body_.size() > kMaxPage) return core::fail(ErrorKind::too_large, "a page of more than 4 GiB");
    if (!valid_utf8(whole)) return core::fail(not_utf8());
    core::Passage passage(whole);
    passage_ = &passage;
    whole_ = &whole;
    on_record_ = &on_record;
    return cut();
  }

 private:
  static core::Error not_utf8() { return {ErrorKind::malformed, "the page is not valid UTF-8"}; }

  core::Result<Page> cut() {
    if (body()) {
      if (fields_.columns)
        if (auto ok = fit_columns(); !ok) return core::fail(ok.error());
      return std::move(page_);
    }
    if (failure_) return core::fail(std::move(*failure_));
    return core::fail(ErrorKind::malformed, fmt::format("{} at byte {}", problem_, c_.at - c_.begin));
  }

  /// In parts that end before the beginning of a character.
  static bool valid_utf8(const core::Body& whole) {
    core::Passage passage(whole);
    auto rest = whole.view();
    while (!rest.empty()) {
      auto size = std::min(rest.size(), core::Passage::kWindow);
      for (int back = 0; back < 3 && size < rest.size() && (static_cast<unsigned char>(rest[size]) & 0xc0U) == 0x80U; ++back)
        --size;
      if (!simdjson::validate_utf8(rest.data(), size)) return false;
      rest.remove_prefix(size);
      passage.reached(whole.size() - rest.size());
    }
    return true;
  }

  bool refuse(const char* problem) {
    problem_ = problem;
    return false;
  }

  bool body() {
    c_.blanks();
    if (fields_.shape != BodyShape::rows) return single();
    if (!c_.more() || *c_.at != '[') return envelope();
    page_.has_data = page_.bare = true;
    if (!records()) return false;
    c_.blanks();
    return c_.at == c_.end || refuse("text behind the page");
  }

  bool single() {
    page_.bare = true;
    if (!record(fields_.shape == BodyShape::value)) return false;
    c_.blanks();
    return c_.at == c_.end || refuse("text behind the page");
  }

  bool envelope() {
    if (!c_.take('{')) return refuse("the page is not a JSON object");
    c_.blanks();
    if (!c_.take('}')) {
      do {
        c_.blanks();
        if (!member()) return false;
        c_.blanks();
      } while (c_.take(','));
      if (!c_.take('}')) return false;
    }
    c_.blanks();
    return c_.at == c_.end || refuse("text behind the page");
  }

  bool member() {
    if (!c_.take('"')) return false;
    const char* start = c_.at;
    if (!c_.string_rest()) return false;
    const std::string_view name(start, static_cast<std::size_t>(c_.at - start - 1));
    c_.blanks();
    if (!c_.take(':')) return false;
    c_.blanks();
    if (name == "data" && c_.more() && *c_.at == '[') {
      if (page_.has_data) return refuse("a second member \"data\"");
      page_.has_data = true;
      return records();
    }
    const char* value = c_.at;
    if (!walk(c_, kMaxDepth - 1, [](auto, auto) {})) return false;
    const std::string_view text(value, static_cast<std::size_t>(c_.at - value));
    if (name == kTenant && !of_tenant(text)) return false;
    Slice* slot = envelope_slot(name);
    if (slot == nullptr) return true;
    if (!slot->empty()) return refuse("a repeated member of the envelope");
    *slot = slice(text);
    return true;
  }

  Slice* envelope_slot(std::string_view name) {
    if (name == "hasMore") return &page_.has_more;
    if (name == "continueFrom") return &page_.continue_from;
    if (name == "page") return &page_.page;
    if (name == "pageSize") return &page_.page_size;
    if (name == "totalCount") return &page_.total_count;
    if (name == "fields" && fields_.columns) return &page_.fields;
    return nullptr;
  }

  bool records() {
    ++c_.at;  // "["
    c_.blanks();
    if (c_.take(']')) return true;
    do {
      c_.blanks();
      if (!record(fields_.any_record || fields_.columns)) return false;
      c_.blanks();
    } while (c_.take(','));
    return c_.take(']');
  }

  bool record(bool of_any_kind) {
    if (!c_.more() || (*c_.at != '{' && !of_any_kind)) return refuse("a record that is not an object");
    const char* start = c_.at;
    Record record;
    const bool named = fields_.names && names_.begin(page_.records.size());
    std::size_t members = 0;
    const bool ok = walk(c_, kMaxDepth - 2, [&](std::string_view name, std::string_view value) {
      ++members;
      if (named) names_.name(name);
      if ((lengths_ & length_bit(name)) == 0) return;
      if (name == key_name_) record.key = slice(inner(value, fields_.key));
      if (name == modified_name_) record.modified = slice(inner(value, fields_.modified));
      if (name == kTenant) of_tenant(value);
    });
    if (!ok || failure_) return false;
    if (fields_.names && names_.odd(members) && !named) name_all(start);
    if (!fields_.columns) record.size = published({start, static_cast<std::size_t>(c_.at - start)});
    record.bytes = slice({start, static_cast<std::size_t>(c_.at - start)});
    if (page_.records.size() >= max_records_)
      return give_up({ErrorKind::too_large, fmt::format("a page of more than {} records", max_records_)});
    if (passage_ != nullptr) {
      if (auto taken = (*on_record_)(record); !taken) return give_up(taken.error());
      passage_->reached(static_cast<std::size_t>(start - c_.begin));
    }
    page_.records.push_back(record);
    return true;
  }

  /// "fields" may stand behind the rows, so they are looked at once more when everything is cut.
  core::Result<void> fit_columns() {
    if (!page_.has_data || (page_.records.empty() && page_.fields.empty())) return {};
    auto columns = Columns::read(page_.fields.in(body_));
    if (!columns) return core::fail(columns.error());
    std::optional<core::Passage> passage;
    if (whole_ != nullptr) passage.emplace(*whole_);
    std::string object;
    for (auto& record : page_.records) {
      if (passage) passage->reached(record.bytes.offset);
      const auto row = record.bytes.in(body_);
      if (const auto cells = Columns::cells(row); cells != columns->names().size())
        return core::fail(ErrorKind::malformed,
                          fmt::format("a row that is not an array of {} cells, as \"fields\" says, at byte {}",
                                      columns->names().size(), record.bytes.offset));
      record.size = static_cast<std::uint32_t>(columns->size(row));
      if (!fields_.redactor) continue;
      object.clear();
      columns->append(object, row);
      record.size = published(object);
    }
    page_.columns = std::make_shared<const Columns>(std::move(*columns));
    return {};
  }

  void name_all(const char* record) {
    Cursor again({record, static_cast<std::size_t>(c_.at - record)});
    walk(again, kMaxDepth - 2, [this](std::string_view name, std::string_view) { names_.name(name); });
  }

  std::uint32_t published(std::string_view record) const {
    return static_cast<std::uint32_t>(fields_.redactor ? fields_.redactor->size(record) : record.size());
  }

  /// A page of another tenant is the worst that can be published: whatever tells whose it is, is believed.
  bool of_tenant(std::string_view value) {
    const auto tenant = fields_.tenant == 0 ? std::nullopt : json_int(value);
    if (!tenant || *tenant == fields_.tenant) return true;
    return give_up(
        {ErrorKind::tenant_mismatch, fmt::format("the answer has data of tenant {} instead of {}", *tenant, fields_.tenant)});
  }

  /// One look at the length of a name spares most names all comparisons.
  static std::uint64_t length_bit(std::string_view name) { return std::uint64_t{1} << (name.size() & 63U); }

  bool give_up(core::Error why) {
    failure_ = std::move(why);
    return false;
  }

  /// The rest of a path inside the member that its first name has led to.
  static std::string_view inner(std::string_view value, const std::string& path) {
    const auto dot = path.find('.');
    return dot == std::string::npos ? value : json_field(value, std::string_view(path).substr(dot + 1));
  }

  Slice slice(std::string_view part) const {
    if (part.empty()) return {};
    return {static_cast<std::uint32_t>(part.data() - body_.data()), static_cast<std::uint32_t>(part.size())};
  }

  static constexpr std::string_view kTenant = "tenantId";

  std::string_view body_;
  const RecordFields& fields_;
  const std::size_t max_records_;
  std::string_view key_name_, modified_name_;
  const std::uint64_t lengths_;  ///< of the names that are looked for
  Cursor c_;
  Page page_;
  NameSampler names_{page_.names};
  const char* problem_ = "not valid JSON";
  std::optional<core::Error> failure_;  // instead of a problem with the text
  core::Passage* passage_ = nullptr;    // of a large page
  const core::Body* whole_ = nullptr;
  const OnRecord* on_record_ = nullptr;
};

core::Result<Page> whole(std::string_view file) {
  if (file.size() > kMaxPage) return core::fail(ErrorKind::too_large, "a file of more than 4 GiB");
  Page page;
  page.bare = true;
  const auto size = static_cast<std::uint32_t>(file.size());
  page.records.push_back({.bytes = {0, size}, .key = {}, .modified = {}, .size = size});
  return page;
}

struct TextHandler : rapidjson::BaseReaderHandler<rapidjson::UTF8<>, TextHandler> {
  std::string text;
  bool Default() { return false; }
  bool String(const char* s, rapidjson::SizeType n, bool) {
    text.assign(s, n);
    return true;
  }
};

}  // namespace

core::Result<Page> cut_page(std::string_view body, const RecordFields& fields, std::size_t max_records) {
  if (fields.shape == BodyShape::file) return whole(body);
  return PageCutter(body, fields, max_records).run();
}

core::Result<Page> cut_large_page(const core::Body& body, const RecordFields& fields, std::size_t max_records,
                                  const OnRecord& on_record) {
  if (fields.shape == BodyShape::file) return whole(body.view());
  return PageCutter(body.view(), fields, max_records).run(body, on_record);
}

core::Result<void> check_json(std::string_view text, unsigned max_depth) {
  if (!simdjson::validate_utf8(text.data(), text.size())) return core::fail(ErrorKind::malformed, "not valid UTF-8");
  Cursor c(text);
  const bool ok = walk(c, std::min(max_depth, 1024u), [](auto, auto) {});
  c.blanks();
  if (!ok || c.at != c.end) return core::fail(ErrorKind::malformed, fmt::format("not valid JSON at byte {}", c.at - c.begin));
  return {};
}

core::Result<std::map<std::string, std::string_view>> json_members(std::string_view text) {
  if (auto ok = check_json(text); !ok) return core::fail(ok.error());
  Cursor c(text);
  c.blanks();
  if (!c.more() || *c.at != '{') return core::fail(ErrorKind::malformed, "not a JSON object");
  std::map<std::string, std::string_view> members;
  walk(c, kMaxDepth, [&](std::string_view name, std::string_view value) { members[std::string(name)] = value; });
  return members;
}

std::string_view json_field(std::string_view object, std::string_view path) {
  while (!path.empty()) {
    object.remove_prefix(std::min(object.find_first_not_of(" \n\r\t"), object.size()));
    if (object.empty() || object.front() != '{') return {};
    const auto dot = std::min(path.find('.'), path.size());
    const auto wanted = path.substr(0, dot);
    std::string_view found;
    Cursor c(object);
    walk(c, kMaxDepth, [&](std::string_view name, std::string_view value) {
      if (name == wanted) found = value;
    });
    object = found;
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return object;
}

std::optional<std::string> json_text(std::string_view raw) {
  if (raw.size() < 2 || raw.front() != '"' || raw.back() != '"') return std::nullopt;
  if (raw.find('\\') == std::string_view::npos) return std::string(raw.substr(1, raw.size() - 2));
  rapidjson::MemoryStream stream(raw.data(), raw.size());
  rapidjson::Reader reader;
  TextHandler handler;
  if (!reader.Parse(stream, handler)) return std::nullopt;
  // RFC 8259 allows an escape that is half of a surrogate pair; RapidJSON makes bytes of one that are no UTF-8.
  if (!simdjson::validate_utf8(handler.text)) return std::nullopt;
  return std::move(handler.text);
}

void append_json_text(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  out += '"';
}

std::optional<std::int64_t> json_int(std::string_view raw) { return core::parse_int(raw); }

}  // namespace stsync::codec
