#include "telemetry/log_line.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.hpp"

namespace stsync::telemetry {
namespace {

constexpr std::size_t kMostText = 8192;

std::string_view level_name(Level level) {
  switch (level) {
    case Level::debug:
      return "debug";
    case Level::info:
      return "info";
    case Level::warn:
      return "warn";
    case Level::error:
      return "error";
  }
  return "error";
}

/// Length of the valid UTF-8 character at the front (RFC 3629: no overlong forms, surrogates or values above U+10FFFF), else 0.
std::size_t utf8_length(std::string_view s) {
  const auto byte = [&](std::size_t i) { return i < s.size() ? static_cast<unsigned char>(s[i]) : 0U; };
  const auto next = [&](std::size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
  const auto a = byte(0);
  if (a < 0x80) return 1;
  if (a >= 0xc2 && a <= 0xdf) return next(1) ? 2 : 0;
  if (a >= 0xe0 && a <= 0xef) {
    if (!next(1) || !next(2) || (a == 0xe0 && byte(1) < 0xa0) || (a == 0xed && byte(1) > 0x9f)) return 0;
    return 3;
  }
  if (a >= 0xf0 && a <= 0xf4) {
    if (!next(1) || !next(2) || !next(3) || (a == 0xf0 && byte(1) < 0x90) || (a == 0xf4 && byte(1) > 0x8f)) return 0;
    return 4;
  }
  return 0;
}

/// U+0080 to U+009F: control characters that terminals obey, too.
bool is_c1(std::string_view s) { return s.size() == 2 && s[0] == '\xc2' && static_cast<unsigned char>(s[1]) < 0xa0; }

void append_json(std::string& out, std::string_view text) {
  const bool cut = text.size() > kMostText;
  text = text.substr(0, kMostText);
  out += '"';
  while (!text.empty()) {
    const auto length = utf8_length(text);
    const auto c = static_cast<unsigned char>(text.front());
    if (length == 0)
      out += "\\ufffd";
    else if (c == '"' || c == '\\')
      out += {'\\', text.front()};
    else if (c < 0x20 || c == 0x7f)
      out += fmt::format("\\u{:04x}", c);
    else if (is_c1(text.substr(0, length)))
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(text[1]));
    else
      out += text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  out += cut ? "…\"" : "\"";
}

void append_plain(std::string& out, std::string_view text) {
  const bool cut = text.size() > kMostText;
  text = text.substr(0, kMostText);
  while (!text.empty()) {
    const auto length = utf8_length(text);
    const auto c = static_cast<unsigned char>(text.front());
    if (length == 0 || c < 0x20 || c == 0x7f)
      out += fmt::format("\\x{:02x}", c);
    else if (is_c1(text.substr(0, length)))
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[1]));
    else
      out += text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  if (cut) out += "…";
}

/// What std::to_string made of infinity or not-a-number is no JSON.
bool is_json_number(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of("0123456789.") == std::string_view::npos;
}

std::string json_line(core::WallTime time, Level level, std::string_view event, std::string_view message,
                      std::span<const Field> fields) {
  auto out = fmt::format(R"({{"time":"{}","level":"{}","event":)", core::format_utc(time), level_name(level));
  append_json(out, event);
  out += ",\"message\":";
  append_json(out, message);
  for (const auto& field : fields) {
    out += ',';
    append_json(out, field.name);
    out += ':';
    if (field.number && is_json_number(field.text))
      out += field.text;
    else
      append_json(out, field.text);
  }
  return out + "}\n";
}

std::string text_line(bool colour, core::WallTime time, Level level, std::string_view event, std::string_view message,
                      std::span<const Field> fields) {
  static constexpr std::string_view kColours[] = {"\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[31m"};
  auto out = core::format_utc(time) + ' ';
  if (colour) out += kColours[static_cast<std::size_t>(level)];
  out += fmt::format("{:<5}", level_name(level));
  if (colour) out += "\x1b[0m";
  out += ' ';
  append_plain(out, event);
  out += ": ";
  append_plain(out, message);
  for (const auto& field : fields) {
    out += ' ';
    append_plain(out, field.name);
    out += '=';
    if (field.text.find_first_of(" =\"") == std::string::npos && !field.text.empty())
      append_plain(out, field.text);
    else
      append_json(out, field.text);
  }
  return out + '\n';
}

}  // namespace

std::string format_line(LogFormat format, core::WallTime time, Level level, std::string_view event, std::string_view message,
                        std::span<const Field> fields) {
  if (format == LogFormat::json) return json_line(time, level, event, message, fields);
  return text_line(format == LogFormat::colour_text, time, level, event, message, fields);
}

}  // namespace stsync::telemetry
