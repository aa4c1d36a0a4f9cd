#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "http/client.hpp"
#include "tokens/tokens.hpp"

namespace stsync::servicetitan::test {

/// The vendor in memory: answers requests after a while, as told. It outlives its connections.
class Vendor final : public http::Client {
 public:
  struct Seen {
    http::Request request;
    http::ExchangeLimits limits;
    core::TimePoint at;
    bool fresh = false;
  };
  explicit Vendor(core::Clock& c) : clock(c) {}

  boost::asio::awaitable<core::Result<std::unique_ptr<http::Connection>>> connect(http::Origin origin, bool fresh,
                                                                                  core::StopToken) override {
    origins.insert(origin.text());
    ++connects;
    if (connecting > core::Duration(0)) co_await clock.sleep_for(connecting);
    if (unreachable) co_return core::fail(core::ErrorKind::network, "connection refused");
    co_return std::unique_ptr<http::Connection>(std::make_unique<Line>(*this, fresh));
  }
  boost::asio::awaitable<void> close() override { co_return; }

  core::Clock& clock;
  std::vector<Seen> seen;
  std::set<std::string> origins;
  bool unreachable = false;
  core::Duration connecting{};
  int connects = 0;
  /// Pooled connections turn out to be closed.
  bool all_stale = false;
  core::Duration takes = std::chrono::milliseconds(50);
  std::function<core::Duration(const http::Request&)> takes_for;  ///< instead, where calls differ
  std::function<core::Result<http::Response>(const http::Request&)> answer;

 private:
  class Line final : public http::Connection {
   public:
    Line(Vendor& vendor, bool fresh) : vendor_(vendor), fresh_(fresh) {}
    boost::asio::awaitable<core::Result<http::Response>> exchange(http::Request request, http::ExchangeLimits limits,
                                                                  core::StopToken stop) override {
      vendor_.seen.push_back({request, limits, vendor_.clock.now(), fresh_});
      const auto signal = vendor_.clock.make_signal();
      const auto on_stop = stop.on_stop([&signal] { signal->notify(); });
      const auto pause = vendor_.takes_for ? vendor_.takes_for(request) : vendor_.takes;
      if (stop.stop_requested() || co_await signal->wait_until(vendor_.clock.now() + pause) == core::Wake::notified)
        co_return core::fail(core::ErrorKind::cancelled, "stopped");
      if (stale()) co_return core::fail(core::ErrorKind::network, "closed");
      auto response = vendor_.answer(request);
      if (response && response->body.size() > limits.max_body) co_return core::fail(core::ErrorKind::too_large, "above its limit");
      co_return response;
    }
    bool reused() const noexcept override { return !fresh_; }
    bool stale() const noexcept override { return !fresh_ && vendor_.all_stale; }

   private:
    Vendor& vendor_;
    bool fresh_;
  };
};

/// Tokens "t1", "t2", … or a failure.
class TokenDesk final : public tokens::TokenSource {
 public:
  boost::asio::awaitable<core::Result<tokens::Fetched>> fetch(tokens::Account, core::StopToken) override {
    ++fetches;
    if (failures > 0) {
      --failures;
      co_return core::fail(failure);
    }
    co_return tokens::Fetched{core::Secret("t" + std::to_string(fetches)), std::chrono::seconds(900)};
  }
  int fetches = 0;
  int failures = 0;
  core::Error failure{core::ErrorKind::server, "down"};
};

}  // namespace stsync::servicetitan::test
