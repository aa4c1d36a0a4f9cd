#pragma once
#include <boost/asio/awaitable.hpp>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/secret.hpp"
#include "core/stop.hpp"
#include "tokens/account.hpp"

namespace stsync::tokens {

struct Fetched {
  core::Secret token;
  core::Duration life{};  ///< as the vendor says, odd values included
  bool fallback = false;  ///< with credentials that worked before: those that are configured now are refused
};

/// Asks the vendor for a token. Loop thread only.
class TokenSource {
 public:
  virtual ~TokenSource() = default;
  /// One request to the token endpoint. Errors: unauthorized (the client is refused), throttled and server with the wait that was
  /// asked for, bad_config, anything of http.
  virtual boost::asio::awaitable<core::Result<Fetched>> fetch(Account account, core::StopToken stop) = 0;
  /// After a refusal: whether the next fetch() asks with other credentials than those that were just refused.
  virtual bool has_another(const Account&) const { return false; }
  /// Whether other credentials are configured now than at the last fetch(). Reads files.
  virtual bool changed(const Account&) const { return false; }
};

}  // namespace stsync::tokens
