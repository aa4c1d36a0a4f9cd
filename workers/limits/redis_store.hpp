#pragma once
#include <memory>
#include <optional>
#include <string>

#include "config/store_url.hpp"
#include "core/clock.hpp"
#include "core/secret.hpp"
#include "limits/lease.hpp"

namespace stsync::limits {

/// The store in one Redis (5 or later, no cluster). Every call is one trip of at most kTripTime, resolving the host name aside, and
/// connects first where there is no connection. Blocks: for one helper thread.
///
/// The user needs AUTH, SELECT, SCRIPT LOAD, EVALSHA, TIME, HGETALL, HGET, HSET, HDEL, HINCRBY and PEXPIRE on the prefix.
class RedisStore final : public LeaseStore {
 public:
  struct Settings {
    config::StoreAddress address;
    std::optional<core::Secret> password;
    std::string member;  ///< of this process among those that share the limits; no other may use it
  };
  /// `clock`: only now().
  RedisStore(const core::Clock& clock, Settings settings);
  ~RedisStore() override;

  core::Result<std::vector<Lease>> lease(const std::vector<LeaseRequest>& requests) override;
  core::Result<void> leave(const std::vector<std::string>& limits) override;

 private:
  class Connection;
  struct Call;
  core::Result<void> connect(core::TimePoint deadline);
  core::Result<void> run(std::vector<Call>& calls);
  core::Result<void> run_once(std::vector<Call>& calls, core::TimePoint deadline);
  std::string key(const std::string& limit) const { return settings_.address.prefix + "limit:" + limit; }

  const core::Clock& clock_;
  Settings settings_;
  std::string script_;
  std::string digest_;  ///< what Redis calls the script
  std::unique_ptr<Connection> connection_;
};

}  // namespace stsync::limits
