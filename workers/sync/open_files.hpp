#pragma once
#include <cstdint>
#include <string>

#include "config/config.hpp"

namespace stsync::sync {

/// How many files, sockets and pipes a worker holds open at once.
struct FilesNeeded {
  std::uint64_t least;  ///< to start, to own one partition and to call the vendor for it
  std::uint64_t all;    ///< to own every partition and to have as many calls under way as there can be
};
FilesNeeded files_needed(const config::Config& config);

/// What the limit means where it is below the need, in a sentence; empty where it is not.
std::string short_of_files(std::uint64_t limit, const FilesNeeded& needed);

}  // namespace stsync::sync
