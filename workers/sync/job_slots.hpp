#pragma once
#include <cstddef>
#include <map>
#include <string>

namespace stsync::sync {

/// Which tenants' jobs run at once in a lane. Pure. A tenant may have as many as are still free: alone it gets half of them, and
/// one that comes later finds room however slow the others are, because a job may hold its slot for hours.
class JobSlots {
 public:
  /// A job makes one call at a time: half of these, at half a second a call, are the 60 calls a second that a tenant may make.
  static constexpr std::size_t kMost = 64;

  bool may_take(const std::string& tenant) const {
    const auto at = taken_.find(tenant);
    return (at == taken_.end() ? 0 : at->second) < kMost - all_;
  }
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
