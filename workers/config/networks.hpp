#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"

namespace stsync::config {

/// An IPv4 or IPv6 address, without port and brackets.
bool is_address(std::string_view text);

/// Addresses and networks: "192.0.2.7", "10.0.0.0/8", "2001:db8::/32".
class Networks {
 public:
  Networks() = default;
  /// bad_config names the text that is neither.
  static core::Result<Networks> parse(const std::vector<std::string>& texts);
  /// Whether an address is in one of them. IPv4 in IPv6 ("::ffff:10.0.0.1") counts as what it is; what is no address is in none.
  bool contain(std::string_view address) const;
  bool empty() const noexcept { return networks_.empty(); }

 private:
  struct Network {
    std::array<std::uint8_t, 16> bytes;  ///< IPv4 as it stands in IPv6
    unsigned bits;
  };
  std::vector<Network> networks_;
};

}  // namespace stsync::config
