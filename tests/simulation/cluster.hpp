#pragma once
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>

#include "core/clock.hpp"
#include "core/rng.hpp"
#include "kafka/producer.hpp"
#include "simulation/broker_model.hpp"
#include "simulation/network.hpp"

namespace stsync::simulation {

/// Mistakes that a worker's clients could make, to see that the checks find them.
struct Bugs {
  bool offset_outside = false;     ///< the offset is committed before its transaction, by itself
  bool journal_to_stable = false;  ///< the journal is read to the last stable offset, before the predecessor is fenced
  bool repeat_in_doubt = false;    ///< a commit without an answer counts as aborted: it is done again
  bool trust_late_commit = false;  ///< a producer goes on although a copy of its EndTxn may still be on its way
  bool trust_late_abort = false;   ///< the same after an abort
  bool forget_lease = false;       ///< membership counts as confirmed, however long nothing was heard
};

/// What was told of a commit() and how much was in it. For the checks.
struct BatchRecord {
  std::size_t messages = 0;
  std::optional<kafka::Outcome> told;
};

/// What the workers of a world share.
struct SimCluster {
  SimCluster(boost::asio::any_io_executor executor, core::Clock& world, core::Rng& random, std::string commands, int partitions)
      : loop(std::move(executor)),
        clock(world),
        rng(random),
        broker(std::move(commands), partitions),
        network(loop, world, random) {}

  boost::asio::any_io_executor loop;
  core::Clock& clock;
  core::Rng& rng;
  BrokerModel broker;
  Network network;
  Bugs bugs;
  std::size_t most_publishing = 0;                        ///< bytes of records that one worker had in its open transactions
  std::map<std::uint64_t, BatchRecord> batches;           ///< by number, from 1
  std::multimap<std::int32_t, core::WallTime> takeovers;  ///< when lanes took each partition over
  std::list<core::Signal*> fetchers;                      ///< told when a partition has changed; a list, so that a seed replays
};

/// One worker's way into it.
struct Port {
  SimCluster& cluster;
  core::Clock& clock;  ///< the worker's
  std::shared_ptr<Link> link;

  /// One try. Nothing: no answer.
  template <class F>
  boost::asio::awaitable<std::optional<std::invoke_result_t<F&>>> ask(F carry_out,
                                                                      core::Duration timeout = std::chrono::seconds(10),
                                                                      bool may_be_late = false) const {
    return cluster.network.ask(link, clock, timeout, std::move(carry_out), may_be_late);
  }
  bool dead() const noexcept { return link->dead; }
};

}  // namespace stsync::simulation
