#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "stage/stage.hpp"

namespace stsync::chaos {

inline constexpr std::int64_t kFirstTenant = 1001;
inline constexpr std::uint64_t kTenants = 8;

/// Those of kBulk.
const std::vector<std::string>& resources();
/// Of the round'th `full` of it.
std::string job_id(int round, std::int64_t tenant, const std::string& resource);

/// Asks for everything of every tenant. The ids of the jobs.
std::set<std::string> send_round(const test::Stage& stage, int round);

struct Control {
  std::string action;    ///< pause, resume or cancel
  std::string of{"{}"};  ///< {"resource":"…"}, {"job":"…"} or {}: all of the tenant
};
/// In this order. A broker that is away is waited for.
void send_controls(const test::Stage& stage, std::int64_t tenant, const std::vector<Control>& controls);

/// What the status events say of jobs.
struct Told {
  std::map<std::string, std::string> last;        ///< event of each job, as it is told
  std::map<std::string, std::string> ended;       ///< completed, failed or cancelled
  std::map<std::string, std::int64_t> cancelled;  ///< when that was handed to Kafka, in ms
  std::map<std::string, std::string> failed;      ///< with what
  std::vector<std::string> illegal;               ///< a line each: transitions that no job may make

  bool all_ended(const std::set<std::string>& jobs) const;
};
Told read_statuses(const test::Stage& stage);

}  // namespace stsync::chaos
