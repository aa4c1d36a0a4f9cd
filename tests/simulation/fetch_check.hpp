#pragma once
#include <string>
#include <vector>

#include "simulation/checker.hpp"

namespace stsync::simulation {

/// A line for each job over a feed that fetched pages again without a reason: whenever its lane is taken over, or it is paused, two
/// pages may be lost, one that waits to be committed and one that is fetched ahead (design 4.6).
std::vector<std::string> check_fetches(const VendorModel& vendor, const SimCluster& cluster, const StatusReader& statuses,
                                       const std::vector<v1::Command>& sent, int partitions);

}  // namespace stsync::simulation
