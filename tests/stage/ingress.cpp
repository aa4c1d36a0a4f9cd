// The webhook ingress on a stage.
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>

#include "codec/page.hpp"
#include "http/certificate.hpp"
#include "stage/stage.hpp"

namespace stsync::test {

using namespace std::chrono_literals;

namespace {

std::string write(const std::filesystem::path& file, const std::string& text) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out << text;
  if (!out.flush()) throw std::runtime_error("cannot write " + file.string());
  return file.string();
}

/// A CA and a certificate for this machine in files; the settings that name them. The CA goes into `ca_file`.
std::vector<std::string> certificate_sets(const std::filesystem::path& folder, const std::string& ca_file) {
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto ca = http::CertificateAuthority::make("stage", now).value();
  const auto certificate = ca.issue({"localhost", "127.0.0.1"}, now - 1h, now + 24h).value();
  write(ca_file, ca.root.certificate_pem);
  return {"webhook.tls.certificate_file=" + write(folder / "webhook.pem", certificate.certificate_pem),
          "webhook.tls.key_file=" + write(folder / "webhook.key", certificate.key_pem)};
}

std::string started_url(const std::string& log) {
  const auto begin = log.rfind('\n', log.find("webhook_started")) + 1;
  const auto members = codec::json_members(std::string_view(log).substr(begin, log.find('\n', begin) - begin));
  return codec::json_text(members.value().at("url")).value();
}

}  // namespace

core::Secret Stage::webhook_secret() const { return core::Secret("stage-webhook-secret-0123456789abcdef"); }

Stage::Ingress Stage::start_webhook(const std::vector<std::string>& sets, bool tls, bool wait) const {
  Ingress out;
  std::vector<std::string> all{
      "webhook.listen=127.0.0.1:0",
      "apps.0.webhook_secret_files=[" + write(folder_ / "webhook.secret", webhook_secret().reveal()) + "]"};
  if (tls) {
    out.ca_file = (folder_ / "webhook.ca.pem").string();
    for (auto& set : certificate_sets(folder_, out.ca_file)) all.push_back(std::move(set));
  }
  all.insert(all.end(), sets.begin(), sets.end());
  if (kafka_proxy_) all.insert(all.begin(), "kafka.bootstrap_servers=" + kafka_proxy_->address());
  out.process = std::make_unique<Process>(command({"webhook"}, all));
  if (!out.process->wait_for_text(wait ? "kafka_ready" : "webhook_started", 60s))
    throw std::runtime_error("the ingress does not start: " + out.process->err());
  out.url = started_url(out.process->err());
  return out;
}

void Stage::renew_certificate(Ingress& ingress) const {
  ingress.ca_file = (folder_ / "webhook.next.ca.pem").string();
  certificate_sets(folder_, ingress.ca_file);
}

void Stage::send_webhooks_to(const Ingress& ingress, const std::string& more) const {
  control("/__sim/webhooks", fmt::format(R"({{"url":"{}","ca_file":"{}","secret":"{}"{}{}}})", ingress.url, ingress.ca_file,
                                         webhook_secret().reveal(), more.empty() ? "" : ",", more));
}

}  // namespace stsync::test
