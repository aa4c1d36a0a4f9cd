#include "config/checks.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "config/networks.hpp"
#include "config/store_url.hpp"
#include "config/url.hpp"

namespace stsync::config {
namespace {

constexpr std::size_t kShortestKey = 16;  ///< bytes

void check_environment(const Environment& env, Reader& reader) {
  const auto path = "environments." + env.name;
  const auto check_url = [&](const char* key, const std::string& text, bool wants_path) {
    if (text.empty()) return;  // reported as missing
    const auto where = reader.place(path + "." + key);
    const auto url = parse_url(text);
    if (!url || (url->scheme != "https" && url->scheme != "http"))
      reader.report.error(where, fmt::format("{}.{}: found '{}', expected https://HOST[:PORT]{} without user, query or fragment",
                                             path, key, hide_userinfo(text), wants_path ? "/PATH" : ""));
    else if (url->scheme == "http" && !is_loopback(url->host))
      reader.report.error(
          where, fmt::format("{}.{}: found http, expected https: only a host on this machine may be without TLS", path, key));
    else if (!wants_path && !url->path.empty() && url->path != "/")
      reader.report.error(
          where, fmt::format("{}.{}: found the path '{}', expected none: stsync adds the API's own", path, key, url->path));
  };
  check_url("api_url", env.api_url, false);
  check_url("token_url", env.token_url, true);
  check_file(env.ca_file, path + ".ca_file", reader);
}

void check_worker(const Worker& worker, Reader& reader) {
  if (worker.page_buffer * 4 > worker.max_memory)
    reader.report.error(reader.place("worker.page_buffer"),
                        fmt::format("worker.page_buffer: found {}, expected at most a quarter of worker.max_memory ({})",
                                    format_size(worker.page_buffer), format_size(worker.max_memory)));
  if (worker.max_body < worker.page_buffer)
    reader.report.error(reader.place("worker.max_body"),
                        fmt::format("worker.max_body: found {}, expected at least worker.page_buffer ({})",
                                    format_size(worker.max_body), format_size(worker.page_buffer)));
  struct stat info{};
  if (::stat(worker.spool_dir.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || ::access(worker.spool_dir.c_str(), W_OK) != 0)
    reader.report.error(reader.place("worker.spool_dir"),
                        fmt::format("worker.spool_dir: found '{}', expected a directory that can be written to", worker.spool_dir));
}

/// A key that cannot be read must end the start, not publish hashes that can be guessed.
void check_hash_key(const SecretRef& key, Reader& reader) {
  if (!key.set()) return;
  const auto where = reader.place("catalogue.hash_key_file");
  if (!key.file.empty() && !key.value.empty())
    return reader.report.error(where, "catalogue: found hash_key and hash_key_file, expected one of them");
  if (!key.value.empty())
    reader.report.warn(reader.place("catalogue.hash_key"), "catalogue.hash_key: a secret in the configuration; use hash_key_file");
  const auto text = key.read();
  if (!text) return reader.report.error(where, "catalogue.hash_key_file: " + text.error().message());
  if (text->reveal().size() < kShortestKey)
    reader.report.warn(where, fmt::format("catalogue.hash_key_file: {} bytes can be guessed, use {} random ones at least",
                                          text->reveal().size(), kShortestKey));
}

void check_listen(const std::string& address, const std::string& path, Reader& reader) {
  if (!parse_host_port(address, true, true))
    reader.report.error(reader.place(path), fmt::format("{}: found '{}', expected ADDRESS:PORT", path, address));
}

void check_webhook(const Webhook& webhook, Reader& reader) {
  check_listen(webhook.listen, "webhook.listen", reader);
  if (webhook.tls) {
    check_file(webhook.tls->certificate_file, "webhook.tls.certificate_file", reader);
    check_file(webhook.tls->key_file, "webhook.tls.key_file", reader);
  }
  if (const auto proxies = Networks::parse(webhook.trusted_proxies); !proxies)
    reader.report.error(reader.place("webhook.trusted_proxies"), "webhook.trusted_proxies: " + proxies.error().message());
  if (webhook.max_memory < 4 * webhook.max_body)
    reader.report.error(reader.place("webhook.max_memory"),
                        fmt::format("webhook.max_memory: found {}, expected at least four times webhook.max_body ({})",
                                    format_size(webhook.max_memory), format_size(webhook.max_body)));
}

void check_limits_store(const Config& config, Reader& reader) {
  const auto& store = config.limits_store;
  if (!config.shares_limits()) return;
  if (store.starts_with("rediss://"))
    return reader.report.error(
        reader.place("limits.store"),
        "limits.store: TLS to Redis is not supported: use redis:// in a network you trust, or a proxy beside the "
        "worker that speaks TLS");
  if (const auto address = parse_store_url(store); !address)
    reader.report.error(reader.place("limits.store"),
                        fmt::format("limits.store: found '{}', expected local, redis://HOST[:PORT] or unix:///PATH: {}",
                                    hide_userinfo(store), address.error().message()));
  if (!config.limits_password.value.empty())
    reader.report.warn(reader.place("limits.password"), "limits.password: a secret in the configuration; use password_file");
  if (!config.limits_password.set()) return;
  if (const auto text = config.limits_password.read(); !text)
    reader.report.error(reader.place("limits.password_file"), "limits.password_file: " + text.error().message());
}

}  // namespace

void check_file(const std::string& file, const std::string& path, Reader& reader) {
  if (file.empty()) return;
  struct stat info{};
  if (::stat(file.c_str(), &info) != 0 || ::access(file.c_str(), R_OK) != 0)
    reader.report.error(reader.place(path), fmt::format("{}: cannot read {}: {}", path, file, std::strerror(errno)));
  else if (!S_ISREG(info.st_mode))
    reader.report.error(reader.place(path), fmt::format("{}: {} is not a file", path, file));
}

void check_config(const Config& config, Reader& reader) {
  check_kafka(config.kafka, reader);
  for (const auto& [name, environment] : config.environments) check_environment(environment, reader);
  check_apps(config, reader);
  check_limits_store(config, reader);
  check_file(config.catalogue_overrides, "catalogue.overrides", reader);
  check_hash_key(config.catalogue_hash_key, reader);
  check_worker(config.worker, reader);
  check_webhook(config.webhook, reader);
  check_listen(config.telemetry.listen, "telemetry.listen", reader);
}

}  // namespace stsync::config
