#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.hpp"
#include "sim/simulator.hpp"

namespace stsync::sim {

/// The app's key, the tenants' client ids and secrets, and the tokens given out. Everything follows from the seed, so a second
/// simulator with the same seed knows the same credentials (but not the tokens). Loop thread only.
class Accounts {
 public:
  Accounts(std::uint64_t seed, const std::vector<std::int64_t>& tenants, core::Duration token_life);

  const std::string& app_key() const noexcept { return app_key_; }
  const std::vector<TenantAccess>& tenants() const noexcept { return tenants_; }
  core::Duration token_life() const noexcept { return token_life_; }

  struct Grant {
    std::string token;
    std::string error;  ///< of OAuth, when there is no token
    std::int64_t tenant = 0;
  };
  /// The body of a token request.
  Grant grant(std::string_view form, core::TimePoint now);
  /// Whose living token this is; `header` is the Authorization header, with or without "Bearer ".
  std::optional<std::int64_t> tenant_of(std::string_view header, core::TimePoint now) const;

 private:
  struct Token {
    std::int64_t tenant = 0;
    core::TimePoint end;
  };
  void forget_expired(core::TimePoint now);

  std::uint64_t seed_;
  std::string app_key_;
  std::vector<TenantAccess> tenants_;
  core::Duration token_life_;
  std::map<std::string, Token, std::less<>> tokens_;
  std::uint64_t granted_ = 0;
};

}  // namespace stsync::sim
