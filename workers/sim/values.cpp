#include "sim/values.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <span>

#include <fmt/format.h>

#include "core/text.hpp"

namespace stsync::sim {
namespace {

using Words = std::span<const std::string_view>;

// Texts are written here as JSON strings hold them: escapes included.
constexpr std::string_view kNames[] = {"Ada Moore",
                                       "Brown & Sons Plumbing",
                                       "Jos\xc3\xa9 Garc\xc3\xad"
                                       "a",
                                       "O'Neill Heating",
                                       "Zo\\u00eb Peters",
                                       "M\xc3\xbcller GmbH",
                                       "\\\"Lucky\\\" Luke Wells",
                                       "Acme Property Mgmt., LLC",
                                       "Nguy\xe1\xbb\x85n",
                                       "Smith, John",
                                       "\xe6\x9d\xb1\xe4\xba\xac Air Works",
                                       "Kim Lee"};
constexpr std::string_view kTexts[] = {
    "",           "N/A",         "PO 4711/A",          "C:\\\\temp\\\\plan.pdf",   "call first \\u2013 gate code 12#",
    "tab\\there", "24\\\" pipe", "caf\xc3\xa9 corner", "\xf0\x9f\x94\xa7 tune-up", "a/b\\/c"};
constexpr std::string_view kPhrases[] = {"Customer reports that the unit makes a loud noise at night. ",
                                         "<p>Replaced capacitor and contactor; tested twice.</p>\\n",
                                         "Please call before arrival, the dog is in the yard. ",
                                         "Thermostat reads 72\xc2\xb0"
                                         "F but the room is at 80\xc2\xb0"
                                         "F.\\r\\n",
                                         "Quoted \\\"good/better/best\\\" options, waiting for approval. ",
                                         "R\xc3\xa9parer la fuite \xe2\x80\x93 acc\xc3\xa8s par le garage. ",
                                         "Warranty checked: serial A\\\\B-0042, expires next spring. ",
                                         "Left voicemail \xf0\x9f\x93\x9e and sent a text with the new window. ",
                                         "Filter 16x25x4, coil cleaned, refrigerant within range. ",
                                         "{\\\"not\\\":[\\\"really\\\",\\\"json\\\"]} pasted by the office. "};
constexpr std::string_view kStreets[] = {"12 Oak St", "4800 N Main Ave #3", "77 Rue de l'\xc3\x89glise", "1 Infinity Loop",
                                         "900 Elm Blvd, Suite 210"};
constexpr std::string_view kCities[] = {"Glendale",
                                        "Montr\xc3\xa9"
                                        "al",
                                        "Phoenix", "Saint Paul", "San Jos\xc3\xa9"};
constexpr std::string_view kStates[] = {"CA", "QC", "AZ", "MN", "TX"};

std::string_view one_of(Draw& draw, Words words) { return words[draw.below(words.size())]; }

void append_digits(std::string& out, std::uint64_t n, int width) {
  std::array<char, 20> text{};
  for (int i = width; i-- > 0; n /= 10) text[static_cast<std::size_t>(i)] = static_cast<char>('0' + n % 10);
  out.append(text.data(), static_cast<std::size_t>(width));
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  out += text;
  out += '"';
}

void append_quoted_time(std::string& out, Ticks t) {
  out += '"';
  append_time(out, t);
  out += '"';
}

void append_cents(std::string& out, Draw& draw) {
  append_number(out, static_cast<std::int64_t>(draw.below(20'000)));
  out += '.';
  append_digits(out, draw.below(100), 2);
}

void append_decimal(std::string& out, Draw& draw) {
  if (draw.one_in(8)) {
    out += "1.0000000000000000000";
  } else {
    append_cents(out, draw);
  }
}

void append_money(std::string& out, Draw& draw) {
  out += '"';
  append_cents(out, draw);
  out += '"';
}

/// Some days from the row's creation; half of them at midnight.
Ticks some_day(Draw& draw, Ticks created) {
  const auto day = created / kTicksPerDay * kTicksPerDay + static_cast<Ticks>(draw.below(60)) * kTicksPerDay;
  return draw.one_in(2) ? day : day + static_cast<Ticks>(draw.below(86'400)) * kTicksPerSecond;
}

void append_date(std::string& out, Draw& draw, Ticks created) {
  std::string time;
  append_time(time, some_day(draw, created));
  append_quoted(out, std::string_view(time).substr(0, 10));
}

void append_phone(std::string& out, Draw& draw) {
  out += "\"555";
  append_digits(out, draw.below(10'000'000), 7);
  out += '"';
}

void append_email(std::string& out, Draw& draw) {
  out += "\"user";
  append_number(out, static_cast<std::int64_t>(draw.below(100'000)));
  out += "@example.com\"";
}

void append_duration(std::string& out, Draw& draw) {
  const auto minutes = draw.below(60), hours = draw.below(10);
  out += fmt::format("\"PT{}H{}M\"", hours, minutes);
}

void append_place(std::string& out, Kind kind, Draw& draw) {
  switch (kind) {
    case Kind::street:
      return append_quoted(out, one_of(draw, kStreets));
    case Kind::city:
      return append_quoted(out, one_of(draw, kCities));
    case Kind::state:
      return append_quoted(out, one_of(draw, kStates));
    case Kind::zip:
      out += '"';
      append_digits(out, draw.below(100'000), 5);
      out += '"';
      return;
    case Kind::country:
      return append_quoted(out, "USA");
    default:
      out += "null";
      return;
  }
}

std::string guid_of(std::int64_t id) {
  const auto low = static_cast<std::uint64_t>(id);
  const auto h = mix(17, low);
  return fmt::format("{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}", h >> 32, h >> 16 & 0xffff, h >> 4 & 0xfff, low >> 48 & 0xfff,
                     low & 0xffff'ffff'ffff);
}

constexpr std::string_view kIdText = "HVAC / tune-up #";

}  // namespace

std::string id_text(Scalar form, std::int64_t id) {
  if (form == Scalar::guid) return guid_of(id);
  return form == Scalar::string ? fmt::format("{}{}", kIdText, id) : std::to_string(id);
}

std::optional<std::int64_t> read_id(Scalar form, std::string_view text) {
  if (form == Scalar::guid) {
    const auto last = text.rfind('-');
    std::uint64_t low = 0;
    if (text.size() != 36 || last == std::string_view::npos || last < 3) return std::nullopt;
    const auto part = [&low](std::string_view hex) {
      const auto [end, ec] = std::from_chars(hex.data(), hex.data() + hex.size(), low, 16);
      return ec == std::errc() && end == hex.data() + hex.size();
    };
    if (!part(text.substr(last - 3, 3))) return std::nullopt;
    const auto high = low << 48;
    if (!part(text.substr(last + 1))) return std::nullopt;
    const auto id = static_cast<std::int64_t>(high | low);
    return guid_of(id) == text ? std::optional(id) : std::nullopt;
  }
  if (form != Scalar::string) return core::parse_int(text);
  return text.starts_with(kIdText) ? core::parse_int(text.substr(kIdText.size())) : std::nullopt;
}

void append_id(std::string& out, Scalar form, std::int64_t id) {
  if (form == Scalar::guid || form == Scalar::string)
    append_quoted(out, id_text(form, id));
  else
    append_number(out, form == Scalar::int32 ? id % 1'000'000'007 : id);
}

void append_value(std::string& out, Kind kind, Draw& draw, Ticks created) {
  switch (kind) {
    case Kind::reference:
      return append_number(out, draw.reference());
    case Kind::number:
      return append_number(out, static_cast<std::int64_t>(draw.below(500)));
    case Kind::flag:
      out += draw.one_in(4) ? "true" : "false";
      return;
    case Kind::decimal:
      return append_decimal(out, draw);
    case Kind::money:
      return append_money(out, draw);
    case Kind::date_time:
      return append_quoted_time(out, some_day(draw, created));
    case Kind::date:
      return append_date(out, draw, created);
    case Kind::duration:
      return append_duration(out, draw);
    case Kind::guid:
      return append_quoted(out, guid_of(draw.reference()));
    case Kind::name:
      return append_quoted(out, one_of(draw, kNames));
    case Kind::text:
      return append_quoted(out, one_of(draw, kTexts));
    case Kind::digits:
      return append_quoted(out, std::to_string(draw.reference()));
    case Kind::phone:
      return append_phone(out, draw);
    case Kind::email:
      return append_email(out, draw);
    default:
      return append_place(out, kind, draw);
  }
}

void append_filler(std::string& out, Draw& draw, std::size_t bytes) {
  out += '"';
  for (const auto end = out.size() + bytes; out.size() < end;) out += one_of(draw, kPhrases);
  out += '"';
}

void append_number(std::string& out, std::int64_t n) {
  std::array<char, 24> text{};
  const auto [end, ec] = std::to_chars(text.data(), text.data() + text.size(), n);
  out.append(text.data(), static_cast<std::size_t>(end - text.data()));
}

void append_time(std::string& out, Ticks t) {
  const auto day = t / kTicksPerDay;
  auto rest = static_cast<std::uint64_t>(t - day * kTicksPerDay);
  const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(day))};
  auto fraction = rest % static_cast<std::uint64_t>(kTicksPerSecond);
  rest /= static_cast<std::uint64_t>(kTicksPerSecond);
  append_digits(out, static_cast<std::uint64_t>(static_cast<int>(date.year())), 4);
  out += '-';
  append_digits(out, static_cast<unsigned>(date.month()), 2);
  out += '-';
  append_digits(out, static_cast<unsigned>(date.day()), 2);
  out += 'T';
  append_digits(out, rest / 3600, 2);
  out += ':';
  append_digits(out, rest / 60 % 60, 2);
  out += ':';
  append_digits(out, rest % 60, 2);
  if (fraction > 0) {
    int width = 7;
    for (; fraction % 10 == 0; fraction /= 10) --width;
    out += '.';
    append_digits(out, fraction, width);
  }
  out += 'Z';
}

}  // namespace stsync::sim
