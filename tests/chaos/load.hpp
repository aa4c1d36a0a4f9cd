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

/// Asks for everything of kBulk of every tenant, once. The ids of the jobs.
std::set<std::string> send_full(const test::Stage& stage);
/// "pause", "resume" or "cancel" of all jobs of a tenant. A broker that is away is waited for.
void send_control(const test::Stage& stage, const std::string& action, std::int64_t tenant);

/// What the status events say of jobs.
struct Told {
  std::map<std::string, std::string> last;  ///< event of each job, as it is told
  std::set<std::string> ended;              ///< completed, failed or cancelled
  std::set<std::string> failed;             ///< "id: code message"
  std::vector<std::string> illegal;         ///< a line each: transitions that no job may make
};
Told read_statuses(const test::Stage& stage);

}  // namespace stsync::chaos
