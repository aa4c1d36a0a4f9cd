#include "config/networks.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <boost/asio/ip/address.hpp>

#include "core/text.hpp"

namespace stsync::config {
namespace {

using Bytes = std::array<std::uint8_t, 16>;
constexpr unsigned kV4At = 96;  ///< bits before an IPv4 address that stands in an IPv6 one

struct Address {
  Bytes bytes;
  bool v4;
};

std::optional<Address> parse_address(std::string_view text) {
  namespace ip = boost::asio::ip;
  boost::system::error_code ec;
  const auto address = ip::make_address(std::string(text), ec);
  if (ec) return std::nullopt;
  const auto v6 = address.is_v4() ? ip::make_address_v6(ip::v4_mapped, address.to_v4()) : address.to_v6();
  return Address{v6.to_bytes(), address.is_v4()};
}

bool same_bits(const Bytes& a, const Bytes& b, unsigned bits) {
  const auto whole = bits / 8;
  if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
  const auto rest = bits % 8;
  return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

}  // namespace

bool is_address(std::string_view text) { return parse_address(text).has_value(); }

core::Result<Networks> Networks::parse(const std::vector<std::string>& texts) {
  Networks out;
  for (const auto& text : texts) {
    const auto slash = text.find('/');
    const auto address = parse_address(std::string_view(text).substr(0, slash));
    const unsigned most = address && address->v4 ? 32 : 128;
    const auto bits = slash == std::string::npos ? most : core::parse_int(std::string_view(text).substr(slash + 1));
    if (!address || !bits || *bits < 0 || *bits > most)
      return core::fail(core::ErrorKind::bad_config,
                        fmt::format("found '{}', expected an address or a network such as 10.0.0.0/8", core::printable(text, 80)));
    out.networks_.push_back({address->bytes, static_cast<unsigned>(*bits) + (address->v4 ? kV4At : 0)});
  }
  return out;
}

bool Networks::contain(std::string_view address) const {
  if (networks_.empty()) return false;
  const auto parsed = parse_address(address);
  return parsed && std::any_of(networks_.begin(), networks_.end(),
                               [&](const Network& n) { return same_bits(n.bytes, parsed->bytes, n.bits); });
}

}  // namespace stsync::config
