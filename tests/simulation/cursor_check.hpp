#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "simulation/checker.hpp"

namespace stsync::simulation {

// What people did to cursors, and whether it had its effect. Streams are "tenant/resource".

/// Of a feed: rows before this one need not be published, because somebody has set the cursor behind them. 0: nobody has.
std::int64_t skipped_rows(const StatusReader& statuses, const std::vector<v1::Command>& sent, const std::string& stream);
/// The same of a list.
core::WallTime skipped_time(const StatusReader& statuses, const std::vector<v1::Command>& sent, const std::string& stream);

/// A line for each cursor that was set and from which the next incremental of its feed did not begin. `first_rows`: of each job the
/// n that it begins with. Only orders that no job of the stream was running at are looked at.
std::vector<std::string> check_cursor_orders(const StatusReader& statuses, const std::vector<v1::Command>& sent,
                                             const std::map<std::string, std::int64_t>& first_rows);

}  // namespace stsync::simulation
