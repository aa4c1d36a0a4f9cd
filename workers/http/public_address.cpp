#include "http/public_address.hpp"

#include <algorithm>
#include <array>

#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>

namespace stsync::http {
namespace {

namespace ip = boost::asio::ip;

template <class Network, class Address>
bool holds(const Network& network, const Address& address) {
  return Network(address, network.prefix_length()).canonical() == network;
}

bool is_public(const ip::address_v4& address) {
  static const std::array special{
      ip::make_network_v4("0.0.0.0/8"),        // this network
      ip::make_network_v4("10.0.0.0/8"),       // private
      ip::make_network_v4("100.64.0.0/10"),    // shared by a provider's customers
      ip::make_network_v4("127.0.0.0/8"),      // this machine
      ip::make_network_v4("169.254.0.0/16"),   // this link
      ip::make_network_v4("172.16.0.0/12"),    // private
      ip::make_network_v4("192.0.0.0/24"),     // protocols
      ip::make_network_v4("192.0.2.0/24"),     // documentation
      ip::make_network_v4("192.88.99.0/24"),   // relays of 6to4
      ip::make_network_v4("192.168.0.0/16"),   // private
      ip::make_network_v4("198.18.0.0/15"),    // measurements
      ip::make_network_v4("198.51.100.0/24"),  // documentation
      ip::make_network_v4("203.0.113.0/24"),   // documentation
      ip::make_network_v4("224.0.0.0/3"),      // groups, reserved, everybody
  };
  return std::none_of(special.begin(), special.end(), [&address](const auto& network) { return holds(network, address); });
}

/// The IPv4 address in four bytes of an IPv6 one.
ip::address_v4 inner(const ip::address_v6& address, std::size_t at) {
  const auto bytes = address.to_bytes();
  return ip::address_v4({bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]});
}

bool is_public(const ip::address_v6& address) {
  static const auto translated = ip::make_network_v6("64:ff9b::/96");
  static const auto sixtofour = ip::make_network_v6("2002::/16");
  static const auto global = ip::make_network_v6("2000::/3");
  static const std::array special{
      ip::make_network_v6("2001::/23"),      // protocols, among them Teredo
      ip::make_network_v6("2001:db8::/32"),  // documentation
      ip::make_network_v6("3fff::/20"),      // documentation
  };
  if (address.is_v4_mapped() || holds(translated, address)) return is_public(inner(address, 12));
  if (holds(sixtofour, address)) return is_public(inner(address, 2));
  return holds(global, address) &&
         std::none_of(special.begin(), special.end(), [&address](const auto& network) { return holds(network, address); });
}

}  // namespace

bool is_public(const ip::address& address) { return address.is_v4() ? is_public(address.to_v4()) : is_public(address.to_v6()); }

}  // namespace stsync::http
