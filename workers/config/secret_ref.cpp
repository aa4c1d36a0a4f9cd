#include "config/secret_ref.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "config/yaml.hpp"

namespace stsync::config {

core::Result<core::Secret> SecretRef::read() const {
  std::string text = value.reveal();
  const auto what = file.empty() ? std::string("the secret") : "secret file " + file;
  if (!file.empty()) {
    Report report;
    if (!read_file(file, 64U << 10U, text, {}, report))
      return core::fail(core::ErrorKind::bad_config, report.errors().front().message);
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  if (text.empty()) return core::fail(core::ErrorKind::bad_config, what + " is empty");
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (std::any_of(text.begin(), text.end(), control))
    return core::fail(core::ErrorKind::bad_config, what + " holds a line break or another control character");
  return core::Secret(std::move(text));
}

std::string resolve_path(const std::string& path, const Where& where) {
  const std::filesystem::path given(path);
  if (given.is_absolute() || !where.source || where.source->directory.empty()) return path;
  return (std::filesystem::path(where.source->directory) / given).lexically_normal().string();
}

std::string hide_secret(const std::string& name, const std::string& value) {
  for (const auto* part : {"password", "secret", "key.pem", "jaas", "token", "oauthbearer.config"})
    if (name.find(part) != std::string::npos) return "***";
  return value;
}

std::string hide_userinfo(const std::string& url) {
  const auto scheme = url.find("://");
  if (scheme == std::string::npos) return url;
  const auto host = scheme + 3;
  const auto at = url.substr(0, url.find_first_of("/?#", host)).rfind('@');
  if (at == std::string::npos || at < host) return url;
  return url.substr(0, host) + "***" + url.substr(at);
}

}  // namespace stsync::config
