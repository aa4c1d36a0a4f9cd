#include "webhook/certificate.hpp"

#include "config/yaml.hpp"
#include "core/text.hpp"
#include "http/certificate.hpp"
#include "telemetry/log.hpp"

namespace stsync::webhook {

using core::Result;
using telemetry::Level;
using namespace std::chrono_literals;

namespace {

constexpr core::Duration kLookEvery = 10s;
constexpr auto kWarnBefore = std::chrono::days(7);
constexpr int kWarnEvery = 6 * 60 * 60;  // seconds
constexpr std::size_t kMaxFile = 1u << 20;

Result<std::string> text_of(const std::string& file) {
  std::string text;
  config::Report report;
  if (!config::read_file(file, kMaxFile, text, {}, report))
    return core::fail(core::ErrorKind::bad_config, report.errors().front().message);
  return text;
}

Result<http::ServerTls> pair_of(const config::WebhookTls& files) {
  auto certificate = text_of(files.certificate_file);
  if (!certificate) return core::fail(certificate.error());
  auto key = text_of(files.key_file);
  if (!key) return core::fail(key.error());
  return http::ServerTls{std::move(*certificate), std::move(*key)};
}

}  // namespace

Result<http::ServerTls> CertificateFiles::read() {
  auto pair = pair_of(files_);
  seen_ = pair ? core::sha256_hex(pair->certificate_pem) + core::sha256_hex(pair->key_pem) : pair.error().message();
  return pair;
}

std::optional<Result<http::ServerTls>> CertificateFiles::changed() {
  const auto before = seen_;
  auto pair = read();
  return seen_ == before ? std::nullopt : std::optional(std::move(pair));
}

bool expires_soon(core::WallTime expiry, core::WallTime now) noexcept { return expiry - now < kWarnBefore; }

Result<http::ServerTls> CertificateKeeper::read() {
  auto pair = files_.read();
  if (!pair) return pair;
  const auto expiry = http::expiry_of(pair->certificate_pem);
  if (!expiry) return core::fail(expiry.error());
  shown(*expiry);
  warn_in_time();
  return pair;
}

boost::asio::awaitable<void> CertificateKeeper::keep(http::Server& server, core::StopToken stop) {
  const auto signal = clock_.make_signal();
  const auto on_stop = stop.on_stop([&signal] { signal->notify(); });
  while (!stop.stop_requested()) {
    co_await signal->wait_until(clock_.now() + kLookEvery);
    if (!stop.stop_requested()) look(server);
  }
}

void CertificateKeeper::look(http::Server& server) {
  if (const auto pair = files_.changed()) {
    const auto expiry = pair->and_then([](const auto& p) { return http::expiry_of(p.certificate_pem); });
    const auto used = expiry ? server.use(**pair) : Result<void>(core::fail(expiry.error()));
    if (used) {
      shown(*expiry);
      telemetry::log(Level::info, "webhook_certificate_read", "new connections are shown the new certificate",
                     {{"expires", core::format_utc(expiry_)}});
    } else {
      telemetry::log(Level::warn, "webhook_certificate_refused", used.error().message(),
                     {{"still_shown_until", core::format_utc(expiry_)}});
    }
  }
  warn_in_time();
}

void CertificateKeeper::shown(core::WallTime expiry) {
  expiry_ = expiry;
  metrics_.webhook_certificate(std::chrono::duration_cast<std::chrono::seconds>(expiry.time_since_epoch()).count());
}

void CertificateKeeper::warn_in_time() const {
  if (!expires_soon(expiry_, clock_.wall_now())) return;
  telemetry::log_rarely(Level::warn, "webhook_certificate_expires", kWarnEvery,
                        "the certificate of the webhook ingress has expired or has less than 7 days left",
                        {{"expires", core::format_utc(expiry_)}});
}

}  // namespace stsync::webhook
