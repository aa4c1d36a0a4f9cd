#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace stsync::servicetitan {

/// When a report may be run again: the vendor takes one run of the same report a minute and tenant (facts 3), every page being one.
/// What is remembered is a time, so that it can be journalled and goes with the report to another worker. Pure; times are UTC.
class ReportPace {
 public:
  using Milliseconds = std::chrono::milliseconds;
  /// The vendor counts when a call arrives, we when it leaves.
  static constexpr Milliseconds kMargin{100};

  /// `last_run_ms`: 0: it never ran.
  ReportPace(int runs_a_minute, std::int64_t last_run_ms)
      : gap_(Milliseconds(60'000) / std::max(1, runs_a_minute) + kMargin), last_run_ms_(last_run_ms) {}

  /// How long a run has to wait; zero: it may begin. A clock that was set back costs no more than one wait. `at_once`: the last
  /// call was no run, only a refusal counts.
  Milliseconds wait(std::int64_t now_ms, bool at_once = false) const {
    Milliseconds out{0};
    if (last_run_ms_ > 0 && !at_once) out = std::min(gap_, Milliseconds(last_run_ms_ - now_ms) + gap_);
    if (refused_at_ms_ > 0) out = std::max(out, std::min(refusal_, Milliseconds(refused_at_ms_ - now_ms) + refusal_));
    return std::max(out, Milliseconds(0));
  }
  void began(std::int64_t now_ms) {
    last_run_ms_ = now_ms;
    refused_at_ms_ = 0;
  }
  /// 429, with the time that the vendor asks for. It is what it says, and it knows better: our own count is void.
  void refused(std::int64_t now_ms, std::optional<Milliseconds> retry_after) {
    last_run_ms_ = 0;
    refused_at_ms_ = now_ms;
    refusal_ = retry_after.value_or(gap_);
  }
  /// For the journal.
  std::int64_t last_run_ms() const noexcept { return std::max(last_run_ms_, refused_at_ms_); }

 private:
  Milliseconds gap_, refusal_{0};
  std::int64_t last_run_ms_, refused_at_ms_ = 0;
};

}  // namespace stsync::servicetitan
