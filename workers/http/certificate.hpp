#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/error.hpp"

namespace stsync::http {

/// A certificate and its private key, both PEM.
struct Certificate {
  std::string certificate_pem;
  std::string key_pem;
};

/// Until when the first certificate of a PEM chain, that of the server itself, is valid. bad_config: there is none.
core::Result<core::WallTime> expiry_of(const std::string& certificate_pem);

/// Makes certificates for the simulator and for tests (EC P-256, SHA-256). Not for production use: keys stand in memory in clear.
struct CertificateAuthority {
  Certificate root;

  /// A new self-signed root, valid from a day before `now` for ten years. `now` must be the real time, because that is what
  /// OpenSSL compares with. internal: OpenSSL refuses.
  static core::Result<CertificateAuthority> make(const std::string& name, core::WallTime now);

  /// A server certificate for these names and IP literals, valid in [from, to]. bad_config: no host, or an unusable one;
  /// internal: OpenSSL refuses.
  core::Result<Certificate> issue(const std::vector<std::string>& hosts, core::WallTime from, core::WallTime to) const;
};

}  // namespace stsync::http
