#pragma once
// Ways in which a server may count calls against a quota of so many a second. A refused call does not count.
#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>

#include "core/clock.hpp"

namespace stsync::limits::test {

using core::Duration;
using core::TimePoint;

class Server {
 public:
  virtual ~Server() = default;
  /// A call arrives; calls come in the order of their time.
  virtual bool allow(TimePoint arrival) = 0;
};

/// So many in each second of its clock.
class FixedWindow final : public Server {
 public:
  explicit FixedWindow(std::size_t quota) : quota_(quota) {}
  bool allow(TimePoint arrival) override {
    const auto second = std::chrono::floor<std::chrono::seconds>(arrival.time_since_epoch());
    if (second != second_) count_ = 0;
    second_ = second;
    if (count_ >= quota_) return false;
    ++count_;
    return true;
  }

 private:
  std::size_t quota_, count_ = 0;
  std::chrono::seconds second_{-1};
};

/// So many in any second.
class SlidingWindow final : public Server {
 public:
  explicit SlidingWindow(std::size_t quota) : quota_(quota) {}
  bool allow(TimePoint arrival) override {
    while (!calls_.empty() && arrival - calls_.front() >= std::chrono::seconds(1)) calls_.pop_front();
    if (calls_.size() >= quota_) return false;
    calls_.push_back(arrival);
    return true;
  }

 private:
  std::size_t quota_;
  std::deque<TimePoint> calls_;
};

/// The count of this second and, of the one before, the share that a sliding second would still hold.
class SlidingCounter final : public Server {
 public:
  explicit SlidingCounter(double quota) : quota_(quota) {}
  bool allow(TimePoint arrival) override {
    const auto second = std::chrono::floor<std::chrono::seconds>(arrival.time_since_epoch());
    if (second != second_) {
      before_ = second - second_ == std::chrono::seconds(1) ? count_ : 0;
      count_ = 0;
      second_ = second;
    }
    const auto passed = std::chrono::duration<double>(arrival.time_since_epoch() - second).count();
    if (before_ * (1 - passed) + count_ + 1 > quota_) return false;
    count_ += 1;
    return true;
  }

 private:
  double quota_, before_ = 0, count_ = 0;
  std::chrono::seconds second_{-2};
};

/// Tokens that come back evenly, up to `most` of them.
class TokenBucket final : public Server {
 public:
  TokenBucket(double quota, double most) : quota_(quota), most_(most), tokens_(most) {}
  bool allow(TimePoint arrival) override {
    tokens_ = std::min(most_, tokens_ + std::chrono::duration<double>(arrival - last_).count() * quota_);
    last_ = arrival;
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }

 private:
  double quota_, most_, tokens_;
  TimePoint last_{};
};

}  // namespace stsync::limits::test
