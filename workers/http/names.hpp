#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/stop.hpp"

namespace stsync::http {

/// Host names to addresses, kept for a short time; one look-up per name at a time. An old answer is better than none: when a
/// look-up fails, the addresses known before are given. getaddrinfo cannot be stopped, so a caller that stops waiting leaves it
/// behind and its late answer only fills the cache. Loop thread only.
class NameCache {
 public:
  NameCache(boost::asio::any_io_executor loop, core::Clock& clock);
  ~NameCache();

  /// Errors: network (unknown name), timeout (nothing within `limit`), cancelled.
  boost::asio::awaitable<core::Result<std::vector<boost::asio::ip::address>>> resolve(std::string host, core::Duration limit,
                                                                                      core::StopToken stop);

 private:
  struct Entry;
  static void look_up(const boost::asio::any_io_executor& loop, const std::string& host, core::TimePoint now,
                      const std::shared_ptr<Entry>& entry);

  boost::asio::any_io_executor loop_;
  core::Clock& clock_;
  std::map<std::string, std::shared_ptr<Entry>> entries_;
};

}  // namespace stsync::http
