#include "sim/rows.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

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

/// The random numbers of one row.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() noexcept { return mix(0x2545f4914f6cdd1dULL, state_ += 0x9e3779b97f4a7c15ULL); }
  std::uint64_t below(std::uint64_t n) noexcept { return next() % n; }
  bool one_in(std::uint64_t n) noexcept { return below(n) == 0; }
  std::string_view of(Words words) noexcept { return words[below(words.size())]; }
  std::int64_t ref() noexcept { return static_cast<std::int64_t>(1'000'000 + below(90'000'000'000)); }

 private:
  std::uint64_t state_;
};

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
void append_date(std::string& out, Draw& draw, const RowFacts& row) {
  const auto day = row.created / kTicksPerDay * kTicksPerDay + static_cast<Ticks>(draw.below(60)) * kTicksPerDay;
  append_quoted_time(out, draw.one_in(2) ? day : day + static_cast<Ticks>(draw.below(86'400)) * kTicksPerSecond);
}

void append_address(std::string& out, Draw& draw) {
  out += R"({"street":)";
  append_quoted(out, draw.of(kStreets));
  out += R"(,"unit":null,"city":)";
  append_quoted(out, draw.of(kCities));
  out += R"(,"state":)";
  append_quoted(out, draw.of(kStates));
  out += R"(,"zip":")";
  append_digits(out, draw.below(100'000), 5);
  out += R"(","country":"USA"})";
}

void append_named(std::string& out, Draw& draw) {
  if (draw.one_in(10)) {
    out += "null";
    return;
  }
  out += R"({"id":)";
  append_number(out, draw.ref());
  out += R"(,"name":)";
  append_quoted(out, draw.of(kNames));
  out += '}';
}

void append_custom_field(std::string& out, Draw& draw) {
  out += R"({"typeId":)";
  append_number(out, draw.ref());
  out += R"(,"name":"Gate code","value":)";
  append_quoted(out, draw.of(kTexts));
  out += '}';
}

void append_external(std::string& out, Draw& draw) {
  out += R"({"key":"crm-id","value":")";
  append_number(out, draw.ref());
  out += R"("})";
}

void append_item(std::string& out, Draw& draw) {
  out += R"({"id":)";
  append_number(out, draw.ref());
  out += R"(,"description":)";
  append_quoted(out, draw.of(kTexts));
  out += R"(,"quantity":"1.0000000000000000000","cost":)";
  append_money(out, draw);
  out += R"(,"totalCost":)";
  append_money(out, draw);
  out += '}';
}

void append_ref(std::string& out, Draw& draw) { append_number(out, draw.ref()); }
void append_text(std::string& out, Draw& draw) { append_quoted(out, draw.of(kTexts)); }

template <class Append>
void append_array(std::string& out, Draw& draw, Append append) {
  out += '[';
  const auto count = draw.below(4);
  for (std::uint64_t i = 0; i < count; ++i) {
    if (i > 0) out += ',';
    append(out, draw);
  }
  out += ']';
}

void append_filler(std::string& out, Draw& draw, std::size_t bytes) {
  out += '"';
  for (const auto end = out.size() + bytes; out.size() < end;) out += draw.of(kPhrases);
  out += '"';
}

/// Kinds of several random numbers.
void append_complex(std::string& out, Kind kind, Draw& draw) {
  switch (kind) {
    case Kind::address:
      return append_address(out, draw);
    case Kind::named:
      return append_named(out, draw);
    case Kind::ids:
      return append_array(out, draw, append_ref);
    case Kind::strings:
      return append_array(out, draw, append_text);
    case Kind::custom_fields:
      return append_array(out, draw, append_custom_field);
    case Kind::external_data:
      return append_array(out, draw, append_external);
    case Kind::items:
      return append_array(out, draw, append_item);
    case Kind::phone:
      out += "\"555";
      append_digits(out, draw.below(10'000'000), 7);
      out += '"';
      return;
    case Kind::email:
      out += "\"user";
      append_number(out, static_cast<std::int64_t>(draw.below(100'000)));
      out += "@example.com\"";
      return;
    case Kind::digits:
      out += '"';
      append_number(out, draw.ref());
      out += '"';
      return;
    default:
      out += "null";
      return;
  }
}

void append_simple(std::string& out, Kind kind, Draw& draw, const RowFacts& row) {
  switch (kind) {
    case Kind::id:
      return append_number(out, row.id);
    case Kind::active:
      out += row.active ? "true" : "false";
      return;
    case Kind::modified:
      return append_quoted_time(out, row.modified);
    case Kind::created:
      return append_quoted_time(out, row.created);
    case Kind::ref:
      return append_ref(out, draw);
    case Kind::ref_or_null:
      return draw.one_in(3) ? void(out += "null") : append_ref(out, draw);
    case Kind::number:
      return append_number(out, static_cast<std::int64_t>(draw.below(500)));
    case Kind::flag:
      out += draw.one_in(4) ? "true" : "false";
      return;
    case Kind::decimal:
      return append_decimal(out, draw);
    case Kind::money:
      return append_money(out, draw);
    case Kind::date:
      return append_date(out, draw, row);
    case Kind::date_or_null:
      return draw.one_in(3) ? void(out += "null") : append_date(out, draw, row);
    case Kind::name:
      return append_quoted(out, draw.of(kNames));
    case Kind::text:
      return append_text(out, draw);
    default:
      return append_complex(out, kind, draw);
  }
}

}  // namespace

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

RowWriter::RowWriter(const Resource& resource, std::size_t bytes) {
  for (const auto& field : resource.fields) {
    Piece piece{std::string(pieces_.empty() ? "{\"" : ",\"") + std::string(field.name) + "\":", field.kind, {}};
    for (auto rest = field.choices; !rest.empty();) {
      const auto end = std::min(rest.find('|'), rest.size());
      piece.choices.push_back("\"" + std::string(rest.substr(0, end)) + "\"");
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    pieces_.push_back(std::move(piece));
  }
  // What the other fields need on average is measured once; the filler takes the rest.
  constexpr std::size_t kSample = 256;
  constexpr std::size_t kHalfPhrase = 28;  // by which a filler is longer than asked for, on average
  std::string sample;
  for (std::size_t i = 0; i < kSample; ++i) append(sample, {.seed = mix(i, 1), .id = 1'000'000'000, .active = true});
  const auto needed = sample.size() / kSample + kHalfPhrase;
  filler_ = bytes > needed ? bytes - needed : 0;
}

void RowWriter::append(std::string& out, const RowFacts& row) const {
  Draw draw(row.seed);
  for (const auto& piece : pieces_) {
    out += piece.prefix;
    if (piece.kind == Kind::choice) {
      out += piece.choices[draw.below(piece.choices.size())];
    } else if (piece.kind == Kind::filler) {
      const auto spread = filler_ / 5;
      append_filler(out, draw, filler_ - spread + (spread > 0 ? draw.below(2 * spread) : 0) + row.extra);
    } else {
      append_simple(out, piece.kind, draw, row);
    }
  }
  out += '}';
}

}  // namespace stsync::sim
