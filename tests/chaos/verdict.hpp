#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "stage/stage.hpp"

namespace stsync::chaos {

/// What the topics hold once everything has ended, against the simulator's truth.
struct Verdict {
  std::size_t records = 0;
  std::vector<std::string> problems;  ///< lost, doubled, out of order, torn: a line each
  std::vector<std::string> open;      ///< partitions with a transaction that has not ended
  std::int64_t refetched = 0;         ///< pages asked for more than once, of all streams
  std::int64_t refetched_of_one = 0;  ///< of the stream with the most
};
Verdict judge(const test::Stage& stage);

}  // namespace stsync::chaos
