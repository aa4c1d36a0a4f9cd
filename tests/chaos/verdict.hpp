#pragma once
#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "load.hpp"

namespace stsync::chaos {

/// What the topics hold once everything has ended, against the simulator's truth.
struct Verdict {
  std::size_t records = 0;
  std::vector<std::string> problems;  ///< lost, doubled, out of order, torn, behind the end of a job: a line each
  std::vector<std::string> open;      ///< partitions with a transaction that has not ended
};
/// Each of the jobs that completed has published the whole truth, the cancelled ones a beginning and nothing behind their end.
Verdict judge(const test::Stage& stage, const std::set<std::string>& jobs, const Told& told);

}  // namespace stsync::chaos
