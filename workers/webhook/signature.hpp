#pragma once
#include <span>
#include <string>
#include <string_view>

#include "config/config.hpp"
#include "core/secret.hpp"

namespace stsync::webhook {

enum class Algorithm { hmac_sha256, hmac_sha512, hmac_sha1 };
enum class Encoding { hex, base64 };

/// How the vendor signs. Its documents do not say the header's name and the encoding for certain (facts 9), so all of it can be
/// configured; the key is the text of the secret, the message the raw body.
struct SignatureScheme {
  Algorithm algorithm = Algorithm::hmac_sha256;
  Encoding encoding = Encoding::hex;
  std::string prefix;  ///< before the signature, word for word

  static SignatureScheme of(const config::WebhookSignature& config);
};

/// The signature as a sender writes it, prefix included.
std::string sign(const SignatureScheme& scheme, const core::Secret& secret, std::string_view body);

/// Whether `claimed`, the header's value (nullptr: there is none), is a signature of the body by one of the secrets. Hex in any
/// case. Takes as long for a missing, malformed or wrong one as for a right one, whichever secret it is of.
bool is_signed(const SignatureScheme& scheme, std::span<const core::Secret> secrets, const std::string* claimed,
               std::string_view body);

}  // namespace stsync::webhook
