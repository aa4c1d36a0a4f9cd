#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "sim/rows.hpp"

namespace stsync::sim {

/// What the reports of the simulated vendor look like: every report has the same columns and parameters, and rows that follow from
/// the seed, the report and the parameters. Pure.
struct ReportLayout {
  static constexpr std::size_t kColumns = 6;
  /// The parameters' dynamic value set.
  static constexpr std::string_view kValueSet = "business-units";
};

/// The answer of a definition: facts 7.
void append_report_definition(std::string& out, const RowFacts& report);
/// "fields" of data; `swapped` tells another layout with the same names.
std::string report_fields(bool swapped);
/// One row: an array of cells.
void append_report_row(std::string& out, std::uint64_t seed, std::uint64_t row, bool swapped);

/// The runs of one tenant's reports: their quota and those that are under way. Loop thread only.
class ReportDesk {
 public:
  /// One run of the same report in each `window`.
  explicit ReportDesk(core::Duration window, core::Duration slow) : window_(window), slow_(slow) {}

  /// How long a run of this report has to wait; nothing: it begins now.
  std::optional<core::Duration> refuse(const std::string& report, core::TimePoint now);

  /// An asynchronous run; the token to ask with.
  std::string begin(std::string body, core::TimePoint now);
  enum class State { unknown, under_way, ready };
  State state(const std::string& token, core::TimePoint now) const;
  const std::string& result(const std::string& token) const { return runs_.at(token).body; }
  /// Whether there was such a run.
  bool forget(const std::string& token) { return runs_.erase(token) > 0; }
  std::size_t under_way() const noexcept { return runs_.size(); }

  bool swapped = false;  ///< the columns stand in another order from now on

 private:
  struct Run {
    std::string body;
    core::TimePoint ready;
  };
  core::Duration window_, slow_;
  std::map<std::string, core::TimePoint> last_;
  std::map<std::string, Run> runs_;
  std::uint64_t begun_ = 0;
};

}  // namespace stsync::sim
