#include "codec/page.hpp"

#include <array>
#include <bit>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif
#include <fmt/format.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>
#include <simdjson.h>

#include "core/text.hpp"

namespace stsync::codec {
namespace {

using core::ErrorKind;

bool digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }
bool hex_digit(char c) { return digit(c) || static_cast<unsigned char>((c | 32) - 'a') < 6; }

/// The grammar of RFC 8259 over one buffer. Each function stands at its value and leaves behind it; false leaves `at` at the
/// offending byte. No recursion: nesting is a stack of bits.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : begin(text.data()), at(text.data()), end(text.data() + text.size()) {}

  const char* begin;
  const char* at;
  const char* end;

  bool more() const { return at < end; }
  void blanks() {
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) ++at;
  }
  bool take(char c) {
    if (at >= end || *at != c) return false;
    ++at;
    return true;
  }
  bool word(std::string_view w) {
    if (static_cast<std::size_t>(end - at) < w.size() || std::memcmp(at, w.data(), w.size()) != 0) return false;
    at += w.size();
    return true;
  }
  bool digits() {
    if (at >= end || !digit(*at)) return false;
    while (at < end && digit(*at)) ++at;
    return true;
  }
  bool number() {
    take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (at < end && (*at == 'e' || *at == 'E')) {
      ++at;
      if (at < end && (*at == '+' || *at == '-')) ++at;
      if (!digits()) return false;
    }
    return true;
  }
  /// Stands behind the opening quote, leaves behind the closing one.
  bool string_rest() {
    for (;;) {
      skip_plain();
      if (at >= end) return false;
      if (*at == '"') {
        ++at;
        return true;
      }
      if (*at != '\\' || !escape()) return false;
    }
  }
  bool scalar() {
    if (at >= end) return false;
    switch (*at) {
      case '"':
        ++at;
        return string_rest();
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return number();
    }
  }

 private:
  /// Moves to the next quote, backslash or control character, 16 bytes a step.
  void skip_plain() {
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i slash = _mm_set1_epi8('\\');
    const __m128i control = _mm_set1_epi8(0x1f);
    while (end - at >= 16) {
      __m128i v;
      std::memcpy(&v, at, sizeof v);
      const auto special = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)),
                                        _mm_cmpeq_epi8(_mm_min_epu8(control, v), v));
      const auto mask = static_cast<unsigned>(_mm_movemask_epi8(special));
      if (mask != 0) {
        at += std::countr_zero(mask);
        return;
      }
      at += 16;
    }
#endif
    while (at < end && *at != '"' && *at != '\\' && static_cast<unsigned char>(*at) >= 0x20) ++at;
  }
  bool escape() {
    if (end - at < 2) return false;
    switch (at[1]) {
      case '"':
      case '\\':
      case '/':
      case 'b':
      case 'f':
      case 'n':
      case 'r':
      case 't':
        at += 2;
        return true;
      case 'u':
        if (end - at < 6) return false;
        for (int i = 2; i < 6; ++i)
          if (!hex_digit(at[i])) return false;
        at += 6;
        return true;
      default:
        return false;
    }
  }
};

