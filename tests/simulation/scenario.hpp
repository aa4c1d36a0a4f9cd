#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "simulation/cluster.hpp"

namespace stsync::simulation {

/// Something that happens at its moment, not by chance.
struct Happening {
  enum class What {
    broker_away,        ///< nobody answers
    coordinator_moves,  ///< that of the transactions
    group_moves,
    worker_killed,   ///< and started again `lasts` later
    worker_frozen,   ///< SIGSTOP, SIGCONT
    worker_stopped,  ///< SIGTERM, and started again some seconds later
  };
  core::Duration at{};  ///< from the beginning
  What what = What::broker_away;
  core::Duration lasts{};
};

/// What happens in one run of a world; all of it follows from the seed.
struct Scenario {
  std::uint64_t seed = 0;
  int workers = 1;
  int tenants = 1;
  bool static_ids = false;
  core::Duration length = std::chrono::minutes(3);  ///< of the part with faults
  bool stops = false;                               ///< SIGTERM, and a new one later
  bool kills = false;                               ///< kill -9
  bool freezes = false;           ///< SIGSTOP for longer than a session now and then; with static ids also while a twin takes over
  bool isolations = false;        ///< one of them does not reach the broker
  bool broker = false;            ///< requests and answers are lost or late, transactions aborted, the broker is away
  bool vendor = false;            ///< 429, 5xx, resets
  bool controls = false;          ///< cancel, pause, resume; the same command twice; commands on the wrong partition
  bool little_memory = false;     ///< for a few pages at a time
  bool schedules = false;         ///< tenants have schedules of a minute
  Trouble trouble;                ///< with the broker, from the beginning
  core::Duration marking{};       ///< the longest time until a transaction that has ended is seen by readers, from the beginning
  std::vector<Happening> script;  ///< by time
  Bugs bugs;

  static Scenario of(std::uint64_t seed);
  /// One worker, one tenant, nothing wrong.
  static Scenario calm(std::uint64_t seed);
};

struct Report {
  std::vector<std::string> problems;
  std::uint64_t fingerprint = 0;  ///< of everything on the topics
  std::size_t commands = 0, records = 0, transactions = 0, kills = 0, freezes = 0, doubts = 0, aborts = 0;
  std::size_t runs = 0;         ///< of schedules
  std::size_t unreachable = 0;  ///< requests to a broker that was away
  int calls = 0;                ///< to the vendor
  core::Duration virtual_time{};
};

Report play(const Scenario& scenario);

}  // namespace stsync::simulation
