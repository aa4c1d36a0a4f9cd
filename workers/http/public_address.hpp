#pragma once
#include <boost/asio/ip/address.hpp>

namespace stsync::http {

/// Whether an address is on the public internet: none of this machine, of a private network or of the link (where clouds give out
/// credentials), nor one that means such an address by way of a translation. By the registries of special addresses of RFC 6890.
bool is_public(const boost::asio::ip::address& address);

}  // namespace stsync::http
