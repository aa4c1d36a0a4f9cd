#include "sync/open_files.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "limits/scheduler.hpp"

namespace stsync::sync {
namespace {

/// The program, the log, the loop, its member of the group, who asks for metrics, a page in a file. Measured: 21, and 2 for calls.
constexpr std::uint64_t kProgram = 40;
/// A transactional producer, and a reader while it restores: pipes and connections to a few brokers. Measured: 8 with one.
constexpr std::uint64_t kLane = 20;

}  // namespace

FilesNeeded files_needed(const config::Config& config) {
  std::size_t tenants = 0;
  for (const auto& app : config.apps) tenants += app.tenants.size();
  // A tenant has a few calls under way at once; all of them together as many as the scheduler lets by.
  const auto calls = std::min<std::size_t>(8 * tenants, limits::Scheduler::kConnections);
  return {kProgram + kLane, kProgram + kLane * static_cast<std::uint64_t>(config.kafka.partitions) + calls};
}

std::string short_of_files(std::uint64_t limit, const FilesNeeded& needed) {
  if (limit < needed.least)
    return fmt::format(
        "the system lets this process have {} files and connections open, a worker needs {} to start and {} with all "
        "of its partitions: raise the limit (ulimit -n, LimitNOFILE)",
        limit, needed.least, needed.all);
  if (limit < needed.all)
    return fmt::format(
        "the system lets this process have {} files and connections open, a worker with all of its partitions needs "
        "{}: it will be slow then; raise the limit (ulimit -n, LimitNOFILE)",
        limit, needed.all);
  return {};
}

}  // namespace stsync::sync