/// Walks one value of any kind; `on_member(name, value)` sees the members of the outermost object.
template <class OnMember>
bool walk(Cursor& c, unsigned max_depth, OnMember&& on_member) {
  std::array<bool, 1024> is_object;  // only [0, depth) is ever read
  unsigned depth = 0;
  std::string_view name;
  const char* member = nullptr;  // where the value of an outermost member starts
  for (;;) {
    c.blanks();  // at a value
    if (!c.more()) return false;
    bool opened = false;
    if (*c.at == '{' || *c.at == '[') {
      if (depth >= max_depth) return false;
      is_object[depth++] = *c.at == '{';
      ++c.at;
      c.blanks();
      opened = !(c.more() && *c.at == (is_object[depth - 1] ? '}' : ']'));
    } else if (!c.scalar()) {
      return false;
    }
    if (!opened) {  // behind a scalar, or before the end of an empty container
      for (;;) {
        const bool container_end = depth > 0 && c.more() && (c.blanks(), c.more()) && *c.at == (is_object[depth - 1] ? '}' : ']');
        if (member != nullptr && depth == 1) {
          auto* value_end = c.at;
          while (value_end > member &&
                 (value_end[-1] == ' ' || value_end[-1] == '\n' || value_end[-1] == '\r' || value_end[-1] == '\t'))
            --value_end;
          on_member(name, std::string_view(member, static_cast<std::size_t>(value_end - member)));
          member = nullptr;
        }
        if (!container_end) break;
        ++c.at;
        --depth;
      }
      if (depth == 0) return true;
      c.blanks();
      if (!c.take(',')) return false;
      c.blanks();
    }
    if (is_object[depth - 1]) {
      if (!c.take('"')) return false;
      const char* start = c.at;
      if (!c.string_rest()) return false;
      if (depth == 1) name = {start, static_cast<std::size_t>(c.at - start - 1)};
      c.blanks();
      if (!c.take(':')) return false;
      c.blanks();
      if (depth == 1) member = c.at;
    }
  }
}

class PageCutter {
 public:
  PageCutter(std::string_view body, const RecordFields& fields, std::size_t max_records)
      : body_(body),
        fields_(fields),
        max_records_(max_records),
        key_name_(std::string_view(fields.key).substr(0, fields.key.find('.'))),
        modified_name_(std::string_view(fields.modified).substr(0, fields.modified.find('.'))),
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
    on_record_ = &on_record;
    return cut();
  }

 private:
  static core::Error not_utf8() { return {ErrorKind::malformed, "the page is not valid UTF-8"}; }

  core::Result<Page> cut() {
    if (body()) return std::move(page_);
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
    Slice* slot = envelope_slot(name);
    if (slot == nullptr) return true;
    if (!slot->empty()) return refuse("a repeated member of the envelope");
    *slot = slice({value, static_cast<std::size_t>(c_.at - value)});
    return true;
  }

  Slice* envelope_slot(std::string_view name) {
    if (name == "hasMore") return &page_.has_more;
    if (name == "continueFrom") return &page_.continue_from;
    if (name == "page") return &page_.page;
    if (name == "pageSize") return &page_.page_size;
    if (name == "totalCount") return &page_.total_count;
    return nullptr;
  }

  bool records() {
    ++c_.at;  // "["
    c_.blanks();
    if (c_.take(']')) return true;
    do {
      c_.blanks();
      if (!record(fields_.any_record)) return false;
      c_.blanks();
    } while (c_.take(','));
    return c_.take(']');
  }

  bool record(bool of_any_kind) {
    if (!c_.more() || (*c_.at != '{' && !of_any_kind)) return refuse("a record that is not an object");
    const char* start = c_.at;
    Record record;
    const bool ok = walk(c_, kMaxDepth - 2, [&](std::string_view name, std::string_view value) {
      if (name == key_name_) record.key = slice(inner(value, fields_.key));
      if (name == modified_name_) record.modified = slice(inner(value, fields_.modified));
    });
    if (!ok) return false;
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

  std::string_view body_;
  const RecordFields& fields_;
  const std::size_t max_records_;
  std::string_view key_name_, modified_name_;
  Cursor c_;
  Page page_;
  const char* problem_ = "not valid JSON";
  std::optional<core::Error> failure_;  // instead of a problem with the text
  core::Passage* passage_ = nullptr;    // of a large page
  const OnRecord* on_record_ = nullptr;
};

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
  return PageCutter(body, fields, max_records).run();
}

core::Result<Page> cut_large_page(const core::Body& body, const RecordFields& fields, std::size_t max_records,
                                  const OnRecord& on_record) {
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

std::optional<std::int64_t> json_int(std::string_view raw) { return core::parse_int(raw); }

}  // namespace stsync::codec
