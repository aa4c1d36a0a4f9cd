#pragma once
#include <cstddef>
#include <cstdint>

#include "sim/store.hpp"

namespace stsync::sim {

/// How often something happened to rows.
struct Churned {
  std::size_t changed = 0, vanished = 0, appeared = 0;
};

/// Lets `count` things happen to the rows of a resource: in the main some change, several of them at the same moment; some vanish,
/// some appear. The same seed does the same. Single objects only change, and others too where `only_changes` says so.
Churned churn(Store& store, Dataset& dataset, std::size_t count, std::uint64_t seed, Ticks now, bool only_changes = false);

}  // namespace stsync::sim
