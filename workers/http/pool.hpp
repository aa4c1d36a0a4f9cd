#pragma once
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/stop.hpp"
#include "http/client.hpp"
#include "http/names.hpp"
#include "http/transport.hpp"

namespace stsync::http {

/// Connections by origin: idle ones, a count of those in use, and callers in the order they came when the count is at its limit.
/// Shared by the client and every lease, so it lives as long as any of them. Loop thread only.
class Pool : public std::enable_shared_from_this<Pool> {
 public:
  Pool(boost::asio::any_io_executor loop, core::Clock& clock, std::shared_ptr<boost::asio::ssl::context> tls, ClientOptions options,
       Lookup lookup);
  ~Pool();

  /// The right to one connection of an origin, and the connection itself. The destructor gives both back.
  class Lease {
   public:
    Lease(std::shared_ptr<Pool> pool, Origin origin) : pool_(std::move(pool)), origin_(std::move(origin)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease();
    Transport& transport() noexcept { return *transport_; }
    const Origin& origin() const noexcept { return origin_; }
    const ClientOptions& options() const noexcept { return pool_->options_; }
    bool reused = false;
    bool reusable = true;  ///< may the connection serve another caller

   private:
    friend class Pool;
    std::shared_ptr<Pool> pool_;
    Origin origin_;
    std::unique_ptr<Transport> transport_;
  };

  boost::asio::awaitable<core::Result<std::unique_ptr<Lease>>> lease(Origin origin, bool fresh, core::StopToken stop);
  boost::asio::awaitable<void> close();

 private:
  struct Idle {
    std::unique_ptr<Transport> transport;
    core::TimePoint since;
  };
  struct Waiter {  ///< leaves the queue with its scope
    Waiter(Pool& p, Origin o);
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    ~Waiter();
    Pool& pool;
    Origin origin;
    std::unique_ptr<core::Signal> signal;
    bool granted = false;
  };
  struct Lane {
    std::vector<Idle> idle;  // oldest first
    std::size_t leased = 0;
    std::deque<Waiter*> waiting;
  };

  boost::asio::awaitable<core::Result<std::unique_ptr<Lease>>> take_place(Origin origin, core::StopToken stop);
  boost::asio::awaitable<core::Result<std::unique_ptr<Transport>>> dial(Origin origin, core::StopToken stop);
  boost::asio::awaitable<core::Result<void>> connect(std::unique_ptr<Transport>& transport, Origin origin, core::StopToken stop);
  boost::asio::awaitable<core::Result<void>> secure(Transport& transport, Origin origin);
  std::unique_ptr<Transport> take_idle(Lane& lane);
  void give_back(const Origin& origin, std::unique_ptr<Transport> transport);
  void forget_if_empty(const Origin& origin);
  void drop_old();

  boost::asio::any_io_executor loop_;
  core::Clock& clock_;
  std::shared_ptr<boost::asio::ssl::context> tls_;
  ClientOptions options_;
  NameCache names_;
  std::map<Origin, Lane> lanes_;
  std::unique_ptr<core::Signal> returned_;
  bool closing_ = false;
};

}  // namespace stsync::http
