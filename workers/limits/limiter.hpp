#pragma once
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/stop.hpp"
#include "limits/gcra.hpp"

namespace stsync::limits {

/// One quota: callers stand in a line and leave one by one; nobody overtakes, nobody asks twice. Loop thread only.
class Bucket {
 public:
  Bucket(core::Clock& clock, double per_second) : clock_(clock), gcra_(per_second) {}
  Bucket(const Bucket&) = delete;
  Bucket& operator=(const Bucket&) = delete;

  /// Waits for its turn; how long it took. `cancelled` when stop was asked first. The permit is for the moment it is given: send
  /// at once.
  boost::asio::awaitable<core::Result<core::Duration>> acquire(core::StopToken stop);
  /// The vendor answered 429: the whole bucket waits, `retry_after` or a second, at most five minutes.
  void refused(std::optional<core::Duration> retry_after);
  void answered() { gcra_.answered(); }
  /// No call before `until`.
  void hold(core::TimePoint until);
  std::size_t waiting() const noexcept { return line_.size(); }
  double rate() const { return gcra_.rate(); }

 private:
  void wake_first();

  core::Clock& clock_;
  Gcra gcra_;
  std::list<core::Signal*> line_;
};

/// The buckets of this worker, by app and tenant.
class Limiter {
 public:
  explicit Limiter(core::Clock& clock) : clock_(clock) {}
  Bucket& bucket(const std::string& app, std::int64_t tenant, double per_second);

 private:
  core::Clock& clock_;
  std::map<std::pair<std::string, std::int64_t>, std::unique_ptr<Bucket>> buckets_;
};

}  // namespace stsync::limits
