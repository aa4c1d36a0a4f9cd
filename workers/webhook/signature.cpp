#include "webhook/signature.hpp"

#include <algorithm>
#include <array>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace stsync::webhook {
namespace {

/// The text of the longest signature: 64 bytes in hex.
constexpr std::size_t kLongest = 2 * EVP_MAX_MD_SIZE;

/// Text in a buffer of one size, so that comparing takes as long for any.
struct Text {
  std::array<unsigned char, kLongest + 1> bytes{};
  std::size_t size = 0;
};

const EVP_MD* digest_of(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::hmac_sha512:
      return EVP_sha512();
    case Algorithm::hmac_sha1:
      return EVP_sha1();
    case Algorithm::hmac_sha256:
      break;
  }
  return EVP_sha256();
}

/// Without the prefix.
Text signature_text(const SignatureScheme& scheme, const core::Secret& secret, std::string_view body) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  const auto& key = secret.reveal();
  HMAC(digest_of(scheme.algorithm), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(body.data()),
       body.size(), digest.data(), &size);
  Text out;
  if (scheme.encoding == Encoding::base64) {
    out.size = static_cast<std::size_t>(EVP_EncodeBlock(out.bytes.data(), digest.data(), static_cast<int>(size)));
    return out;
  }
  static constexpr std::string_view kDigits = "0123456789abcdef";
  for (std::size_t i = 0; i < size; ++i) {
    out.bytes[out.size++] = static_cast<unsigned char>(kDigits[digest[i] >> 4]);
    out.bytes[out.size++] = static_cast<unsigned char>(kDigits[digest[i] & 15]);
  }
  return out;
}

/// What the header claims, as signature_text() writes it; of another size where it cannot be a signature.
Text claimed_text(const SignatureScheme& scheme, const std::string* claimed) {
  Text out;
  if (claimed == nullptr || !claimed->starts_with(scheme.prefix)) return out;
  const auto text = std::string_view(*claimed).substr(scheme.prefix.size());
  if (text.size() > kLongest) return out;
  out.size = text.size();
  std::transform(text.begin(), text.end(), out.bytes.begin(), [&](char c) {
    const bool upper = scheme.encoding == Encoding::hex && c >= 'A' && c <= 'F';
    return static_cast<unsigned char>(upper ? c - 'A' + 'a' : c);
  });
  return out;
}

}  // namespace

SignatureScheme SignatureScheme::of(const config::WebhookSignature& config) {
  return {.algorithm = config.algorithm == "hmac-sha512" ? Algorithm::hmac_sha512
                       : config.algorithm == "hmac-sha1" ? Algorithm::hmac_sha1
                                                         : Algorithm::hmac_sha256,
          .encoding = config.encoding == "base64" ? Encoding::base64 : Encoding::hex,
          .prefix = config.prefix};
}

std::string sign(const SignatureScheme& scheme, const core::Secret& secret, std::string_view body) {
  const auto text = signature_text(scheme, secret, body);
  return scheme.prefix + std::string(text.bytes.begin(), text.bytes.begin() + static_cast<std::ptrdiff_t>(text.size));
}

bool is_signed(const SignatureScheme& scheme, std::span<const core::Secret> secrets, const std::string* claimed,
               std::string_view body) {
  const auto given = claimed_text(scheme, claimed);
  unsigned good = 0;
  for (const auto& secret : secrets) {
    const auto wanted = signature_text(scheme, secret, body);
    const auto differ = static_cast<unsigned>(CRYPTO_memcmp(given.bytes.data(), wanted.bytes.data(), wanted.bytes.size()) != 0);
    good |= (differ | static_cast<unsigned>(given.size != wanted.size)) ^ 1u;
  }
  return good != 0;
}

}  // namespace stsync::webhook
