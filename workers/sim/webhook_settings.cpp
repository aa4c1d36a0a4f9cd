#include "sim/webhook_settings.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "http/message.hpp"

namespace stsync::sim {
namespace {

using core::ErrorKind;
using core::fail;

constexpr std::string_view kAppPlace = "{app}";

const EVP_MD* digest_of(std::string_view algorithm) {
  if (algorithm == "hmac-sha256") return EVP_sha256();
  if (algorithm == "hmac-sha512") return EVP_sha512();
  return algorithm == "hmac-sha1" ? EVP_sha1() : nullptr;
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

bool is_header_name(std::string_view text) {
  constexpr std::string_view kChars = "-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  return !text.empty() && text.find_first_not_of(kChars) == std::string_view::npos;
}

/// False when the text is no number from `least` to `most`.
template <class Number>
bool read_number(const std::string& text, Number least, Number most, Number& out) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= least && value <= most)) return false;
  out = value;
  return true;
}

/// What the member must be; nothing when it is.
using Set = const char* (*)(WebhookSettings&, const std::string&);
constexpr std::array<std::pair<std::string_view, Set>, 11> kMembers{{
    {"url",
     [](WebhookSettings& s, const std::string& text) -> const char* {
       s.url = text;
       return text.empty() || http::parse_url(callback_url(s, "a")) ? nullptr : "an http or https URL, or empty";
     }},
    {"secret",
     [](WebhookSettings& s, const std::string& text) -> const char* {
       s.secret = core::Secret(text);
       return nullptr;
     }},
    {"ca_file",
     [](WebhookSettings& s, const std::string& text) -> const char* {
       s.ca_file = text;
       return nullptr;
     }},
    {"header",
     [](WebhookSettings& s, const std::string& text) -> const char* {
       s.header = text;
       return is_header_name(text) ? nullptr : "the name of a header";
     }},
    {"algorithm",
     [](WebhookSettings& s, const std::string& text) -> const char* {
       s.algorithm = text;
       return digest_of(text) != nullptr ? nullptr : "hmac-sha256, hmac-sha512 or hmac-sha1";
     }},
    {"encoding",
     [](WebhookSettings& s, const std::string& text) -> const char* {
       s.encoding = text;
       return text == "hex" || text == "base64" ? nullptr : "hex or base64";
     }},
    {"prefix",
     [](WebhookSettings& s, const std::string& text) -> const char* {
       s.prefix = text;
       return is_printable(text) ? nullptr : "printable ASCII";
     }},
    {"duplicates",
     [](WebhookSettings& s, const std::string& text) -> const char* {
       return read_number(text, 0.0, 1.0, s.duplicates) ? nullptr : "a number from 0 to 1";
     }},
    {"retry_scale",
     [](WebhookSettings& s, const std::string& text) -> const char* {
       return read_number(text, 0.001, 1e6, s.retry_scale) ? nullptr : "a number from 0.001 to 1000000";
     }},
    {"timeout_ms",
     [](WebhookSettings& s, const std::string& text) -> const char* {
       std::int64_t ms = 0;
       if (!read_number(text, std::int64_t{1}, std::int64_t{600'000}, ms)) return "a number from 1 to 600000";
       s.timeout = std::chrono::milliseconds(ms);
       return nullptr;
     }},
    {"connections",
     [](WebhookSettings& s, const std::string& text) -> const char* {
       return read_number(text, std::size_t{1}, std::size_t{64}, s.connections) ? nullptr : "a number from 1 to 64";
     }},
}};

std::string hex(const unsigned char* bytes, unsigned size) {
  std::string out;
  for (unsigned i = 0; i < size; ++i) out += fmt::format("{:02x}", bytes[i]);
  return out;
}

std::string base64(const unsigned char* bytes, unsigned size) {
  std::array<unsigned char, 4 * (EVP_MAX_MD_SIZE / 3 + 1) + 1> out{};
  const auto length = EVP_EncodeBlock(out.data(), bytes, static_cast<int>(size));
  return {reinterpret_cast<const char*>(out.data()), static_cast<std::size_t>(length)};
}

}  // namespace

core::Result<WebhookSettings> changed_settings(WebhookSettings before, const std::map<std::string, std::string>& members) {
  for (const auto& [name, text] : members) {
    const auto at = std::find_if(kMembers.begin(), kMembers.end(), [&](const auto& m) { return m.first == name; });
    if (at == kMembers.end()) return fail(ErrorKind::bad_data, fmt::format("'{}' is no setting of webhooks", name));
    if (const auto* expected = at->second(before, text); expected != nullptr)
      return fail(ErrorKind::bad_data, fmt::format("'{}' must be {}", name, expected));
  }
  return before;
}

std::string callback_url(const WebhookSettings& settings, std::string_view app) {
  auto out = settings.url;
  const auto host = out.find("://");
  const auto path = host == std::string::npos ? host : out.find('/', host + 3);
  if (path == std::string::npos || path + 1 == out.size()) out.resize(std::min(path, out.size())), out += "/webhooks/{app}";
  if (const auto place = out.find(kAppPlace); place != std::string::npos) out.replace(place, kAppPlace.size(), app);
  return out;
}

std::string sign(const WebhookSettings& settings, std::string_view body) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  const auto& key = settings.secret.reveal();
  HMAC(digest_of(settings.algorithm), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(body.data()),
       body.size(), digest.data(), &size);
  return settings.prefix + (settings.encoding == "hex" ? hex(digest.data(), size) : base64(digest.data(), size));
}

}  // namespace stsync::sim
