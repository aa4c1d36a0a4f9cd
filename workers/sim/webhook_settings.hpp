#pragma once
#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/secret.hpp"

namespace stsync::sim {

/// Where webhooks go and how they are signed; nobody has confirmed the vendor's header and encoding (facts 9).
struct WebhookSettings {
  std::string
      url;  ///< http or https; "{app}" stands for the app's name, and without a path "/webhooks/{app}" is meant; empty: no webhooks
  core::Secret secret;  ///< empty: nothing is signed
  std::string ca_file;  ///< PEM; empty: the system's certificates
  std::string header = "x-servicetitan-signature";
  std::string algorithm = "hmac-sha256";              ///< hmac-sha256, hmac-sha512, hmac-sha1
  std::string encoding = "hex";                       ///< hex (lower case), base64
  std::string prefix;                                 ///< in front of the signature
  double duplicates = 0;                              ///< share of events that are delivered twice, both at once
  double retry_scale = 1;                             ///< the waits between tries are so many times shorter
  core::Duration timeout = std::chrono::seconds(15);  ///< for an answer
  std::size_t connections = 16;
};

/// `before` with the members of a flat object: url, secret, ca_file, header, algorithm, encoding, prefix, duplicates, retry_scale,
/// timeout_ms, connections. bad_data says which of them is unknown or cannot be used.
core::Result<WebhookSettings> changed_settings(WebhookSettings before, const std::map<std::string, std::string>& members);

/// The address with everything in its place.
std::string callback_url(const WebhookSettings& settings, std::string_view app);

/// The signature of a body as the header carries it.
std::string sign(const WebhookSettings& settings, std::string_view body);

}  // namespace stsync::sim
