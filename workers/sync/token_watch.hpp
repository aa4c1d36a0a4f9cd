#pragma once
#include "telemetry/log.hpp"
#include "telemetry/metrics.hpp"
#include "tokens/observer.hpp"

namespace stsync::sync {

/// Counts requests to the token endpoint and says once when an account's credentials stop to work and when they work again. Loop
/// thread only.
class TokenWatch final : public tokens::Observer {
 public:
  explicit TokenWatch(telemetry::Metrics& metrics) : metrics_(metrics) {}
  void fetched(const tokens::Account& account, const char* outcome) override { metrics_.token_fetch(account.app, outcome); }
  void changed(const tokens::Account& account, tokens::Health now, const std::string& why) override {
    using telemetry::Level;
    const auto fields = {telemetry::Field("app", account.app), telemetry::Field("tenant", account.tenant)};
    switch (now) {
      case tokens::Health::working:
        return telemetry::log(Level::info, "token_recovered", "there is a token again", fields);
      case tokens::Health::rotating:
        return telemetry::log(Level::warn, "token_fallback", why, fields);
      case tokens::Health::refused:
        return telemetry::log(Level::error, "token_refused", why, fields);
      case tokens::Health::down:  // for every tenant at once
        return telemetry::log_rarely(Level::error, "token_failed", kTellDown, why, fields);
    }
  }

 private:
  static constexpr int kTellDown = 10;  // seconds
  telemetry::Metrics& metrics_;
};

}  // namespace stsync::sync
