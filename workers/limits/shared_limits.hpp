#pragma once
#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/run_on.hpp"
#include "core/task_group.hpp"
#include "limits/shared_pace.hpp"

namespace stsync::limits {

/// The limits of this worker that it shares with others: carries what they want to the store, all in one trip, one trip at a time,
/// on a thread of its own. Loop thread only; close() before it is destroyed.
class SharedLimits {
 public:
  struct Hooks {
    /// Slots came or a mode changed: whoever waits for a permit looks at next() again.
    std::function<void()> changed = [] {};
    /// For logs and metrics.
    std::function<void(const std::string& limit, SharedPace::Mode)> switched = [](const std::string&, SharedPace::Mode) {};
    std::function<void(const core::Error&)> trip_failed = [](const core::Error&) {};
  };
  SharedLimits(core::asio::any_io_executor loop, core::Clock& clock, std::unique_ptr<LeaseStore> store, Hooks hooks);
  SharedLimits(const SharedLimits&) = delete;
  SharedLimits& operator=(const SharedLimits&) = delete;

  /// A limit that nobody added before. `waiting`: how many calls stand in line for it now. Lives as long as this object.
  SharedPace& add(SharedPace::Settings settings, SharedPace::MakeLocal make_local, std::function<std::size_t()> waiting);
  /// Somebody began to wait for a limit, or the vendor asked to wait. A pace that is not one of these is nobody's.
  void look(const Pace& pace);
  /// Ends the trip under way and takes leave of the store. No call may leave afterwards. Half a second where nothing answers.
  core::asio::awaitable<void> close();

 private:
  struct Limit {
    SharedPace pace;
    std::function<std::size_t()> waiting;
    std::optional<core::TimePoint> rests_until{};  ///< where it stands in resting_
  };
  void wake(Limit& limit);
  void lay_down();
  core::asio::awaitable<void> run();
  core::asio::awaitable<void> trip(std::vector<LeaseRequest> requests, std::vector<Limit*> asked);
  void start_trip(core::TimePoint now);
  core::TimePoint wakes(core::TimePoint now) const;

  core::Clock& clock_;
  std::unique_ptr<LeaseStore> store_;  ///< only on the thread
  Hooks hooks_;
  core::ThreadPool thread_{"redis", 1};
  std::list<Limit> limits_;
  std::map<const Pace*, Limit*> by_pace_;
  // Thousands of limits may rest: they are not looked at until somebody calls or their time comes.
  std::vector<Limit*> active_;
  std::set<std::pair<core::TimePoint, Limit*>> resting_;
  std::unique_ptr<core::Signal> signal_;
  bool closing_ = false;
  bool changed_ = false;  ///< a mode, since changed() was last called
  bool busy_ = false;
  core::TimePoint give_up_;  ///< the trip under way
  core::TaskGroup tasks_;
};

}  // namespace stsync::limits
