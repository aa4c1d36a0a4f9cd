#include "limits/lease_wire.hpp"

#include <algorithm>

namespace stsync::limits {
namespace {

std::int64_t micros(core::Duration d) { return std::chrono::duration_cast<std::chrono::microseconds>(d).count(); }

/// No number of an answer is above an hour in microseconds or a million calls a second.
constexpr std::int64_t kMost = 3'600'000'000;

}  // namespace

std::string lease_script() {
  return "local AHEAD, SHARED = " + std::to_string(micros(kLeaseAhead)) + ", " + std::to_string(micros(kSharedFor)) + "\n" +
         std::string(scripts().front().second);
}

std::vector<std::string> lease_arguments(const std::string& member, const LeaseRequest& r) {
  std::vector<std::string> out{"lease", member};
  for (const auto number : {r.per_second, r.target, r.slots, static_cast<std::int64_t>(r.sharing), r.share, r.least, r.known,
                            micros(r.freeze), micros(r.late)})
    out.push_back(std::to_string(number));
  return out;
}

std::vector<std::string> leave_arguments(const std::string& member) { return {"leave", member}; }

core::Result<Lease> read_lease(std::span<const std::int64_t> numbers, core::TimePoint asked, core::TimePoint answered) {
  if (numbers.size() != 9 || std::any_of(numbers.begin(), numbers.end(), [](auto n) { return n < 0 || n > kMost; }))
    return core::fail(core::ErrorKind::protocol, "the store's answer is not a lease");
  const auto later = [answered](std::int64_t us) { return answered + std::chrono::microseconds(us); };
  Lease lease;
  lease.slots = numbers[0];
  lease.first = later(numbers[1]);
  lease.doubt = answered - asked;
  lease.interval = std::chrono::microseconds(numbers[2]);
  lease.again = later(numbers[3]);
  if (numbers[4] > 0) lease.frozen_until = later(numbers[4]);
  lease.share = numbers[5];
  lease.claims = numbers[6];
  lease.members = numbers[7];
  lease.shared = numbers[8];
  if (lease.slots > 0 && (lease.interval <= core::Duration{} || lease.slots > micros(kLeaseAhead)))
    return core::fail(core::ErrorKind::protocol, "the store's answer is not a lease");
  return lease;
}

}  // namespace stsync::limits
