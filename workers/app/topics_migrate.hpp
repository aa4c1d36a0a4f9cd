#pragma once
#include "app/commands.hpp"
#include "app/setup.hpp"

namespace stsync::app {

/// Lets the commands and the journal grow to `kafka.partitions`, with every tenant's jobs and cursors moved to the partition that
/// its commands come to from then on. Returns the exit code.
int migrate_topics(const Setup& setup, const TopicsOptions& options);

}  // namespace stsync::app
