#include "servicetitan/record_key.hpp"

#include <algorithm>

#include "core/text.hpp"

namespace stsync::servicetitan {
namespace {

bool valid_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 &&
         std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return (c | 32U) - 'a' < 26U || c - '0' < 10U || c == '_' || c == '.'; }) &&
         name.front() != '.' && name.back() != '.';
}

template <class OnPart>
bool each_part(std::string_view text, OnPart on_part) {
  for (;;) {
    const auto end = text.find('+');
    if (!on_part(text.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + 1);
  }
}

/// What a key says for a raw JSON value; false for none.
bool key_text(std::string_view raw, std::string& out) {
  if (raw.empty() || raw == "null") return false;
  if (raw.front() != '"') {
    out = raw;
    return true;
  }
  auto text = codec::json_text(raw);
  if (!text || text->empty()) return false;
  out = std::move(*text);
  return true;
}

}  // namespace

void append_key_part(std::string& out, std::string_view value) {
  for (const char c : value) {
    if (c == '%')
      out += "%25";
    else if (c == '/')
      out += "%2F";
    else
      out += c;
  }
}

void append_hash(std::string& out, std::string_view bytes) {
  out += '#';
  out += std::string_view(core::sha256_hex(bytes)).substr(0, 32);
}

std::string_view RecordContext::published(std::string_view record, std::string& scratch) const {
  if (!redactor && !columns) return record;
  scratch.clear();
  if (!columns) {
    redactor->append(scratch, record);
    return scratch;
  }
  columns->append(scratch, record);
  if (!redactor) return scratch;
  const auto object = std::move(scratch);
  scratch.clear();
  redactor->append(scratch, object);
  return scratch;
}

std::vector<std::string> KeySpec::fields() const {
  std::vector<std::string> out;
  for (const auto& part : parts_)
    if (part.kind == Part::Kind::field) out.push_back(part.name);
  return out;
}

KeySpec::KeySpec(std::string text) : text_(std::move(text)) {
  core::check(valid(text_), "a key that the catalogue should have refused");
  each_part(text_, [this](std::string_view part) {
    if (part == "#row")
      parts_.push_back({Part::Kind::row, {}});
    else if (part == "#hash")
      parts_.push_back({Part::Kind::hash, {}});
    else if (part.front() == '=')
      parts_.push_back({Part::Kind::literal, std::string(part.substr(1))});
    else if (part.front() == '$')
      parts_.push_back({Part::Kind::parameter, std::string(part.substr(1))});
    else
      parts_.push_back({Part::Kind::field, std::string(part)});
    return true;
  });
}

bool KeySpec::valid(std::string_view text) {
  return each_part(text, [](std::string_view part) {
    if (part == "#row" || part == "#hash") return true;
    return valid_name(part.starts_with('$') || part.starts_with('=') ? part.substr(1) : part);
  });
}

void KeySpec::append(std::string& out, std::string_view body, const codec::Record& record, std::size_t row_on_page,
                     const RecordContext& context) const {
  const auto bytes = record.bytes.in(body);
  const auto start = out.size();
  if (single_field()) {
    std::string text;
    if (key_text(record.key.in(body), text))
      out += text;
    else
      append_hash(out, context.published(bytes, text));
    return;
  }
  const auto row = context.first_row + static_cast<std::int64_t>(row_on_page);
  for (const auto& part : parts_) {
    if (out.size() > start) out += '/';
    if (append_part(out, part, bytes, row, context)) continue;
    out.resize(start);
    std::string scratch;
    return append_hash(out, context.published(bytes, scratch));
  }
}

bool KeySpec::append_part(std::string& out, const Part& part, std::string_view bytes, std::int64_t row,
                          const RecordContext& context) const {
  switch (part.kind) {
    case Part::Kind::row:
      out += std::to_string(row);
      return true;
    case Part::Kind::literal:
      out += part.name;
      return true;
    case Part::Kind::hash: {
      std::string scratch;
      append_hash(out, context.published(bytes, scratch));
      return true;
    }
    case Part::Kind::parameter: {
      const auto at = std::find_if(context.parameters.begin(), context.parameters.end(),
                                   [&part](const auto& p) { return p.first == part.name || p.first == "@" + part.name; });
      if (at == context.parameters.end()) return false;
      append_key_part(out, at->second);
      return true;
    }
    case Part::Kind::field:
      std::string text;
      if (!key_text(codec::json_field(bytes, part.name), text)) return false;
      append_key_part(out, text);
      return true;
  }
  return false;
}

}  // namespace stsync::servicetitan
