#include "core/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <vector>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace stsync::core {
namespace {

using namespace std::chrono;

/// Reads exactly `digits` decimal digits at the front of `s`.
std::optional<int> take_digits(std::string_view& s, std::size_t digits) {
  if (s.size() < digits) return std::nullopt;
  int value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (s[i] < '0' || s[i] > '9') return std::nullopt;
    value = value * 10 + (s[i] - '0');
  }
  s.remove_prefix(digits);
  return value;
}

bool take(std::string_view& s, char c) {
  if (s.empty() || s.front() != c) return false;
  s.remove_prefix(1);
  return true;
}

/// ".1234567": milliseconds, further digits dropped.
std::optional<milliseconds> take_fraction(std::string_view& s) {
  if (!take(s, '.')) return milliseconds(0);
  int value = 0;
  std::size_t n = 0;
  for (; n < s.size() && s[n] >= '0' && s[n] <= '9'; ++n)
    if (n < 3) value = value * 10 + (s[n] - '0');
  if (n == 0 || n > 9) return std::nullopt;
  for (auto i = n; i < 3; ++i) value *= 10;
  s.remove_prefix(n);
  return milliseconds(value);
}

std::optional<minutes> take_zone(std::string_view& s) {
  if (s.empty() || take(s, 'Z') || take(s, 'z')) return minutes(0);
  const int sign = s.front() == '-' ? -1 : 1;
  if (!take(s, '+') && !take(s, '-')) return std::nullopt;
  const auto h = take_digits(s, 2);
  if (!h || !take(s, ':')) return std::nullopt;
  const auto m = take_digits(s, 2);
  if (!m || *h > 23 || *m > 59) return std::nullopt;
  return minutes(sign * (*h * 60 + *m));
}

std::string hex(std::span<const unsigned char> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes.size());
  for (const auto byte : bytes) {
    out += kDigits[byte >> 4U];
    out += kDigits[byte & 15U];
  }
  return out;
}

}  // namespace

std::string format_utc(WallTime t) {
  const auto day = floor<days>(t);
  const year_month_day date{day};
  const hh_mm_ss time{t - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), time.hours().count(),
                     time.minutes().count(), time.seconds().count(), time.subseconds().count());
}

std::optional<WallTime> parse_utc(std::string_view s) {
  const auto y = take_digits(s, 4);
  if (!y || !take(s, '-')) return std::nullopt;
  const auto mo = take_digits(s, 2);
  if (!mo || !take(s, '-')) return std::nullopt;
  const auto d = take_digits(s, 2);
  if (!d) return std::nullopt;
  const year_month_day date{year(*y), month(static_cast<unsigned>(*mo)), day(static_cast<unsigned>(*d))};
  if (!date.ok()) return std::nullopt;
  const auto midnight = WallTime(sys_days(date));
  if (s.empty()) return midnight;
  if (!take(s, 'T') && !take(s, 't')) return std::nullopt;
  const auto h = take_digits(s, 2);
  if (!h || !take(s, ':')) return std::nullopt;
  const auto mi = take_digits(s, 2);
  if (!mi || !take(s, ':')) return std::nullopt;
  const auto sec = take_digits(s, 2);
  if (!sec || *h > 23 || *mi > 59 || *sec > 60) return std::nullopt;
  const auto fraction = take_fraction(s);
  if (!fraction) return std::nullopt;
  const auto zone = take_zone(s);
  if (!zone || !s.empty()) return std::nullopt;
  return midnight + hours(*h) + minutes(*mi) + seconds(*sec) + *fraction - *zone;
}

std::optional<std::int64_t> parse_int(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string uuid7(WallTime now, Rng& rng) {
  const auto ms = static_cast<std::uint64_t>(now.time_since_epoch().count());
  const auto a = rng.next();
  const auto b = rng.next();
  return fmt::format("{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}", (ms >> 16) & 0xffffffffU, ms & 0xffffU, a & 0xfffU,
                     0x8000U | ((a >> 12) & 0x3fffU), b & 0xffffffffffffULL);
}

std::string uuid5(std::string_view name) {
  // RFC 9562, 5.5; the name space is the UUID of "stsync" in that of DNS names.
  constexpr std::array<unsigned char, 16> space{0x28, 0x1f, 0x8f, 0x0a, 0x23, 0x80, 0x5c, 0xe9,
                                                0xa4, 0x95, 0x1d, 0x27, 0x11, 0x8b, 0xcc, 0xa9};
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  auto* ctx = EVP_MD_CTX_new();
  EVP_DigestInit_ex(ctx, EVP_sha1(), nullptr);
  EVP_DigestUpdate(ctx, space.data(), space.size());
  EVP_DigestUpdate(ctx, name.data(), name.size());
  EVP_DigestFinal_ex(ctx, digest.data(), nullptr);
  EVP_MD_CTX_free(ctx);
  digest[6] = static_cast<unsigned char>((digest[6] & 0x0f) | 0x50);
  digest[8] = static_cast<unsigned char>((digest[8] & 0x3f) | 0x80);
  auto out = hex({digest.data(), 16});
  for (const std::size_t dash : {20, 16, 12, 8}) out.insert(dash, 1, '-');
  return out;
}

std::string sha256_hex(std::string_view a, std::string_view b) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  auto* ctx = EVP_MD_CTX_new();
  EVP_DigestInit_ex(ctx, EVP_sha256(), nullptr);
  EVP_DigestUpdate(ctx, a.data(), a.size());
  EVP_DigestUpdate(ctx, b.data(), b.size());
  EVP_DigestFinal_ex(ctx, digest.data(), &size);
  EVP_MD_CTX_free(ctx);
  return hex({digest.data(), size});
}

std::string hmac_sha256_hex(const Secret& key, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  const auto& k = key.reveal();
  HMAC(EVP_sha256(), k.data(), static_cast<int>(k.size()), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
       digest.data(), &size);
  return hex({digest.data(), size});
}

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  for (const char c : text.substr(0, limit)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  if (text.size() > limit) out += "…";
  return out;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const auto above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace stsync::core
