#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/stop.hpp"

namespace stsync::http {

using Addresses = std::vector<boost::asio::ip::address>;
/// Calls `done` once, later, on the loop: with addresses or with an error.
using Lookup = std::function<void(const std::string& host, std::function<void(boost::system::error_code, Addresses)> done)>;
/// getaddrinfo, on asio's thread for it.
Lookup system_lookup(boost::asio::any_io_executor loop);

/// Host names to addresses, kept for a short time; one look-up per name at a time. An old answer is better than none: when a
/// look-up fails or takes long, the addresses known before are given. getaddrinfo cannot be stopped, so a caller that stops
/// waiting leaves it behind and its late answer only fills the cache. Loop thread only.
class NameCache {
 public:
  NameCache(boost::asio::any_io_executor loop, core::Clock& clock, Lookup lookup);
  ~NameCache();

  /// The addresses to try, in this order. Errors: network (unknown name), timeout (nothing within `limit`), cancelled. Where old
  /// addresses stand in, they come within half of `limit`, so that there is time left to connect.
  boost::asio::awaitable<core::Result<Addresses>> resolve(std::string host, core::Duration limit, core::StopToken stop);
  /// This address of the host works: it comes first from now on.
  void prefer(const std::string& host, const boost::asio::ip::address& address);
  /// None of the host's addresses works: the next resolve() asks again.
  void doubt(const std::string& host);

 private:
  struct Entry;
  void look_up(const std::string& host, const std::shared_ptr<Entry>& entry);

  boost::asio::any_io_executor loop_;
  core::Clock& clock_;
  Lookup lookup_;
  std::map<std::string, std::shared_ptr<Entry>> entries_;
};

}  // namespace stsync::http
