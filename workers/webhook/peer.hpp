#pragma once
#include <string>

#include "config/networks.hpp"
#include "http/message.hpp"

namespace stsync::webhook {

/// The address a request comes from: that of the connection ("address:port"), or, where that is a trusted proxy, the last one in
/// X-Forwarded-For that is not. What stands before it is the sender's own claim.
std::string peer_of(const std::string& connection, const http::Headers& headers, const config::Networks& trusted);

}  // namespace stsync::webhook
