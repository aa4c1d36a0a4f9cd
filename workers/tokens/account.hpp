#pragma once
#include <compare>
#include <cstdint>
#include <string>

namespace stsync::tokens {

/// Whose token: one app's connection to one tenant (which has exactly one environment).
struct Account {
  std::string app;
  std::int64_t tenant = 0;
  auto operator<=>(const Account&) const = default;
};

}  // namespace stsync::tokens
