#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "load.hpp"

namespace stsync::chaos {

/// The jobs of a run. The next round of them begins when the last one has ended, so that there is work until the last fault and
/// little behind it. What a round fetched twice is counted at its end.
class Rounds {
 public:
  explicit Rounds(const test::Stage& stage) : stage_(stage) {}

  /// Sends the jobs and waits for the broker. `kills`: how many faults so far could make a stream be read again from its last
  /// commit.
  void begin(int kills);
  bool ended(const Told& told) const { return told.all_ended(current_); }
  /// Of a round that has ended. `kills`: as many of them by now.
  void count(int kills);

  int number() const noexcept { return number_; }
  /// Of all rounds.
  const std::set<std::string>& jobs() const noexcept { return jobs_; }
  /// More than two pages a stream and kill: a line each.
  const std::vector<std::string>& problems() const noexcept { return problems_; }
  std::int64_t refetched() const noexcept { return refetched_; }
  std::int64_t refetched_of_one() const noexcept { return refetched_of_one_; }

 private:
  const test::Stage& stage_;
  int number_ = 0;
  std::set<std::string> current_, jobs_;
  int kills_ = 0, kills_before_ = 0;  ///< when this and the previous round began: a late fault of that one hits this
  std::vector<std::string> problems_;
  std::int64_t refetched_ = 0, refetched_of_one_ = 0;
};

}  // namespace stsync::chaos
