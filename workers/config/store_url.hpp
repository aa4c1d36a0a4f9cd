#pragma once
#include <string>
#include <string_view>

#include "core/error.hpp"

namespace stsync::config {

/// Where the store is: redis://[user@]host[:port][/db][?prefix=…] or unix:///path[?db=…&prefix=…].
struct StoreAddress {
  std::string host;  ///< without brackets; empty: `socket` is meant
  int port = 6379;
  std::string socket;
  std::string user;
  int database = 0;
  std::string prefix = "stsync:";  ///< of every key

  /// For logs: host and port, or the path.
  std::string text() const;
};

/// bad_config, with what is wrong but never the URL itself: somebody may have put a password there, which is refused.
core::Result<StoreAddress> parse_store_url(std::string_view url);

}  // namespace stsync::config
