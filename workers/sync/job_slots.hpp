#pragma once
#include <algorithm>
#include <cstddef>
#include <map>
#include <string>

namespace stsync::sync {

/// Which tenants' jobs run at once in a lane. Pure. A tenant's first job always does, because a job may hold its slot for hours
/// and nobody is to wait for another's. Further ones get as many slots as are still free, up to what fills a quota: a job makes
/// one call at a time, and 32 at half a second a call are the 60 a second that a tenant may make.
class JobSlots {
 public:
  static constexpr std::size_t kMost = 512, kOfTenant = 32;

  bool may_take(const std::string& tenant) const {
    const auto at = taken_.find(tenant);
    if (at == taken_.end()) return true;
    return at->second < std::min(kOfTenant, kMost - std::min(kMost, all_));
  }
  /// So many are taken that a slot given back may be another tenant's.
  bool scarce() const noexcept { return all_ + kOfTenant > kMost; }
  void take(const std::string& tenant) {
    ++taken_[tenant];
    ++all_;
  }
  void give_back(const std::string& tenant) {
    --all_;
    if (const auto at = taken_.find(tenant); --at->second == 0) taken_.erase(at);
  }

 private:
  std::map<std::string, std::size_t> taken_;
  std::size_t all_ = 0;
};

}  // namespace stsync::sync
