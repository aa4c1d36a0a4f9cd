#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.hpp"
#include "simulation/list_model.hpp"
#include "stsync/v1/command.pb.h"

namespace stsync::simulation {

/// What jobs over one list of one tenant must have published, by what the list was at each moment.
class ListCheck {
 public:
  struct Job {
    std::string name;
    v1::Mode mode = v1::incremental;
    core::WallTime from, to;  ///< mode window
    core::WallTime started, ended;
    bool completed = false;
    std::vector<std::pair<std::string, std::string>> records;  ///< key and value
    std::vector<std::string> markers;                          ///< values; one a partition
  };
  ListCheck(const ListModel& list, std::int64_t tenant, core::Duration settle, std::size_t partitions)
      : list_(list), tenant_(tenant), settle_(settle), partitions_(partitions) {}

  void add(const Job& job);
  /// What changed before the watermark was published as it is now, but for what changed before `skipped`: there somebody has set
  /// it.
  void check_watermark(core::WallTime watermark, core::WallTime skipped);
  const std::vector<std::string>& problems() const noexcept { return problems_; }

 private:
  using Rows = std::map<std::int64_t, std::size_t>;  ///< id to version

  Rows read_rows(const Job& job);
  void check_window(const Job& job, const Rows& rows);
  void check_snapshot(const Job& job, const Rows& rows);
  bool was_so(const std::set<std::int64_t>& moment, const Rows& rows, std::size_t count) const;
  void wrong(const Job& job, const std::string& what);

  const ListModel& list_;
  const std::int64_t tenant_;
  const core::Duration settle_;
  const std::size_t partitions_;
  std::set<std::pair<std::int64_t, std::size_t>> published_;
  std::vector<std::string> problems_;
};

/// The number behind "name": in a row; -1: none.
std::int64_t number_in(const std::string& row, const std::string& name);

}  // namespace stsync::simulation
