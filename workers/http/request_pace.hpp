#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>

#include "core/clock.hpp"

namespace stsync::http {

/// How long a sender may take for one request. Zero: no limit of that sort but those around it.
struct RequestLimits {
  core::Duration idle{};    ///< until its first byte
  core::Duration total{};   ///< from its first byte to its last
  core::Duration header{};  ///< from its first byte to the end of its header; the first request of a connection must begin by then
  core::Duration body{};    ///< from the end of its header
  std::size_t bytes_a_second{};  ///< of the body, counted over all of it
};

/// When the connection of a request that is being read is to be closed: decides from what has come and the time, and touches no
/// socket. Who drips is as good as one who is silent.
class RequestPace {
 public:
  using Time = std::chrono::steady_clock::time_point;

  RequestPace(const RequestLimits& limits, bool first_of_connection, Time now) : limits_(limits) {
    auto wait = limits.idle;
    if (first_of_connection && limits.header.count() > 0) wait = std::min(wait, limits.header);
    deadline_ = after(now, wait);
  }

  Time deadline() const noexcept { return deadline_; }

  void begun(Time now) {
    end_ = after(now, limits_.total);
    deadline_ = std::min(end_, limit(now, limits_.header));
  }
  void header_done(Time now) {
    header_done_ = now;
    end_ = std::min(end_, limit(now, limits_.body));
    body_bytes(0);
  }
  /// So many have come in all.
  void body_bytes(std::size_t n) {
    deadline_ = end_;
    if (limits_.bytes_a_second == 0) return;
    const auto owed = std::chrono::nanoseconds(std::chrono::seconds(1)) * n / limits_.bytes_a_second;
    deadline_ = std::min(end_, after(header_done_, kGrace + owed));
  }

 private:
  /// A network may hold a packet back for as long.
  static constexpr core::Duration kGrace = std::chrono::seconds(2);

  static Time after(Time from, core::Duration d) {
    return from + std::min(std::chrono::duration_cast<Time::duration>(d), Time::max() - from);
  }
  static Time limit(Time from, core::Duration d) { return d.count() > 0 ? after(from, d) : Time::max(); }

  const RequestLimits limits_;
  Time deadline_;
  Time end_ = Time::max();
  Time header_done_{};
};

}  // namespace stsync::http
