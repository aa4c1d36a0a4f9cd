#pragma once
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "config/config.hpp"
#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/stop.hpp"
#include "http/server.hpp"
#include "telemetry/metrics.hpp"

namespace stsync::webhook {

/// The files of a certificate and its key, which somebody else replaces: one after the other, or both at once behind a link.
class CertificateFiles {
 public:
  explicit CertificateFiles(config::WebhookTls files) : files_(std::move(files)) {}

  /// What they hold, whether it fits together or not. bad_config: one of them cannot be read.
  core::Result<http::ServerTls> read();
  /// The same; nothing: it is what they held when they were last read.
  std::optional<core::Result<http::ServerTls>> changed();

 private:
  config::WebhookTls files_;
  std::string seen_;  ///< tells one content, or one reason why there is none, from another
};

/// Whether people should be warned that a certificate expires: a week before, and from then on.
bool expires_soon(core::WallTime expiry, core::WallTime now) noexcept;

/// Sees to it that a server shows the certificate that is in the files. One that cannot be used is told once, and the server goes
/// on with the one before. Loop thread only.
class CertificateKeeper {
 public:
  CertificateKeeper(core::Clock& clock, config::WebhookTls files, telemetry::Metrics& metrics)
      : clock_(clock), files_(std::move(files)), metrics_(metrics) {}

  /// To start a server with. bad_config: the files cannot be read, or hold no certificate.
  core::Result<http::ServerTls> read();
  /// Looks at the files every ten seconds until it is asked to stop. The server outlives it.
  boost::asio::awaitable<void> keep(http::Server& server, core::StopToken stop);

 private:
  void look(http::Server& server);
  void shown(core::WallTime expiry);
  void warn_in_time() const;

  core::Clock& clock_;
  CertificateFiles files_;
  telemetry::Metrics& metrics_;
  core::WallTime expiry_{};
};

}  // namespace stsync::webhook
