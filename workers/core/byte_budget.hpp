#pragma once
#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/stop.hpp"

namespace stsync::core {

class ByteBudget;

/// Bytes taken out of a budget, given back when it goes away.
class Reservation {
 public:
  Reservation() = default;
  /// `share` is what its owner has out, these bytes among them.
  Reservation(ByteBudget* budget, std::size_t* share, std::size_t bytes) : budget_(budget), share_(share), bytes_(bytes) {}
  Reservation(Reservation&& o) noexcept
      : budget_(std::exchange(o.budget_, nullptr)), share_(o.share_), bytes_(std::exchange(o.bytes_, 0)) {}
  Reservation& operator=(Reservation&& o) noexcept {
    if (this != &o) {
      release();
      budget_ = std::exchange(o.budget_, nullptr);
      share_ = o.share_;
      bytes_ = std::exchange(o.bytes_, 0);
    }
    return *this;
  }
  ~Reservation() { release(); }
  /// Now that the real size is known. May overdraw the budget: what is there is there; others wait until it is made up for.
  void resize(std::size_t bytes);
  void release() { resize(0); }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  ByteBudget* budget_ = nullptr;
  std::size_t* share_ = nullptr;
  std::size_t bytes_ = 0;
};

/// How much memory pages may take, over all jobs of the worker. Who needs a page to go on comes before who fetches ahead; within a
/// class first come, first served. An owner (a tenant) gets no more than it leaves: one whose pages take long would else have all
/// of it out. A request larger than the whole budget is granted when nothing else is out. Loop thread only; outlives its
/// reservations.
class ByteBudget {
 public:
  enum class Need { first, ahead };

  ByteBudget(Clock& clock, std::size_t bytes) : clock_(clock), limit_(bytes) {}
  ByteBudget(const ByteBudget&) = delete;
  ByteBudget& operator=(const ByteBudget&) = delete;

  /// cancelled: stop was asked.
  asio::awaitable<Result<Reservation>> take(std::string owner, std::size_t bytes, Need need, StopToken stop);
  std::size_t used() const noexcept { return used_; }
  /// From now on it holds so much. What is out stays out; others wait until it is made up for.
  void limit(std::size_t bytes);

 private:
  friend class Reservation;
  struct Waiter {
    std::size_t* share;
    std::size_t bytes;
    Need need;
    Signal* signal;
    bool granted = false;
  };
  bool fits(std::size_t bytes) const noexcept { return used_ == 0 || used_ + bytes <= limit_; }
  /// Only of what fits.
  bool fair(std::size_t share, std::size_t bytes) const noexcept { return share == 0 || share + used_ + 2 * bytes <= limit_; }
  void change(std::size_t& share, std::size_t before, std::size_t after);
  void grant();

  Clock& clock_;
  std::size_t limit_;
  std::size_t used_ = 0;
  std::map<std::string, std::size_t> shares_;  ///< bytes that are out, by owner
  std::list<Waiter> line_;                     ///< those that need a first page stand before those that fetch ahead
};

}  // namespace stsync::core
