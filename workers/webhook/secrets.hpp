#pragma once
#include <span>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/secret.hpp"

namespace stsync::webhook {

/// The signing secrets of an app: any of them may have signed. Its files are read anew once a second while it is asked, so that a
/// rotation needs no restart; one that cannot be read keeps what it held last. Loop thread only.
class SecretFiles {
 public:
  SecretFiles(std::string app, std::vector<std::string> files) : app_(std::move(app)), files_(std::move(files)) {}
  std::span<const core::Secret> live(core::TimePoint now);

 private:
  std::string app_;
  std::vector<std::string> files_;
  std::vector<core::Secret> by_file_;  ///< empty: never read
  std::vector<core::Secret> secrets_;
  core::TimePoint read_{};
  bool ever_ = false;
};

}  // namespace stsync::webhook
