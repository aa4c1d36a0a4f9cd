#pragma once
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "simulation/checker.hpp"
#include "simulation/scenario.hpp"
#include "simulation/sim_worker.hpp"
#include "support/virtual_clock.hpp"

namespace stsync::simulation {

/// Workers, broker, vendor and people who send commands, on one virtual clock.
class World {
 public:
  explicit World(const Scenario& scenario);
  ~World();
  Report play();

 private:
  struct Slot {
    std::unique_ptr<SimWorker> worker;  ///< null: to be started at `start_at`
    core::TimePoint start_at{};
    core::TimePoint thaw_at{};
  };

  // What happens (world_events.cpp).
  void something_happens();
  void keep_to_script(core::Duration since_start);
  void happen(const Happening& happening);
  void disturb_worker();
  void control_in_trouble();
  void disturb_broker();
  void disturb_vendor();
  void calm_down();
  void keep_workers_up();
  void replace(Slot& slot, core::Duration pause);
  void kill(Slot& slot);

  // Commands (world_commands.cpp).
  void send_some_command();
  void send_sync(v1::Mode mode);
  void send_cursor();
  void send_control(const v1::Command& other);
  v1::Command some_recent_command();
  void resume_the_paused();
  void send_again();
  v1::Command command_for(std::int64_t tenant);
  void send(const v1::Command& command, bool wrong_place = false);

  static const servicetitan::Catalogue& catalogue();
  void make_topics();
  void fill_vendor();
  bool check_call(const Link& link, std::int64_t tenant);
  void read_statuses();
  bool all_ended();
  Report end_of(core::TimePoint start);
  void finish();
  bool wait_for(const std::function<bool()>& done, core::Duration limit, const char* what);
  std::uint64_t fingerprint() const;
  bool chance(double p) { return rng_.unit() < p; }
  core::Duration between(core::Duration low, core::Duration high);
  std::int64_t some_tenant();
  std::string some_resource();
  boost::asio::awaitable<void> broker_time();
  boost::asio::awaitable<void> write_marks(core::Duration after);

  const Scenario s_;
  boost::asio::io_context loop_;
  test::VirtualClock clock_{loop_};
  core::Rng rng_;
  config::Config config_;
  SimCluster cluster_;
  VendorModel vendor_;
  StatusReader statuses_;
  std::vector<v1::Command> sent_;
  std::set<std::string> misplaced_;    ///< ids of those on the wrong partition
  std::set<std::string> resumed_;      ///< jobs that were let go on at the end
  std::set<std::string> followed_on_;  ///< jobs that follow one whose cursor was lost
  std::vector<Slot> slots_;
  std::vector<std::unique_ptr<SimWorker>> gone_;  ///< killed, or replaced by a twin
  core::TaskGroup tasks_;
  std::size_t happened_ = 0;  ///< of the script
  core::Duration marking_{};  ///< the longest time until the marks of a transaction are written
  bool over_ = false;
  Report report_;
};

}  // namespace stsync::simulation
