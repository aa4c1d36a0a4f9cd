#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>

#include "http/client.hpp"

namespace stsync::http {

/// How long a response may still take: decides from the bytes that come and the time, and touches no socket. A peer that drips is
/// as good as one that is silent, so neither a header nor a body lives on single bytes.
class ReadPace {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// The request is written (or at least begun) at `sent`.
  ReadPace(const ExchangeLimits& limits, Time sent)
      : limits_(limits),
        end_(after(sent, limits.total)),
        first_(std::min(end_, after(sent, limits.first_byte))),
        deadline_(first_) {}

  /// When the connection is to be closed unless something comes before.
  Time deadline() const noexcept { return deadline_; }

  /// Bytes of a header have come; several calls for one header are fine.
  void header_bytes(Time now) {
    if (in_header_) return;
    in_header_ = true;
    deadline_ = std::min(first_, after(now, limits_.header));
  }
  /// The header was that of an interim answer: what follows may take its time again.
  void interim_over() {
    in_header_ = false;
    deadline_ = first_;
  }
  /// The header of the response is whole.
  void body_begins(Time now) { new_span(now); }
  /// A part of a body that is too large for memory is on the disk. What took us so long is not the peer's fault, and the more
  /// comes the longer it may take in total, as long as it is a MiB a second.
  void body_spooled(std::size_t n, Time now) {
    end_ = after(end_, std::chrono::duration_cast<core::Duration>(n * kSpooledByte));
    new_span(now);
  }
  void body_bytes(std::size_t n, Time now) {
    came_ += n;
    if (came_ >= limits_.min_body) new_span(now);
  }

 private:
  static Time after(Time from, core::Duration d) {
    return from + std::min(std::chrono::duration_cast<Time::duration>(d), Time::max() - from);
  }
  void new_span(Time now) {
    came_ = 0;
    deadline_ = std::min(end_, after(now, limits_.idle_body));
  }

  const ExchangeLimits limits_;
  static constexpr std::chrono::nanoseconds kSpooledByte{1'000'000'000 >> 20};

  Time end_;
  const Time first_;
  Time deadline_;
  bool in_header_ = false;
  std::size_t came_ = 0;
};

}  // namespace stsync::http
