#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "sync/commit_pacer.hpp"

namespace stsync::sync {

/// Who gets what of worker.max_memory, in bytes. What is left is for what a page needs while it is inflated, for the program and
/// for librdkafka. Pure.
class MemoryShares {
 public:
  explicit MemoryShares(std::uint64_t max_memory) : max_(static_cast<std::size_t>(max_memory)) {}

  /// Of pages. Jobs that came with lanes that were taken over may take more than their share: then pages make room.
  std::size_t pages(std::size_t open_jobs) const { return less(max_ / 10 * 6, excess(open_jobs)); }
  /// Of jobs to come, where those that have not ended take `open_jobs`.
  std::size_t free_for_jobs(std::size_t open_jobs) const { return less(of_open_jobs(), open_jobs); }
  /// Of finished jobs that a lane remembers, where the worker has so many lanes.
  std::size_t finished_jobs(std::size_t lanes) const { return std::max(kLeast, max_ / 10) / std::max<std::size_t>(lanes, 1); }
  /// Of commands that a lane has read and not yet answered: until Kafka has taken those, it reads no more.
  std::size_t commands(std::size_t lanes) const {
    return std::clamp(max_ / 64 / std::max<std::size_t>(lanes, 1), kLeastCommands, CommitPacer::kBytes);
  }

 private:
  /// A lane works however little is configured.
  static constexpr std::size_t kLeast = 1u << 20, kLeastCommands = 256u << 10;
  static std::size_t less(std::size_t from, std::size_t what) { return from - std::min(from, what); }
  std::size_t of_open_jobs() const { return std::max(kLeast, max_ / 10 * 2); }
  std::size_t excess(std::size_t open_jobs) const { return less(open_jobs, of_open_jobs()); }

  std::size_t max_;
};

}  // namespace stsync::sync
