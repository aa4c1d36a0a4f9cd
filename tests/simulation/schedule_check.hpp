#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "core/clock.hpp"
#include "simulation/checker.hpp"

namespace stsync::simulation {

/// A run of a schedule, as the status `accepted` tells of it.
struct ToldRun {
  core::WallTime due;
  std::int64_t missed = 0;  ///< that it stands for
};
/// Nothing: the job was not begun by a schedule.
std::optional<ToldRun> told_run(const v1::StatusEvent& accepted);

/// What the schedules of a scenario ask for.
config::Schedule every_minute();

/// A line for each run of every_minute() that came twice, was left out, or is overdue at the end.
std::vector<std::string> check_runs(const StatusReader& statuses, core::WallTime end);

}  // namespace stsync::simulation
