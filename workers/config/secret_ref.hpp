#pragma once
#include <string>

#include "config/problem.hpp"
#include "core/error.hpp"
#include "core/secret.hpp"

namespace stsync::config {

/// A secret by reference: a file, read again at each use so that a rotation needs no restart, or the value itself (simulator).
struct SecretRef {
  std::string file;
  core::Secret value;
  bool set() const noexcept { return !file.empty() || !value.empty(); }
  /// The secret, without trailing line ends. bad_config: the file is missing, empty, unreadable, larger than 64 KiB or holds a
  /// control character (a pasted secret with a line break inside is refused by the vendor without saying why).
  core::Result<core::Secret> read() const;
};

/// `path` relative to the source that names it.
std::string resolve_path(const std::string& path, const Where& where);

/// `value`, or "***" when the name of the property says that it is a secret.
std::string hide_secret(const std::string& name, const std::string& value);

/// `url` with what stands before an "@" in its host part replaced by "***".
std::string hide_userinfo(const std::string& url);

}  // namespace stsync::config
