#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "simulation/checker.hpp"

namespace stsync::simulation {

/// What people asked of each job by cancel, pause and resume, as far as it was answered `completed`: in the order of the answers,
/// and only what was answered while the job was open. A tenant's statuses stand in one partition, in the order of their
/// transactions.
class Controls {
 public:
  struct Asked {
    v1::Command::ActionCase what = v1::Command::ACTION_NOT_SET;
    std::string by;            ///< id of the command
    std::uint64_t ended = 0;   ///< the order of the answer's transaction
    std::int64_t offset = -1;  ///< of the answer
  };

  Controls(const StatusReader& statuses, const std::vector<v1::Command>& sent);

  /// By "app/tenant/job".
  const std::map<std::string, std::vector<Asked>>& jobs() const noexcept { return jobs_; }
  /// Jobs that wait for somebody to let them go on.
  std::set<std::string> paused() const;
  /// Tenants, "app/tenant", with a pause of all or of a resource that stands, and the id of the last command that made it so: their
  /// jobs, also those to come, wait for somebody to take it back.
  const std::map<std::string, std::string>& standing() const noexcept { return standing_; }
  /// Others wait for the end of this job too: it goes on for them.
  bool followed(const std::string& job) const { return followed_.contains(job); }

 private:
  const StatusReader& statuses_;
  void find_standing(const std::vector<v1::Command>& sent);

  std::map<std::string, std::vector<Asked>> jobs_;
  std::map<std::string, std::string> standing_;
  std::set<std::string> followed_;
};

/// A line for each order that was answered and not followed. `pages`: of each job the transactions that its records came in.
std::vector<std::string> check_controls(const Controls& controls, const StatusReader& statuses,
                                        const std::map<std::string, std::set<std::uint64_t>>& pages);

}  // namespace stsync::simulation
