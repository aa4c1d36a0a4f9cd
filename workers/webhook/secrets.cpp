#include "webhook/secrets.hpp"

#include <algorithm>

#include "config/secret_ref.hpp"
#include "telemetry/log.hpp"

namespace stsync::webhook {
namespace {
constexpr core::Duration kAgain = std::chrono::seconds(1);
constexpr int kLogEvery = 60;  // seconds
}  // namespace

std::span<const core::Secret> SecretFiles::live(core::TimePoint now) {
  if (ever_ && now < read_ + kAgain) return secrets_;
  read_ = now;
  ever_ = true;
  by_file_.resize(files_.size());
  for (std::size_t i = 0; i < files_.size(); ++i) {
    auto text = config::SecretRef{files_[i], {}}.read();
    if (text)
      by_file_[i] = std::move(*text);
    else
      telemetry::log_rarely(telemetry::Level::warn, "webhook_secret_unreadable", kLogEvery, text.error().message(),
                            {{"app", app_}});
  }
  secrets_.clear();
  std::copy_if(by_file_.begin(), by_file_.end(), std::back_inserter(secrets_), [](const auto& s) { return !s.empty(); });
  return secrets_;
}

}  // namespace stsync::webhook
